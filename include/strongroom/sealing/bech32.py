"""Bech32 (BIP 173) without its length limit: the text form of age's keys.

<prefix> 1 <data, 5 bits a character> <checksum, 6 characters>
"""

from __future__ import annotations

from collections.abc import Iterable

from strongroom.sealing.errors import KeyTextError

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def encode(prefix: str, data: bytes) -> str:
    """The text form of `data`, in lower case."""
    values = _regroup(data, 8, 5, pad=True)
    return f"{prefix}1" + "".join(_CHARSET[value] for value in values + _checksum(prefix, values))


def decode(text: str) -> tuple[str, bytes]:
    """The prefix (in lower case) and the data of a text form.

    Raises:
        KeyTextError: mixed case, an unknown character, or a wrong checksum. The text is not repeated in the
            message, for it may be a private key.
    """
    if text not in (text.lower(), text.upper()):
        raise KeyTextError("A key mixes upper and lower case.")
    prefix, separator, encoded = text.lower().rpartition("1")
    if not separator or not prefix or len(encoded) < 6 or any(c not in _CHARSET for c in encoded):
        raise KeyTextError("A key is not Bech32: a prefix, the digit 1, then letters and digits.")
    values = [_CHARSET.index(character) for character in encoded]
    if _polymod(_expand(prefix) + values) != 1:
        raise KeyTextError("A key's checksum is wrong: a character was mistyped or lost.")
    return prefix, bytes(_regroup(values[:-6], 5, 8, pad=False))


def _regroup(values: Iterable[int], from_bits: int, to_bits: int, *, pad: bool) -> list[int]:
    accumulator = bits = 0
    regrouped = []
    for value in values:
        accumulator = (accumulator << from_bits) | value
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            regrouped.append((accumulator >> bits) & ((1 << to_bits) - 1))
        accumulator &= (1 << bits) - 1
    if pad and bits:
        regrouped.append(accumulator << (to_bits - bits))
    elif not pad and (bits >= from_bits or accumulator):
        raise KeyTextError("A key's last character holds bits that do not belong there.")
    return regrouped


def _expand(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def _checksum(prefix: str, values: list[int]) -> list[int]:
    remainder = _polymod([*_expand(prefix), *values, 0, 0, 0, 0, 0, 0]) ^ 1
    return [(remainder >> 5 * (5 - position)) & 31 for position in range(6)]


def _polymod(values: Iterable[int]) -> int:
    remainder = 1
    for value in values:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for position, generator in enumerate(_GENERATOR):
            if top >> position & 1:
                remainder ^= generator
    return remainder
