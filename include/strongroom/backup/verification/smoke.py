"""L5: the policy's own questions to the restored database, each answered with true or false."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from strongroom.postgres import connect


@dataclass(frozen=True)
class SmokeAnswer:
    """How the restored database answered one query."""

    holds: bool
    detail: str


def ask(conninfo: str, query: str, timeout_seconds: int) -> SmokeAnswer:
    """Run one query in a read-only transaction; it holds when the first column of its first row is true.

    Args:
        conninfo: the restored database.
        query: one statement; it is not repeated in the answer, as it may name a person.
        timeout_seconds: after which the server gives up.
    """
    with connect(conninfo, application_name="strongroom verify", autocommit=False) as connection:
        connection.read_only = True
        try:
            connection.execute("SELECT set_config('statement_timeout', %s, true)", (f"{timeout_seconds}s",))
            cursor = connection.execute(query.encode(), prepare=False)
            row = cursor.fetchone() if cursor.description else None
        except psycopg.errors.QueryCanceled:
            return SmokeAnswer(False, f"no answer within {timeout_seconds} seconds")
        except psycopg.errors.ReadOnlySqlTransaction:
            return SmokeAnswer(False, "the query writes; a smoke query may only read")
        except (psycopg.OperationalError, psycopg.InterfaceError):
            raise
        except psycopg.Error as error:
            return SmokeAnswer(False, f"the query is refused ({error.sqlstate or type(error).__name__})")
        finally:
            connection.rollback()
    if row is None:
        return SmokeAnswer(False, "the query gives no row; it must give true")
    return SmokeAnswer(row[0] is True, "true" if row[0] is True else f"not true, but {_kind(row[0])}")


def _kind(value: object) -> str:
    if value is None or value is False:
        return "null" if value is None else "false"
    return f"of the type {type(value).__name__}"
