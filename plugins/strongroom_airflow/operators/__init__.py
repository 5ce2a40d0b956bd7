"""Operators: template fields in, a call of the hook, a reference out."""

from strongroom_airflow.operators.archive import ArchivedTablesOperator, SweepOperator
from strongroom_airflow.operators.audit import SealAuditLogOperator
from strongroom_airflow.operators.backup import BackupOperator
from strongroom_airflow.operators.copies import CopyOperator, CopyWalOperator
from strongroom_airflow.operators.rules import CheckPolicyOperator
from strongroom_airflow.operators.vault import SealOperator, UnsealOperator
from strongroom_airflow.operators.verification import VerifyBackupOperator
from strongroom_airflow.operators.wal import WalShipOperator

__all__ = [
    "ArchivedTablesOperator",
    "BackupOperator",
    "CheckPolicyOperator",
    "CopyOperator",
    "CopyWalOperator",
    "SealAuditLogOperator",
    "SealOperator",
    "SweepOperator",
    "UnsealOperator",
    "VerifyBackupOperator",
    "WalShipOperator",
]
