"""Putting a file or a query's result into the vault, and taking it out again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from strongroom_airflow.hooks import StrongroomHook

if TYPE_CHECKING:
    from airflow.sdk import Context

_READ_BYTES = 1 << 20


class SealOperator(BaseOperator):
    """Seals a file, or the rows of a query as CSV, into the vault: validate, encrypt, store, record.

    Returns a reference: key, kind, sizes in bytes, and the sealed bytes' SHA-256. The content never passes
    through Airflow, and never lies unencrypted anywhere that it did not before.

    Args:
        key: the new object's key, for instance `exports/{{ dag_run.run_after | ds }}/orders.csv.zst.age`;
            `.zst.age` compresses it, `.age` alone does not. An object that exists stays as it is.
        path: a file that this task's host can read; or instead
        sql: one query, and
        conn_id: the PostgreSQL connection that it runs on, in a read-only transaction.
        kind: what it is: a word, which must be named again when it is opened without the catalogue.
        recipients: who can open it: `epoch`, `escrow`, or ids of epochs.
    """

    template_fields: Sequence[str] = ("key", "path", "sql", "conn_id")
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow reads it from the class

    def __init__(
        self,
        *,
        key: str,
        path: str | None = None,
        sql: str | None = None,
        conn_id: str | None = None,
        kind: str = "file",
        recipients: Sequence[str] = ("epoch", "escrow"),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.key = key
        self.path = path
        self.sql = sql
        self.conn_id = conn_id
        self.kind = kind
        self.recipients = recipients

    def execute(self, context: Context) -> dict[str, Any]:
        """Seal and store."""
        hook = StrongroomHook()
        with self._content(hook) as content:
            stored = hook.services.vault.store(
                hook.actor(context),
                self.key,
                content,
                kind=self.kind,
                recipients=self.recipients,
                compress=self.key.endswith(".zst.age"),
            )
        hook.services.audit_log.seal()
        return {
            "key": stored.key,
            "kind": stored.kind,
            "size_bytes": stored.size_bytes,
            "plaintext_bytes": stored.plaintext_bytes,
            "sha256": stored.sha256,
        }

    def _content(self, hook: StrongroomHook) -> AbstractContextManager[Iterator[Any]]:
        from strongroom.errors import InputError

        if (self.path is None) == (self.sql is None):
            raise InputError(f"The task {self.task_id} needs either `path` or `sql`.")
        if self.path is not None:
            return _file_content(self.path)
        if self.sql is None or self.conn_id is None:
            raise InputError(f"The task {self.task_id} has `sql` and needs `conn_id` too.")
        return _query_content(hook.conninfo_of(self.conn_id), self.sql)


class UnsealOperator(BaseOperator):
    """Takes an object out of the vault into a new file (mode 0600): authorise, fetch, decrypt, deliver.

    The DAG needs a role that may open objects (`dag_roles` in the settings). The file appears under its name
    only when everything was decrypted and checked. Returns the path and the number of bytes.

    Args:
        key: the object's key.
        path: the file to write; one that exists is not overwritten.
        kind: what it is, for an object that the catalogue does not know.
    """

    template_fields: Sequence[str] = ("key", "path")

    def __init__(self, *, key: str, path: str, kind: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = key
        self.path = path
        self.kind = kind

    def execute(self, context: Context) -> dict[str, Any]:
        """Open and deliver."""
        from strongroom.files import new_private_file

        hook = StrongroomHook()
        try:
            with (
                hook.services.vault.fetch(hook.actor(context), self.key, kind=self.kind) as opened,
                new_private_file(self.path) as target,
            ):
                size_bytes = sum(target.write(part) for part in opened)
        finally:
            hook.services.audit_log.seal()
        return {"path": self.path, "size_bytes": size_bytes}


@contextmanager
def _file_content(path: str) -> Iterator[Iterator[bytes]]:
    from pathlib import Path

    from strongroom.errors import InputError

    if not Path(path).is_file():
        raise InputError(f"{path} is not a file on this task's host.")
    with Path(path).open("rb") as file:
        yield iter(lambda: file.read(_READ_BYTES), b"")


@contextmanager
def _query_content(conninfo: str, query: str) -> Iterator[Iterator[Any]]:
    from psycopg import sql as composed

    from strongroom.postgres import connect

    statement = composed.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER true)").format(
        composed.SQL(query.strip().rstrip(";"))  # type: ignore[arg-type]
    )
    with connect(conninfo, application_name="strongroom seal", autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = on")
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            yield iter(copy)
