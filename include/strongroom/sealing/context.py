"""The context of a sealed file: what it is and where it belongs, bound to it by the header's MAC.

    -> strongroom/context <base64 of SHA-256(RFC 8785 JSON of the context)>
    <empty body>

Other readers ignore the stanza. Ours refuses a file whose context is not the expected one, so an object that
was moved to another key, or put in another's place, does not open.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from strongroom.canonical import canonical_sha256
from strongroom.sealing.errors import ContextMismatchError, HeaderError
from strongroom.sealing.header import Stanza, encode_base64

STANZA_TYPE = "strongroom/context"

Context = Mapping[str, str]


class UncheckedContext(enum.Enum):
    """Says in the caller's code that a file may come from anywhere."""

    UNCHECKED = "unchecked"


UNCHECKED = UncheckedContext.UNCHECKED


def context_stanza(context: Context) -> Stanza:
    """The stanza that binds a file to its context."""
    return Stanza(STANZA_TYPE, (encode_base64(canonical_sha256(context)),))


def check_context(stanzas: Sequence[Stanza], expected: Context | UncheckedContext) -> None:
    """Check that a file was sealed for the expected context.

    Call it after the header's MAC was verified; before, the stanza proves nothing.

    Raises:
        ContextMismatchError: sealed for another context, or for none.
        HeaderError: more than one context stanza.
    """
    found = [stanza for stanza in stanzas if stanza.type == STANZA_TYPE]
    if len(found) > 1:
        raise HeaderError("A sealed file's header holds more than one context.")
    if isinstance(expected, UncheckedContext):
        return
    if found != [context_stanza(expected)]:
        was = "for another context" if found else "without a context"
        wanted = ", ".join(f"{name}={value}" for name, value in sorted(expected.items()))
        raise ContextMismatchError(
            f"A sealed file was sealed {was}, not for {wanted}.",
            hint="It was moved or swapped. Find the object that belongs here; do not use this one.",
        )
