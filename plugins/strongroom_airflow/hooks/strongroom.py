"""The hook: Strongroom's services, built from its settings and from Airflow's connections.

    strongroom_s3        the bucket's credentials and endpoint (Amazon provider)
    strongroom_copy_<n>  the same of the copy <n> of the settings
    strongroom_control   the control database
    db_<database>        a protected database, by its name in the policy

A connection that does not exist leaves what the settings say.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from airflow.sdk import Connection, Context

    from strongroom.access import Actor
    from strongroom.services import Services


class StrongroomHook(BaseHook):
    """Gives operators the services and the actor they act as.

    Args:
        s3_conn_id: the Amazon connection for the bucket.
        control_conn_id: the PostgreSQL connection of the control database.
    """

    def __init__(
        self, s3_conn_id: str = "strongroom_s3", control_conn_id: str = "strongroom_control"
    ) -> None:
        super().__init__()
        self.s3_conn_id = s3_conn_id
        self.control_conn_id = control_conn_id

    @cached_property
    def services(self) -> Services:
        """Strongroom's services for this process.

        Raises:
            ConfigurationError: the settings or a connection cannot be used.
        """
        from strongroom.services import Services
        from strongroom.settings import load_settings

        settings = load_settings()
        return Services(
            settings,
            s3_client=self._s3_client(self.s3_conn_id) if settings.store.kind == "s3" else None,
            copy_client=lambda name: self._s3_client(f"strongroom_copy_{name}"),
            conninfo=self._conninfo,
            control_database_url=self._control_database_url(),
        )

    def actor(self, context: Context) -> Actor:
        """The task that runs, with the roles that the settings give its DAG."""
        from strongroom.access import Actor, ActorKind, Role, RunReference, roles_for

        instance = context["ti"]
        run = RunReference(
            dag_id=instance.dag_id,
            run_id=_reference(instance.run_id),
            task_id=instance.task_id,
            try_number=instance.try_number,
            map_index=-1 if instance.map_index is None else instance.map_index,
        )
        roles = roles_for(instance.dag_id, self.services.settings.dag_roles) or frozenset({Role.APPLICATION})
        return Actor(f"{instance.dag_id}.{instance.task_id}", ActorKind.TASK, roles, run)

    def conninfo_of(self, conn_id: str) -> str:
        """The connection string of a PostgreSQL connection.

        Raises:
            ConfigurationError: it leaves the machine without a verified certificate.
        """
        from psycopg.conninfo import make_conninfo

        from strongroom.errors import ConfigurationError
        from strongroom.settings import check_transport

        connection = self.get_connection(conn_id)
        options = {name: value for name, value in connection.extra_dejson.items() if isinstance(value, str)}
        conninfo = make_conninfo(
            **_present(
                host=connection.host,
                port=connection.port,
                user=connection.login,
                password=connection.password,
                dbname=connection.schema,
            ),
            **options,
        )
        try:
            check_transport(conninfo, f"The connection {conn_id}")
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        return conninfo

    def _conninfo(self, database: str) -> str:
        conn_id = f"db_{database}"
        if self._find(conn_id) is not None:
            return self.conninfo_of(conn_id)
        from strongroom.errors import ConfigurationError

        secret = self.services.settings.databases.get(database)
        if secret is None:
            raise ConfigurationError(
                f"There is no Airflow connection {conn_id}.",
                hint=f"Add a PostgreSQL connection {conn_id} for the database {database}.",
            )
        return secret.get_secret_value()

    def _s3_client(self, conn_id: str) -> Any:
        if self._find(conn_id) is None:
            return None
        from airflow.providers.amazon.aws.hooks.s3 import S3Hook

        return S3Hook(aws_conn_id=conn_id).get_conn()

    def _control_database_url(self) -> str | None:
        connection = self._find(self.control_conn_id)
        return connection.get_uri().replace("postgres://", "postgresql://", 1) if connection else None

    def _find(self, conn_id: str) -> Connection | None:
        from airflow.sdk.exceptions import AirflowNotFoundException

        try:
            return self.get_connection(conn_id)
        except AirflowNotFoundException:
            return None


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _reference(run_id: str) -> str:
    """The run's id without the marks that the audit log does not take, such as `+` of a time zone."""
    return "".join(
        character if character.isascii() and (character.isalnum() or character in "_.~:/+=#,*[]-") else "_"
        for character in run_id
    )
