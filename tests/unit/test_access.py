"""Roles permit what is listed, and nothing else."""

import pytest

from strongroom.access import (
    Actor,
    ActorKind,
    Permission,
    Role,
    SamePersonError,
    require,
    require_two_people,
    roles_for,
)
from strongroom.errors import AccessDeniedError, ConfigurationError


def actor(*roles: Role) -> Actor:
    return Actor("ada", ActorKind.PERSON, frozenset(roles))


@pytest.mark.parametrize("permission", list(Permission))
def test_an_actor_without_a_role_may_do_nothing(permission):
    with pytest.raises(AccessDeniedError, match="ada may not"):
        require(actor(), permission)


def test_an_auditor_reads_the_log_and_opens_nothing():
    require(actor(Role.AUDITOR), Permission.READ_AUDIT_LOG)
    with pytest.raises(AccessDeniedError):
        require(actor(Role.AUDITOR), Permission.OPEN_OBJECT)


def test_the_roles_add_up():
    both = actor(Role.AUDITOR, Role.APPLICATION)
    require(both, Permission.READ_AUDIT_LOG)
    require(both, Permission.STORE_OBJECT)


def test_roles_are_given_by_name_or_pattern_and_to_nobody_else():
    grants = {"ada": ("operator",), "dpo-*": ("privacy_officer",), "*": ("application",)}
    assert roles_for("ada", grants) == {Role.OPERATOR, Role.APPLICATION}
    assert roles_for("dpo-dora", grants) == {Role.PRIVACY_OFFICER, Role.APPLICATION}
    assert roles_for("Ada", {"ada": ("operator",)}) == frozenset()


def test_a_role_that_does_not_exist_is_an_error_that_names_those_that_do():
    with pytest.raises(ConfigurationError, match="opertor") as refused:
        roles_for("ada", {"ada": ("opertor",)})
    assert "privacy_officer" in str(refused.value)


def test_two_different_people_are_two():
    assert require_two_people(" ada", "grace", "this restore") == ("ada", "grace")


@pytest.mark.parametrize(
    ("asked", "decided"),
    [("ada", "ada"), ("ada", " Ada "), ("ada", None), ("ada", ""), (None, "grace"), ("", "")],
)
def test_one_person_or_nobody_is_not_enough(asked, decided):
    with pytest.raises(SamePersonError):
        require_two_people(asked, decided, "this restore")
