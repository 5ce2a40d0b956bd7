"""What can be recorded: every event's type as `subject:noun:action`, with its class in OCSF (schema.ocsf.io).

| class | OCSF name              | activities used                                                      |
|-------|------------------------|----------------------------------------------------------------------|
| 3003  | Authorize Session      | 99 other (a refusal)                                                 |
| 3004  | Entity Management      | 1 create, 2 read, 3 update, 4 delete                                 |
| 6003  | API Activity           | 1 create, 2 read, 3 update, 4 delete                                 |
| 6005  | Datastore Activity     | 1 read, 2 update, 5 write, 6 create, 7 delete, 9 encrypt, 10 decrypt |

`category_uid` is the class divided by 1000, `type_uid` is the class times 100 plus the activity.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class EventType(enum.StrEnum):
    """Everything that the log can record."""

    BACKUP_RUN_EXECUTE = "backup:run:execute"
    BACKUP_OBJECT_WRITE = "backup:object:write"
    BACKUP_MANIFEST_SIGN = "backup:manifest:sign"
    BACKUP_DEBRIS_REMOVE = "backup:debris:remove"
    WAL_SEGMENT_SHIP = "wal:segment:ship"
    WAL_GAP_FIND = "wal:gap:find"
    WAL_LEFTOVER_REMOVE = "wal:leftover:remove"
    WAL_SLOT_DROP = "wal:slot:drop"
    VERIFICATION_RUN_EXECUTE = "verification:run:execute"
    VERIFICATION_LEVEL_CHECK = "verification:level:check"
    VERIFICATION_PROOF_SIGN = "verification:proof:sign"
    RESTORE_PLAN_MAKE = "restore:plan:make"
    RESTORE_PLAN_REQUEST = "restore:plan:request"
    RESTORE_PLAN_APPROVE = "restore:plan:approve"
    RESTORE_RUN_EXECUTE = "restore:run:execute"
    RESTORE_SCRATCH_CREATE = "restore:scratch:create"
    RESTORE_SCRATCH_DESTROY = "restore:scratch:destroy"
    COPY_RUN_EXECUTE = "copy:run:execute"
    COPY_BACKUP_REPLICATE = "copy:backup:replicate"
    ARCHIVE_SWEEP_EXECUTE = "archive:sweep:execute"
    ARCHIVE_PART_COMMIT = "archive:part:commit"
    ARCHIVE_PART_DISCARD = "archive:part:discard"
    ARCHIVE_ROWS_QUERY = "archive:rows:query"
    ARCHIVE_ROWS_RESTORE = "archive:rows:restore"
    VAULT_OBJECT_STORE = "vault:object:store"
    VAULT_OBJECT_OPEN = "vault:object:open"
    VAULT_OBJECT_DELETE = "vault:object:delete"
    VAULT_OBJECT_HOLD = "vault:object:hold"
    RETENTION_PLAN_MAKE = "retention:plan:make"
    RETENTION_PLAN_REQUEST = "retention:plan:request"
    RETENTION_PLAN_APPROVE = "retention:plan:approve"
    RETENTION_RUN_EXECUTE = "retention:run:execute"
    RETENTION_ITEM_MARK = "retention:item:mark"
    RETENTION_ITEM_DELETE = "retention:item:delete"
    RETENTION_LOCK_EXTEND = "retention:lock:extend"
    KEY_EPOCH_CREATE = "key:epoch:create"
    KEY_EPOCH_UNWRAP = "key:epoch:unwrap"
    KEY_EPOCH_DESTROY = "key:epoch:destroy"
    KEY_ESCROW_ADD = "key:escrow:add"
    KEY_DESTRUCTION_REQUEST = "key:destruction:request"
    KEY_DESTRUCTION_APPROVE = "key:destruction:approve"
    KEY_HEADER_REWRAP = "key:header:rewrap"
    HOLD_RECORD_PLACE = "hold:record:place"
    HOLD_RELEASE_REQUEST = "hold:release:request"
    HOLD_RELEASE_APPROVE = "hold:release:approve"
    HOLD_RECORD_RELEASE = "hold:record:release"
    ACCESS_PERMISSION_REFUSE = "access:permission:refuse"
    AUDIT_LOG_SEAL = "audit:log:seal"
    AUDIT_LOG_VERIFY = "audit:log:verify"
    AUDIT_LOG_RECOVER = "audit:log:recover"
    AUDIT_ENTRY_REJECT = "audit:entry:reject"
    AUDIT_JOURNAL_IMPORT = "audit:journal:import"
    POLICY_FILE_CHANGE = "policy:file:change"
    POLICY_AGREEMENT_CHECK = "policy:agreement:check"
    POLICY_DRAFT_MAKE = "policy:draft:make"
    CATALOG_SCHEMA_UPGRADE = "catalog:schema:upgrade"
    CATALOG_INDEX_REBUILD = "catalog:index:rebuild"


@dataclass(frozen=True)
class OcsfClass:
    """An event's place in OCSF: a class and what was done in it."""

    class_uid: int
    activity_id: int

    @property
    def category_uid(self) -> int:
        """The class's category."""
        return self.class_uid // 1000

    @property
    def type_uid(self) -> int:
        """Class and activity as one number."""
        return self.class_uid * 100 + self.activity_id


_AUTHORIZE, _ENTITY, _API, _DATASTORE = 3003, 3004, 6003, 6005

OCSF_CLASSES: dict[EventType, OcsfClass] = {
    EventType.BACKUP_RUN_EXECUTE: OcsfClass(_DATASTORE, 1),
    EventType.BACKUP_OBJECT_WRITE: OcsfClass(_DATASTORE, 9),
    EventType.BACKUP_MANIFEST_SIGN: OcsfClass(_DATASTORE, 5),
    EventType.BACKUP_DEBRIS_REMOVE: OcsfClass(_DATASTORE, 7),
    EventType.WAL_SEGMENT_SHIP: OcsfClass(_DATASTORE, 9),
    EventType.WAL_GAP_FIND: OcsfClass(_DATASTORE, 1),
    EventType.WAL_LEFTOVER_REMOVE: OcsfClass(_DATASTORE, 7),
    EventType.WAL_SLOT_DROP: OcsfClass(_DATASTORE, 7),
    EventType.VERIFICATION_RUN_EXECUTE: OcsfClass(_DATASTORE, 1),
    EventType.VERIFICATION_LEVEL_CHECK: OcsfClass(_DATASTORE, 1),
    EventType.VERIFICATION_PROOF_SIGN: OcsfClass(_DATASTORE, 5),
    EventType.RESTORE_PLAN_MAKE: OcsfClass(_DATASTORE, 1),
    EventType.RESTORE_PLAN_REQUEST: OcsfClass(_ENTITY, 1),
    EventType.RESTORE_PLAN_APPROVE: OcsfClass(_ENTITY, 3),
    EventType.RESTORE_RUN_EXECUTE: OcsfClass(_DATASTORE, 6),
    EventType.RESTORE_SCRATCH_CREATE: OcsfClass(_DATASTORE, 6),
    EventType.RESTORE_SCRATCH_DESTROY: OcsfClass(_DATASTORE, 7),
    EventType.COPY_RUN_EXECUTE: OcsfClass(_DATASTORE, 1),
    EventType.COPY_BACKUP_REPLICATE: OcsfClass(_DATASTORE, 5),
    EventType.ARCHIVE_SWEEP_EXECUTE: OcsfClass(_DATASTORE, 2),
    EventType.ARCHIVE_PART_COMMIT: OcsfClass(_DATASTORE, 7),
    EventType.ARCHIVE_PART_DISCARD: OcsfClass(_DATASTORE, 7),
    EventType.ARCHIVE_ROWS_QUERY: OcsfClass(_DATASTORE, 1),
    EventType.ARCHIVE_ROWS_RESTORE: OcsfClass(_DATASTORE, 6),
    EventType.VAULT_OBJECT_STORE: OcsfClass(_DATASTORE, 9),
    EventType.VAULT_OBJECT_OPEN: OcsfClass(_DATASTORE, 10),
    EventType.VAULT_OBJECT_DELETE: OcsfClass(_DATASTORE, 7),
    EventType.VAULT_OBJECT_HOLD: OcsfClass(_DATASTORE, 2),
    EventType.RETENTION_PLAN_MAKE: OcsfClass(_DATASTORE, 1),
    EventType.RETENTION_PLAN_REQUEST: OcsfClass(_ENTITY, 1),
    EventType.RETENTION_PLAN_APPROVE: OcsfClass(_ENTITY, 3),
    EventType.RETENTION_RUN_EXECUTE: OcsfClass(_DATASTORE, 7),
    EventType.RETENTION_ITEM_MARK: OcsfClass(_DATASTORE, 2),
    EventType.RETENTION_ITEM_DELETE: OcsfClass(_DATASTORE, 7),
    EventType.RETENTION_LOCK_EXTEND: OcsfClass(_DATASTORE, 2),
    EventType.KEY_EPOCH_CREATE: OcsfClass(_ENTITY, 1),
    EventType.KEY_EPOCH_UNWRAP: OcsfClass(_ENTITY, 2),
    EventType.KEY_EPOCH_DESTROY: OcsfClass(_ENTITY, 4),
    EventType.KEY_ESCROW_ADD: OcsfClass(_ENTITY, 1),
    EventType.KEY_HEADER_REWRAP: OcsfClass(_ENTITY, 3),
    EventType.KEY_DESTRUCTION_REQUEST: OcsfClass(_ENTITY, 1),
    EventType.KEY_DESTRUCTION_APPROVE: OcsfClass(_ENTITY, 3),
    EventType.HOLD_RECORD_PLACE: OcsfClass(_ENTITY, 1),
    EventType.HOLD_RELEASE_REQUEST: OcsfClass(_ENTITY, 1),
    EventType.HOLD_RELEASE_APPROVE: OcsfClass(_ENTITY, 3),
    EventType.HOLD_RECORD_RELEASE: OcsfClass(_ENTITY, 3),
    EventType.ACCESS_PERMISSION_REFUSE: OcsfClass(_AUTHORIZE, 99),
    EventType.AUDIT_LOG_SEAL: OcsfClass(_API, 3),
    EventType.AUDIT_LOG_VERIFY: OcsfClass(_API, 2),
    EventType.AUDIT_LOG_RECOVER: OcsfClass(_API, 3),
    EventType.AUDIT_ENTRY_REJECT: OcsfClass(_API, 4),
    EventType.AUDIT_JOURNAL_IMPORT: OcsfClass(_API, 1),
    EventType.POLICY_FILE_CHANGE: OcsfClass(_ENTITY, 3),
    EventType.POLICY_AGREEMENT_CHECK: OcsfClass(_DATASTORE, 1),
    EventType.POLICY_DRAFT_MAKE: OcsfClass(_DATASTORE, 1),
    EventType.CATALOG_SCHEMA_UPGRADE: OcsfClass(_DATASTORE, 2),
    EventType.CATALOG_INDEX_REBUILD: OcsfClass(_DATASTORE, 2),
}
"""Where each type of event stands in OCSF."""
