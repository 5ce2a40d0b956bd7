"""What pydantic finds wrong with a policy, in the words of the policy file."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from strongroom.policy.errors import Problem, path_text
from strongroom.policy.model import ContradictionError, Policy
from strongroom.policy.suggestions import did_you_mean, one_of, shown

_KINDS = {
    "string": "text",
    "int": "a whole number",
    "bool": "true or false",
    "model": "a mapping (key: value)",
    "dict": "a mapping (key: value)",
    "mapping": "a mapping (key: value)",
    "tuple": "a list",
    "list": "a list",
}
_LIMITS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
_SWITCH = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def explained(error: ValidationError) -> Iterator[Problem]:
    """Each of the errors as a problem; places in the file are not yet known."""
    for item in error.errors(include_url=False):
        path = tuple(str(step) for step in item["loc"] if step != "[key]")
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, ContradictionError):
            yield from cause.problems
        else:
            yield Problem(_sentence(item, path), path)


def keys() -> Iterator[tuple[tuple[str, ...], type[BaseModel], str]]:
    """Every key that a policy can hold: its path (`*` for a name of the user's), its part and its field."""
    pending: list[tuple[tuple[str, ...], Any]] = [((), Policy)]
    while pending:
        path, annotation = pending.pop(0)
        kind = _bare(annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                inner = (*path, field.alias or name)
                yield inner, kind, name
                pending.append((inner, field.annotation))
        elif typing.get_origin(kind) in (tuple, Mapping):
            mapping = typing.get_origin(kind) is Mapping
            pending.append(((*path, "*"), typing.get_args(kind)[1 if mapping else 0]))


def _sentence(item: Any, path: tuple[str, ...]) -> str:
    kind: str = item["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return f"the key '{path[-1]}' is missing"
    if kind == "literal_error":
        return _wrong_word(item["input"], path)
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f"must be {words} {item['ctx'][limit]}, not {shown(item['input'])}"
    if kind == "too_short":
        return "must not be empty"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    return _wrong_kind(item)


def _unknown_key(path: tuple[str, ...]) -> str:
    allowed = _allowed_keys(path[:-1])
    guess = did_you_mean(path[-1], allowed)
    if not guess:
        homes = [path_text(known[:-1]) for known, _, _ in keys() if known[-1] == path[-1] and len(known) == 2]
        guess = f"; it belongs under {one_of(homes)}" if homes else f"; the keys here are {one_of(allowed)}"
    return f"unknown key '{path[-1]}'{guess}"


def _wrong_word(written: Any, path: tuple[str, ...]) -> str:
    words = [word for word in _literals(_annotation(path)) if isinstance(word, str)]
    guess = did_you_mean(written, words) if isinstance(written, str) else ""
    return f"must be {one_of(words)}, not {shown(written)}{guess}"


def _wrong_kind(item: Any) -> str:
    for prefix, words in _KINDS.items():
        if item["type"].startswith(prefix + "_"):
            return f"must be {words}, not {shown(item['input'])}{_remedy(prefix, item['input'])}"
    return str(item["msg"])


def _remedy(kind: str, written: Any) -> str:
    if kind == "string" and not isinstance(written, (dict, list)):
        return "; put it in quotes"
    if kind == "bool" and isinstance(written, str) and written.lower() in _SWITCH:
        return f"; did you mean {_SWITCH[written.lower()]}?"
    if kind == "tuple" and isinstance(written, str):
        return f"; write [{written}]" if len(written) <= 60 else ""
    return ""


def _allowed_keys(path: tuple[str, ...]) -> list[str]:
    kind = _annotation(path)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.alias or name for name, field in kind.model_fields.items()]
    return []


def _annotation(path: tuple[str, ...]) -> Any:
    """The type that the model declares at the path, without what surrounds it."""
    kind: Any = Policy
    for step in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {field.alias or name: field for name, field in kind.model_fields.items()}
            kind = _bare(fields[step].annotation) if step in fields else None
        else:
            mapping = typing.get_origin(kind) is Mapping
            arguments = typing.get_args(kind)
            kind = _bare(arguments[1 if mapping else 0]) if arguments else None
    return kind


def _bare(annotation: Any) -> Any:
    """The annotation without Annotated and without `| None`."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        kept = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
        return _bare(kept[0])
    return annotation


def _literals(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
