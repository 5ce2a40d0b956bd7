"""`wal_archive.<database>`: the write-ahead log into the archive, as often as its policy says."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, DeltaTriggerTimetable

from strongroom_airflow.operators import CopyWalOperator, SealAuditLogOperator, WalShipOperator
from strongroom_airflow.policies import policies
from strongroom_airflow.retries import RETRY_ARGUMENTS

DOCUMENTATION = """
### Continuous WAL of {database}

Every {every}, everything that was committed is shipped: a replication slot keeps the log on the server,
`pg_receivewal` fetches the complete segments, each is checked, sealed and uploaded, a signed receipt makes them count,
and only then the slot moves. On a quiet server the current segment is completed first, so that no more than {every}
can be lost.

The task **fails**, and this is the alert, when

* WAL is missing (the slot was dropped, or the server gave up on it): what follows is a new range; *take a backup now*;
* more than {max_lag} waits on the server, whose disk may fill up;
* the server is an old primary, a second one beside it, or damaged.

Each copy that the policy names is brought up to the shipped log right after it (**copy_to_…**). A copy that fails
fails the run too, and the log in the archive stands.

After an outage the next run catches up in small windows. After a failover it follows the new timeline by itself.
`strongroom wal status {database}` shows what is there, up to when, and what is missing.
"""

for policy in policies():
    if policy.backup.wal is None:
        continue
    with DAG(
        dag_id=f"wal_archive.{policy.database}",
        schedule=DeltaTriggerTimetable(policy.backup.wal.ship_every.approximate),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        default_args=RETRY_ARGUMENTS,
        tags=["strongroom", "backup", policy.database],
        doc_md=DOCUMENTATION.format(
            database=policy.database, every=policy.backup.wal.ship_every, max_lag=policy.backup.wal.max_lag
        ),
    ):
        # A teardown runs whatever happened before it, and does not decide how the run ended.
        ship_wal = WalShipOperator(task_id="ship_wal", database=policy.database)
        seal = SealAuditLogOperator(task_id="seal_audit_log").as_teardown()
        ship_wal >> seal
        for name in policy.backup.copies:
            copy_wal = CopyWalOperator(
                task_id=f"copy_to_{name}", database=policy.database, to=name, shipped=ship_wal.output
            )
            ship_wal >> copy_wal >> seal
