"""What replaces a personal value: a method by its name, or a text of its own."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from strongroom.policy.suggestions import did_you_mean, one_of, shown

ERASE_METHODS: dict[str, str] = {
    "with_row": "only by deleting the row: for keys that cannot change",
    "generated": "what the database computes from columns that are erased",
    "set_null": "NULL",
    "set_empty": "an empty text, array or JSON document",
    "set_zero": "zero",
    "remove": "the key is taken out of the JSON document",
    "random_email": "a random address at erased.invalid",
    "random_name": "a random text in place of a name",
    "random_phone": "random digits in place of a phone number",
    "random_text": "random letters",
    "random_digits": "random digits, as many as before",
    "random_uuid": "a random UUID",
    "random_bytes": "random bytes",
    "random_ip": "a random address of a range reserved for documentation",
    "year_only": "the first of January of the same year",
    "month_only": "the first day of the same month",
}
"""The methods and what they leave behind. None is derived from the value: that would be a pseudonym."""

_LOOKS_LIKE_A_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*")


def _method(text: str) -> str:
    if text in ERASE_METHODS or not _LOOKS_LIKE_A_METHOD.fullmatch(text):
        return text
    guess = did_you_mean(text, ERASE_METHODS) or f"; the methods are {one_of(ERASE_METHODS)}."
    raise ValueError(
        f"{shown(text)} is not a way to erase{guess} A text of your own needs a sign that is no letter, "
        f'as in "[{text}]"'
    )


EraseMethod = Annotated[
    str,
    AfterValidator(_method),
    WithJsonSchema({"type": "string", "examples": [*ERASE_METHODS, "[erased]"]}),
]
"""A method of `ERASE_METHODS`, or a replacement text: anything that is not a single plain word."""
