"""Canonical JSON (RFC 8785): the one byte string of a document, which is what gets hashed and signed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import rfc8785

from strongroom.errors import InputError, IntegrityError

JsonObject = dict[str, Any]
"""A JSON object as the standard library reads it."""


def canonical_bytes(document: Mapping[str, Any]) -> bytes:
    """The document in RFC 8785 form.

    Raises:
        InputError: the document holds something that RFC 8785 cannot express (NaN, an integer beyond 2**53).
    """
    try:
        return rfc8785.dumps(dict(document))
    except rfc8785.CanonicalizationError as error:
        raise InputError(f"A document cannot be written as canonical JSON: {error}") from error


def canonical_sha256(document: Mapping[str, Any]) -> bytes:
    """SHA-256 of the document's canonical form (32 bytes)."""
    return hashlib.sha256(canonical_bytes(document)).digest()


def parse_object(data: bytes, what: str) -> JsonObject:
    """The JSON object in `data`.

    Args:
        data: UTF-8 JSON.
        what: the document's name, for the error.

    Raises:
        IntegrityError: not JSON, not an object, or a member's name stands twice.
    """
    try:
        document = json.loads(data, object_pairs_hook=_unique_members)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{what} is not readable as JSON: {error}") from error
    if not isinstance(document, dict):
        raise IntegrityError(f"{what} holds a JSON {type(document).__name__}, not an object")
    return document


def _unique_members(pairs: list[tuple[str, Any]]) -> JsonObject:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a member's name stands twice in one object")
    return document
