"""What the embedded parts are called and how they find one another: databases, settings, connections."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from strongroom.embedded import addresses as at
from strongroom.embedded.addresses import LOOPBACK
from strongroom.embedded.airflow_parts import ADMIN, APPROVER, airflow_environment, airflow_parts
from strongroom.embedded.bucket import BUCKET, REGION, bucket_part, endpoint_url
from strongroom.embedded.credentials import Credentials
from strongroom.embedded.databases import Database, PostgresPart, conninfo, url
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.parts import ProcessPart
from strongroom.embedded.rest import AirflowApi
from strongroom.embedded.state import write_private

BACKUP_ROLE = "strongroom"


@dataclass(frozen=True)
class Installation:
    """All parts of one state folder, with their ports and secrets."""

    folder: StateFolder
    credentials: Credentials
    ports: Mapping[str, int]

    @cached_property
    def control_database(self) -> Database:
        """Strongroom's own database."""
        return Database("strongroom", "strongroom", self.credentials.control_strongroom)

    @cached_property
    def control(self) -> PostgresPart:
        """The cluster of the control database and Airflow's metadata."""
        return PostgresPart(
            name="control",
            title="PostgreSQL for Strongroom's and Airflow's own data",
            folder=self.folder,
            port=self.ports[at.CONTROL],
            superuser_password=self.credentials.control_superuser,
            databases=(
                self.control_database,
                Database("airflow", "airflow", self.credentials.control_airflow),
            ),
        )

    @cached_property
    def shop(self) -> PostgresPart:
        """The cluster that is protected."""
        return PostgresPart(
            name="shop",
            title="PostgreSQL with the sample shop",
            folder=self.folder,
            port=self.ports[at.SHOP],
            superuser_password=self.credentials.shop_superuser,
            databases=(self._owned_database(),),
            backup_role=(BACKUP_ROLE, self.credentials.shop_strongroom),
        )

    @cached_property
    def seaweedfs(self) -> ProcessPart:
        """The S3 server."""
        return bucket_part(self.folder, self.credentials, self.ports)

    @cached_property
    def api(self) -> AirflowApi:
        """Airflow's REST API, signed in as its administrator."""
        return AirflowApi(self.ports[at.UI], ADMIN, self.credentials.airflow_admin)

    @cached_property
    def airflow_environment(self) -> dict[str, str]:
        """The environment of Airflow's processes."""
        return airflow_environment(self.folder, self.credentials, self.ports, self._connections())

    @cached_property
    def airflow(self) -> list[ProcessPart]:
        """Airflow's processes."""
        return airflow_parts(self.folder, self.airflow_environment, self.ports, self.api)

    def _owned_database(self) -> Database:
        return Database("shop", "shop", self.credentials.shop_superuser)

    def _backup_database(self) -> Database:
        return Database("shop", BACKUP_ROLE, self.credentials.shop_strongroom)

    def _connections(self) -> dict[str, object]:
        return {
            "db_shop": _postgres(self.ports[at.SHOP], self._backup_database()),
            "db_shop_owner": _postgres(self.ports[at.SHOP], self._owned_database()),
            "strongroom_control": _postgres(self.ports[at.CONTROL], self.control_database),
            "strongroom_s3": {
                "conn_type": "aws",
                "login": self.credentials.s3_access_key,
                "password": self.credentials.s3_secret_key,
                "extra": {"endpoint_url": endpoint_url(self.ports), "region_name": REGION},
            },
        }

    def write_settings(self) -> None:
        """Write the settings file for the command line and for Airflow's tasks."""
        import yaml

        include = self.folder.repository / "include"
        document = {
            "store": {
                "kind": "s3",
                "bucket": BUCKET,
                "endpoint_url": endpoint_url(self.ports),
                "region": REGION,
                "access_key_id": self.credentials.s3_access_key,
                "secret_access_key": self.credentials.s3_secret_key,
            },
            "control_database": url(self.ports[at.CONTROL], self.control_database),
            "keys": {"provider": "file", "path": "./keys/local.key"},
            "signing_key": "./keys/signing.key",
            "policy_directory": str(include / "policy"),
            "expectations_directory": str(include / "expectations"),
            "scratch_directory": str(self.folder.scratch),
            "restore_directory": str(self.folder.restored),
            "person_roles": {ADMIN: ["operator"], APPROVER: ["operator"]},
            "databases": {
                "shop": conninfo(self.ports[at.SHOP], self._backup_database()),
                "shop_owner": conninfo(self.ports[at.SHOP], self._owned_database()),
            },
        }
        heading = "# Written by `make up`, anew each time.\n"
        write_private(self.folder.settings, heading + yaml.safe_dump(document, sort_keys=False))

    def command(self, *arguments: str) -> list[str]:
        """The command line of `strongroom` with this installation's settings."""
        return [sys.executable, "-m", "strongroom.cli", "--settings", str(self.folder.settings), *arguments]


def _postgres(port: int, database: Database) -> dict[str, object]:
    return {
        "conn_type": "postgres",
        "host": LOOPBACK,
        "port": port,
        "login": database.role,
        "password": database.password,
        "schema": database.name,
    }
