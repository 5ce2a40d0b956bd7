"""Which texts can name an object."""

import pytest

from strongroom.storage import InvalidKeyError
from strongroom.storage.keys import check_key, check_prefix


@pytest.mark.parametrize(
    "key", ["a", "a/b.c/d-e_f", "a b+c%20", "a" * 240, "..a/b..", ".hidden", "x/.strongroom"]
)
def test_a_plain_key_is_accepted(key: str) -> None:
    assert check_key(key) == key


REFUSED = ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\\b", "a\nb", "a\0", "\x7f", "é"]


@pytest.mark.parametrize("key", [*REFUSED, "a" * 241, "a/" * 450 + "a"])
def test_a_key_that_could_lead_elsewhere_is_refused(key: str) -> None:
    with pytest.raises(InvalidKeyError):
        check_key(key)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/"])
def test_a_prefix_may_end_with_a_slash(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


def test_a_stores_own_names_are_not_keys() -> None:
    with pytest.raises(InvalidKeyError, match="own"):
        check_key(".strongroom/lock")


@pytest.mark.parametrize("prefix", ["/", "/a", "a//", "../", "a/../b"])
def test_a_prefix_that_leads_elsewhere_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidKeyError):
        check_prefix(prefix)
