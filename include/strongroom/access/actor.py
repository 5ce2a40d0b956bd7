"""An actor and what its roles permit. Everything that is not listed here is denied."""

from __future__ import annotations

import enum
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from strongroom.errors import AccessDeniedError, ConfigurationError


class ActorKind(enum.StrEnum):
    """What kind of caller acts."""

    PERSON = "person"
    TASK = "task"
    COMMAND = "command"


class Role(enum.StrEnum):
    """A set of permissions under a name that Airflow's roles are mapped to."""

    OPERATOR = "operator"
    PRIVACY_OFFICER = "privacy_officer"
    AUDITOR = "auditor"
    APPLICATION = "application"


class Permission(enum.StrEnum):
    """One thing that an actor may be allowed to do."""

    STORE_OBJECT = "store_object"
    OPEN_OBJECT = "open_object"
    RUN_BACKUP = "run_backup"
    VERIFY_BACKUP = "verify_backup"
    RESTORE_BACKUP = "restore_backup"
    APPROVE_RESTORE = "approve_restore"
    SHIP_WAL = "ship_wal"
    COPY_OBJECTS = "copy_objects"
    SWEEP_ARCHIVE = "sweep_archive"
    CHECK_POLICY = "check_policy"
    QUERY_ARCHIVE = "query_archive"
    RESTORE_ARCHIVE = "restore_archive"
    MANAGE_KEYS = "manage_keys"
    SEAL_AUDIT_LOG = "seal_audit_log"
    READ_AUDIT_LOG = "read_audit_log"
    REBUILD_CATALOG = "rebuild_catalog"
    PLAN_RETENTION = "plan_retention"
    APPLY_RETENTION = "apply_retention"
    APPROVE_RETENTION = "approve_retention"
    PLACE_HOLD = "place_hold"
    RELEASE_HOLD = "release_hold"
    REWRAP_OBJECTS = "rewrap_objects"
    DESTROY_KEYS = "destroy_keys"


_GRANTS: dict[Role, frozenset[Permission]] = {
    Role.OPERATOR: frozenset(Permission),
    Role.PRIVACY_OFFICER: frozenset(
        {
            Permission.STORE_OBJECT,
            Permission.OPEN_OBJECT,
            Permission.APPROVE_RESTORE,
            Permission.QUERY_ARCHIVE,
            Permission.SEAL_AUDIT_LOG,
            Permission.READ_AUDIT_LOG,
            Permission.CHECK_POLICY,
            Permission.PLAN_RETENTION,
            Permission.APPROVE_RETENTION,
            Permission.PLACE_HOLD,
            Permission.RELEASE_HOLD,
        }
    ),
    Role.AUDITOR: frozenset({Permission.READ_AUDIT_LOG, Permission.CHECK_POLICY, Permission.PLAN_RETENTION}),
    Role.APPLICATION: frozenset({Permission.STORE_OBJECT}),
}


@dataclass(frozen=True)
class RunReference:
    """The Airflow task that acts."""

    dag_id: str
    run_id: str
    task_id: str
    try_number: int = 1
    map_index: int = -1


@dataclass(frozen=True)
class Actor:
    """Whoever calls: a person's account, a task of a pipeline, or a command on a machine."""

    name: str
    kind: ActorKind
    roles: frozenset[Role]
    run: RunReference | None = None
    host: str = field(default_factory=socket.gethostname)

    def may(self, permission: Permission) -> bool:
        """Whether one of the actor's roles grants the permission."""
        return any(permission in _GRANTS[role] for role in self.roles)


def roles_for(name: str, grants: Mapping[str, Sequence[str]]) -> frozenset[Role]:
    """The roles that the settings give a name: an account's or a pipeline's.

    Args:
        name: an Airflow account, or a DAG's id.
        grants: roles by name; `*` in a name matches any text.

    Raises:
        ConfigurationError: the settings name a role that does not exist.
    """
    given = {role for pattern, roles in grants.items() if fnmatchcase(name, pattern) for role in roles}
    unknown = given - set(Role)
    if unknown:
        raise ConfigurationError(
            f"The settings name roles that do not exist: {', '.join(sorted(unknown))}.",
            hint=f"In `dag_roles` and `person_roles` there are {', '.join(sorted(Role))}.",
        )
    return frozenset(Role(role) for role in given)


def require(actor: Actor, permission: Permission) -> None:
    """Let a permitted actor pass.

    Raises:
        AccessDeniedError: none of the actor's roles grants the permission.
    """
    if not actor.may(permission):
        roles = ", ".join(sorted(actor.roles)) or "none"
        raise AccessDeniedError(
            f"{actor.kind} {actor.name} may not {permission.replace('_', ' ')} (roles: {roles}).",
            hint="An administrator maps Airflow's roles to Strongroom's; see README, section Access.",
        )
