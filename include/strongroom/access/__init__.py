"""Who may do what: actors, roles, permissions."""

from strongroom.access.actor import Actor, ActorKind, Permission, Role, RunReference, require

__all__ = ["Actor", "ActorKind", "Permission", "Role", "RunReference", "require"]
