"""Refusals that one transfer met with, and that may be about more: the key, or the licence."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from reconciler.api.outcome import Matter, Rejected
from reconciler.model.memory import Intent


@dataclass(slots=True)
class Suspicion:
    """What the transfers of a team were refused so far in a run. Thread-safe.

    A 403 that names no reason may be about its transfer, and a licence about its data source. The second
    transfer so answered says that it is not; so does the only one there is, of the key. ``writers`` is
    how many transfers have actions.
    """

    writers: int = 0
    _met: dict[tuple[Matter, str | None], dict[str, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def confirmed(self, intent: Intent, refusal: Rejected) -> tuple[str, ...]:
        """Note a refusal; return the nonces of all intents that met with the same, if it is shared; else
        nothing. Licences are told apart by code.
        """
        if refusal.matter is None:
            return ()
        code = refusal.error.code if refusal.matter is Matter.LICENCE else None
        with self._lock:
            met = self._met.setdefault((refusal.matter, code), {})
            met[intent.nonce] = intent.transfer_id
            alone = refusal.matter is Matter.KEY and self.writers <= 1
            return tuple(sorted(met)) if alone or len(set(met.values())) > 1 else ()
