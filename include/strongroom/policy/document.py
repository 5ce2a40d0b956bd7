"""A YAML document with the place of each of its values: a small, safe part of YAML 1.2.

Read from the parser's events without recursion, so that neither depth nor aliases can exhaust anything. Plain words
follow the YAML 1.2 core schema (`yes` and `on` are text). Refused: aliases and anchors, tags, several documents, keys
that stand twice or are no text, keys without a value, indentation with tabs, more than 1 MiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from strongroom.policy.errors import Problem
from strongroom.policy.suggestions import shown

MAX_BYTES = 1024 * 1024
"""The largest policy file."""

MAX_DEPTH = 20
"""The deepest nesting; a policy needs eight levels."""

Path = tuple[str, ...]
Place = tuple[int, int]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OTHERS_BOOLEAN = re.compile(r"(?:true|false|yes|no|on|off)", re.IGNORECASE)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}(?:[eE][-+]?[0-9]{1,2})?")
_TAB = re.compile(r"^ *(\t)", re.MULTILINE)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


@dataclass
class Document:
    """A document's content, where each part stands, and what is wrong with its form."""

    content: Any = None
    """Mappings, lists, texts, numbers and booleans; None when nothing could be read."""

    places: dict[Path, Place] = field(default_factory=dict)
    """Line and column (from 1) of each value; for a mapping or list, of its key."""

    key_places: dict[Path, Place] = field(default_factory=dict)
    """Line and column of each key."""

    problems: list[Problem] = field(default_factory=list)

    complete: bool = False
    """Whether it was read to its end."""

    def place(self, path: Path) -> Place:
        """Where the path, or the nearest thing around it, stands."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, (1, 1))


class _UnreadableError(Exception):
    """The rest of the document cannot be read."""


@dataclass
class _Frame:
    """A mapping or list that is being read."""

    container: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None
    skip: bool = False
    """Whether the next value belongs to a key that was refused."""


def read_document(data: bytes) -> Document:
    """The document in `data`; what is wrong with it stands in its `problems`."""
    document = Document()
    try:
        text = _text(data)
        _Reader(document).read(text)
        document.complete = True
    except _UnreadableError as error:
        document.problems.append(error.args[0])
    return document


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _UnreadableError(Problem("is larger than 1 MiB, the limit for a policy file"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise _UnreadableError(Problem("is not UTF-8 text", line=line, column=column)) from error
    for pattern, what in (
        (_NOT_TEXT, "holds a control character"),
        (_TAB, "is indented with a tab; use spaces"),
    ):
        match = pattern.search(text)
        if match:
            start = match.start(1) if pattern is _TAB else match.start()
            line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
            raise _UnreadableError(Problem(what, line=line, column=column))
    return text


class _Reader:
    """Builds a document from the parser's events."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._frames: list[_Frame] = []
        self._documents = 0

    def read(self, text: str) -> None:
        for event in _events(text):
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise _UnreadableError(_problem("a policy file holds one document, without '---'", event))
            elif isinstance(event, yaml.AliasEvent):
                raise _UnreadableError(_problem(f"aliases (*{event.anchor}) are not used here", event))
            elif isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._frames.pop()
        if self._document.content is None and not self._document.problems:
            raise _UnreadableError(Problem("is empty", line=1, column=1))

    def _node(self, event: Any) -> None:
        if event.anchor:
            raise _UnreadableError(_problem(f"anchors (&{event.anchor}) are not used here", event))
        if event.tag is not None:
            raise _UnreadableError(_problem(f"tags ({shown(event.tag)}) are not used here", event))
        frame = self._frames[-1] if self._frames else None
        if frame and isinstance(frame.container, dict) and frame.key is None:
            self._key(frame, event)
            return
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            self._place(frame, event, scalar=True)
            value = self._scalar(frame, event)
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
            self._place(frame, event, scalar=False)
            self._frames.append(_Frame(value, self._path(frame)))
            if len(self._frames) > MAX_DEPTH:
                raise _UnreadableError(_problem(f"is nested deeper than {MAX_DEPTH} levels", event))
        self._put(frame, value)

    def _key(self, frame: _Frame, event: Any) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise _UnreadableError(_problem("a key must be text, not a mapping or a list", event))
        if _NOT_TEXT.search(event.value):
            raise _UnreadableError(_problem("holds a control character", event))
        frame.key, path, place = event.value, (*frame.path, event.value), _place(event)
        if _plain(event) and _other_readers_differ(event.value):
            what = (
                f"the key {event.value or '(nothing)'} is not text to every YAML reader; write it in quotes"
            )
            self._document.problems.append(Problem(what, path, *place))
        if path in self._document.key_places:
            first = self._document.key_places[path][0]
            what = f"the key '{event.value}' stands twice (first on line {first})"
            self._document.problems.append(Problem(what, path, *place))
            frame.skip = True
        else:
            self._document.key_places[path] = place

    def _scalar(self, frame: _Frame | None, event: Any) -> Any:
        if not _plain(event):
            if _NOT_TEXT.search(event.value):
                self._document.problems.append(
                    Problem("holds a control character", self._path(frame), *_place(event))
                )
                return "?"
            return event.value
        if event.value in _NULL:
            self._document.problems.append(Problem("has no value", self._path(frame), *_place(event)))
            return None
        return _resolved(event.value)

    def _path(self, frame: _Frame | None) -> Path:
        if frame is None:
            return ()
        step = str(len(frame.container)) if isinstance(frame.container, list) else frame.key or ""
        return (*frame.path, step)

    def _place(self, frame: _Frame | None, event: Any, *, scalar: bool) -> None:
        path = self._path(frame)
        place = _place(event) if scalar else self._document.key_places.get(path, _place(event))
        self._document.places.setdefault(path, place)

    def _put(self, frame: _Frame | None, value: Any) -> None:
        if frame is None:
            self._document.content = value
        elif isinstance(frame.container, list):
            frame.container.append(value)
        else:
            if not frame.skip and frame.key is not None:
                frame.container[frame.key] = value
            frame.key, frame.skip = None, False


def _events(text: str) -> Iterator[Any]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _UnreadableError(Problem(f"is not YAML: {error.problem}", (), *place)) from error
    except yaml.YAMLError as error:
        raise _UnreadableError(Problem("is not YAML: it holds characters that YAML forbids")) from error


def _resolved(text: str) -> Any:
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _other_readers_differ(text: str) -> bool:
    return text in _NULL or not isinstance(_resolved(text), str) or bool(_OTHERS_BOOLEAN.fullmatch(text))


def _plain(event: Any) -> bool:
    return event.style in (None, "")


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _problem(what: str, event: Any) -> Problem:
    return Problem(what, (), *_place(event))
