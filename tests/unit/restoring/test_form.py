"""A form's fields become one target and one place, or an error that says which field is wrong."""

from pathlib import Path

import pytest

from strongroom.backup.restoring.errors import TargetError
from strongroom.backup.restoring.form import folder_below, target_of
from strongroom.errors import InputError, StrongroomError

ROOT = Path("/var/lib/strongroom/restored")


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        (("backup", None, None), "to the backup's own restore point"),
        (("latest", "", " "), "to the end of the archive"),
        (("time", "2026-11-24T22:10:05+01:00", None), "to 2026-11-24T21:10:05.000000Z"),
        (("lsn", None, " 0/3000060 "), "to the position 0/3000060"),
        (("point", None, "before upgrade"), "to the restore point before upgrade"),
    ],
)
def test_the_fields_name_one_target(fields, target):
    assert str(target_of(*fields)) == target


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("time", None, None), "needs `time`"),
        (("lsn", None, ""), "needs `value`"),
        (("backup", "2026-11-24T22:10:05Z", None), "does not use it"),
        (("time", "2026-11-24T22:10:05Z", "0/3000060"), "does not use it"),
        (("time", "2026-11-24T22:10:05", None), "names no time zone"),
        (("time", "yesterday", None), "is no moment"),
        (("lsn", None, "3000060"), "no log sequence number"),
        (("point", None, "x" * 64), "1 to 63 bytes"),
        (("now", None, None), "not to 'now'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fields_name(fields, message):
    with pytest.raises(StrongroomError, match=message) as error:
        target_of(*fields)
    assert error.value.exit_code == 2 or isinstance(error.value, TargetError)


def test_a_folder_lies_below_the_one_place():
    assert folder_below(ROOT, "shop-2026_11") == ROOT / "shop-2026_11"


@pytest.mark.parametrize("name", ["", ".", "..", "../etc", "/etc", "a/b", "-a", "A", "a b", "a\n", "x" * 64])
def test_a_name_that_could_lead_elsewhere_is_refused(name):
    with pytest.raises(InputError, match="folder"):
        folder_below(ROOT, name)
