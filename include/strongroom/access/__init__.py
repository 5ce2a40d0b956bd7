"""Who may do what: actors, roles, permissions, and what needs two people."""

from strongroom.access.actor import Actor, ActorKind, Permission, Role, RunReference, require, roles_for
from strongroom.access.four_eyes import Decision, SamePersonError, require_two_people

__all__ = [
    "Actor",
    "ActorKind",
    "Decision",
    "Permission",
    "Role",
    "RunReference",
    "SamePersonError",
    "require",
    "require_two_people",
    "roles_for",
]
