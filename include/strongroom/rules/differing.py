"""What is different between two policies, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strongroom.policy import Policy
from strongroom.policy.errors import path_text

_KEYS = ("columns", "to", "path", "type_value")
"""What makes two links the same link."""


def policy_document(policy: Policy) -> dict[str, Any]:
    """The policy as JSON has it, defaults included: what its hash is taken of."""
    return policy.model_dump(mode="json", by_alias=True)


def policy_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Each difference as a sentence, in the order of the policy; nothing where both say the same."""
    return tuple(_changes((), before, after))


def _changes(path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _member((*path, key), old, new, key)
    elif isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        yield from _lists(path, old, new)
    else:
        yield f"{path_text(path)} was {_shown(old)}, is {_shown(new)}"


def _member(path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any], key: str) -> Iterator[str]:
    before, after = old.get(key), new.get(key)
    if before is None and after is not None:
        yield f"{path_text(path)} is new: {_shown(after)}"
    elif after is None and before is not None:
        yield f"{path_text(path)} is gone; it was {_shown(before)}"
    else:
        yield from _changes(path, before, after)


def _lists(path: tuple[str, ...], old: Any, new: Any) -> Iterator[str]:
    """Items by what they are, not by where they stand."""
    before, after = ({_name(item): item for item in items} for items in (old, new))
    yield from (f"{path_text(path)}: {_shown(before[name])} is gone" for name in before if name not in after)
    yield from (f"{path_text(path)}: {_shown(after[name])} is new" for name in after if name not in before)
    for name in before:
        if name in after and before[name] != after[name]:
            yield from _changes((*path, str(list(after).index(name))), before[name], after[name])
    if set(before) == set(after) and list(before) != list(after):
        yield f"{path_text(path)}: the order is another one"


def _name(item: Any) -> str:
    if isinstance(item, Mapping) and "kind" in item:
        return str([item.get(key) for key in _KEYS])
    return str(item)


def _shown(value: Any) -> str:
    """A value in the words of a policy file: without what was not said."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        said = {key: item for key, item in value.items() if item not in (None, [], {}, ())}
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in said.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    return str(value)
