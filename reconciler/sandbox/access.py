"""Who may call: keys, what they may do, and whose they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.sandbox.progress import USER
from reconciler.sandbox.responses import Refusal

SCOPES = ("read", "write")


@dataclass(frozen=True, slots=True)
class Key:
    """What a key may do, and the user that shows in what it makes."""

    scopes: tuple[str, ...] = SCOPES
    user: int = USER


Keys = Mapping[str, Key]


def admitted(header: str, method: str, *, open_world: bool, keys: Keys | None) -> int:
    """The user of the key in an Authorization header.

    Raises a Refusal: 401 without a known key, 403 where it lacks the scope that the method needs.
    """
    scheme, _, text = header.partition(" ")
    name = text.strip()
    key = _key(name, open_world, keys) if scheme.lower() == "bearer" and name else None
    if key is None:
        raise Refusal(401, "Send a known key in the Authorization header, as Bearer")
    scope = "read" if method == "GET" else "write"
    if scope not in key.scopes:
        raise Refusal(403, f"This key lacks the scope dwh_transfers_{scope}")
    return key.user


def _key(name: str, open_world: bool, keys: Keys | None) -> Key | None:
    """A key, None if there is no such.

    Keys the world names may do what is named; others may do all, unless the world is closed and names keys.
    """
    if name == "invalid":
        return None
    if name == "forbidden":
        return Key(())
    if keys is not None and (name in keys or not open_world):
        return keys.get(name)
    return Key()
