"""What GitHub and GitLab answer, read: only what is needed of it, and nothing is taken for granted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as core

from reconciler.forge.forges import Forge
from reconciler.forge.sticky import Comment, Pull
from reconciler.http import Response
from reconciler.untrusted import clean

_INT = core.int_schema(strict=True, ge=1)
_TEXT = core.str_schema(strict=True)
_MOST_TOLD = 3  # of what an error lists


class AnswerUnreadable(Exception):
    """A success whose body is not what it should be."""


def _object(**fields: Any) -> Any:
    """Return the schema of an object; a field whose schema may be null may be missing."""
    made = {
        name: core.typed_dict_field(schema, required=schema["type"] != "nullable")
        for name, schema in fields.items()
    }
    return core.typed_dict_schema(made, extra_behavior="ignore")


def _maybe(schema: Any) -> Any:
    return core.nullable_schema(schema)


def comments_of(answer: Response, forge: Forge) -> list[Comment]:
    """Return the comments of an answer that people or programs wrote. Raises ``AnswerUnreadable``."""
    found = _read(core.list_schema(_comment(forge)), answer)
    return [_made(one, forge) for one in found if not one.get("system")]


def comment_of(answer: Response, forge: Forge) -> Comment:
    """Return the one comment of an answer. Raises ``AnswerUnreadable``."""
    return _made(_read(_comment(forge), answer), forge)


def pulls_of(answer: Response, forge: Forge) -> list[Pull]:
    """Return the pull requests of an answer. Raises ``AnswerUnreadable``."""
    schema = core.list_schema(_object(**{forge.number: _INT}, title=_maybe(_TEXT)))
    return [Pull(one[forge.number], one.get("title") or "") for one in _read(schema, answer)]


def login_of(answer: Response, forge: Forge) -> str:
    """Return the name of the user whom an answer describes. Raises ``AnswerUnreadable``."""
    return str(_read(_object(**{forge.login: _TEXT}), answer)[forge.login])


def said_by(answer: Response) -> str:
    """Return what a failed answer says is wrong, "" if it says nothing; fit to be shown."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    told = [text for key in ("message", "error", "errors") for text in _texts(found.get(key))]
    return clean("; ".join(dict.fromkeys(told[:_MOST_TOLD])), answer.hide)


def _texts(said: object) -> Iterator[str]:
    """Yield the texts of a message, which may be text, a list, or lists by field."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, list):
        for one in said[:_MOST_TOLD]:
            yield from _texts(one.get("message") if isinstance(one, dict) else one)
    elif isinstance(said, dict):
        for field, one in list(said.items())[:_MOST_TOLD]:
            yield from (f"{field} {text}" for text in _texts(one))


def _comment(forge: Forge) -> Any:
    author = _maybe(_object(**{forge.login: _TEXT}))
    others = {forge.author: author, "html_url": _maybe(_TEXT), "system": _maybe(core.bool_schema())}
    return _object(id=_INT, body=_maybe(_TEXT), **others)


def _made(found: dict[str, Any], forge: Forge) -> Comment:
    author = found.get(forge.author) or {}
    url = clean(found.get("html_url") or "")
    return Comment(found["id"], author.get(forge.login, ""), found.get("body") or "", url)


def _read(schema: Any, answer: Response) -> Any:
    try:
        return SchemaValidator(schema).validate_json(answer.body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise AnswerUnreadable(f"{place}: {first['msg']}" if place else str(first["msg"])) from None
