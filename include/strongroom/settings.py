"""Every setting of an installation, read in this one place.

From the first of: the file that `STRONGROOM_SETTINGS` names; `.strongroom/settings.yaml` in the working
directory or one above it (what `make up` writes). Environment variables override a file, with `__` between
the parts of a name: `STRONGROOM_STORE__BUCKET=backups`. A secret can stand in a file of its own:
`control_database_file`, `secret_access_key_file`, `passphrase_file`. A path that starts with `./` or `../` is
taken from the settings file's own folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from strongroom.errors import ConfigurationError

SETTINGS_VARIABLE = "STRONGROOM_SETTINGS"
_DEFAULT_FILE = Path(".strongroom") / "settings.yaml"
_POLICY_VARIABLE = "STRONGROOM_POLICY_DIRECTORY"
_POLICY_DIRECTORY = Path("include") / "policy"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", ""})
_OWN_PIPELINES: Mapping[str, tuple[str, ...]] = {
    "nightly_backup.*": ("operator",),
    "restore_verification.*": ("operator",),
    "wal_archive.*": ("operator",),
    "restore": ("operator",),
    "legal_hold": ("operator",),
    "retention_purge": ("operator",),
    "archive_sweep": ("operator",),
    "key_rotation": ("operator",),
    "audit_seal": ("operator",),
    "health_check": ("operator",),
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class S3StoreSettings(_Section):
    """A bucket. Without keys, boto3's own chain of credentials is used."""

    kind: Literal["s3"]
    bucket: str = Field(min_length=3)
    prefix: str = ""
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    secret_access_key_file: Path | None = None

    @field_validator("endpoint_url")
    @classmethod
    def _encrypted_unless_local(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith("https://") and urlsplit(url).hostname not in _LOOPBACK:
            raise ValueError("an endpoint outside this machine must be https://")
        return url

    def place(self) -> tuple[str, ...]:
        """Where it is, to tell two of them apart."""
        return ("s3", self.endpoint_url or self.region, self.bucket, self.prefix.strip("/"))

    def secret(self) -> str | None:
        """The secret access key, from its own file where one is named."""
        return _secret(self.secret_access_key, self.secret_access_key_file)


class LocalStoreSettings(_Section):
    """A directory on one machine: no versions, no locks."""

    kind: Literal["local"]
    directory: Path

    def place(self) -> tuple[str, ...]:
        """Where it is, to tell two of them apart."""
        return ("local", str(self.directory.resolve()))


class FileKeySettings(_Section):
    """A local key file (mode 0600) that wraps the epochs' private halves."""

    provider: Literal["file"] = "file"
    path: Path
    passphrase_file: Path | None = None

    def passphrase(self) -> str | None:
        """The key file's passphrase, where it has one."""
        return _secret(None, self.passphrase_file)


class KmsKeySettings(_Section):
    """An AWS KMS key that wraps the epochs' private halves."""

    provider: Literal["aws-kms"]
    key_id: str
    region: str = "us-east-1"
    endpoint_url: str | None = None


class Settings(BaseSettings):
    """An installation's settings."""

    model_config = SettingsConfigDict(
        env_prefix="STRONGROOM_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    store: Annotated[S3StoreSettings | LocalStoreSettings, Field(discriminator="kind")]
    copies: Mapping[str, Annotated[S3StoreSettings | LocalStoreSettings, Field(discriminator="kind")]] = (
        Field(default_factory=dict)
    )
    """Further stores by the names that policies give them in `backup.copies`."""
    control_database: SecretStr | None = None
    """URL of the control database. In Airflow, the connection `strongroom_control` may give it instead."""
    control_database_file: Path | None = None
    keys: Annotated[FileKeySettings | KmsKeySettings, Field(discriminator="provider")] | None = None
    """What opens the epochs' private halves; a host that only writes has none."""
    signing_key: Path | None = None
    """Signs manifests, proofs and checkpoints; a host that only reads has none."""
    verifier_key: str | None = None
    """The public half, for hosts without `signing_key`; where both stand they must agree."""
    policy_directory: Path = _POLICY_DIRECTORY
    expectations_directory: Path = Path("include/expectations")
    scratch_directory: Path = Path("/var/tmp/strongroom")  # noqa: S108 - made 0700, owned by us
    restore_directory: Path = Path("/var/lib/strongroom/restored")
    """Below it the `restore` pipeline may make directories, and nowhere else."""
    journal_directory: Path = Path("~/.local/state/strongroom/journal")
    """Where a host without a control database writes down what it does."""
    postgres_directories: tuple[Path, ...] = ()
    """Further places to look for a PostgreSQL server's programs."""
    dag_roles: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: dict(_OWN_PIPELINES))
    """Roles of Airflow's tasks by DAG id (`*` matches any text). A DAG that is not named may only store."""
    person_roles: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Roles of people by their Airflow account (`*` matches any text). Who is not named can approve nothing."""
    databases: Mapping[str, SecretStr] = Field(default_factory=dict)
    """Connection strings by the policy's database name, for the command line; Airflow has `db_<name>`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then the file that `load_settings` found."""
        return (env_settings, init_settings)

    @model_validator(mode="before")
    @classmethod
    def _without_own_variable(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if name != "settings"}

    @model_validator(mode="after")
    def _databases_encrypted_unless_local(self) -> Settings:
        for name, conninfo in self.databases.items():
            check_transport(conninfo.get_secret_value(), f"databases.{name}")
        if self.control_database is not None:
            check_transport(self.control_database.get_secret_value(), "control_database")
        return self

    @model_validator(mode="after")
    def _copies_elsewhere(self) -> Settings:
        places = {"store": self.store, **{f"copies.{name}": copy for name, copy in self.copies.items()}}
        known: dict[tuple[str, ...], str] = {}
        for name, place in places.items():
            first = known.setdefault(place.place(), name)
            if first != name:
                raise ValueError(f"{name} is the same place as {first}: a copy must lie elsewhere")
        return self

    def control_database_url(self) -> str | None:
        """The control database's URL, from its own file where one is named."""
        return _secret(self.control_database, self.control_database_file)


def load_settings(path: Path | None = None) -> Settings:
    """The settings of this installation.

    Args:
        path: the file to read instead of looking for one.

    Raises:
        ConfigurationError: no file was found, it cannot be read, or settings are wrong; each one is named.
    """
    source = path or _find_file()
    try:
        return Settings(**_read(source))
    except ValidationError as error:
        problems = "\n".join(f"  {_place(item['loc'])}: {item['msg']}" for item in error.errors())
        raise ConfigurationError(
            f"The settings in {source or 'the environment'} are not usable:\n{problems}",
            hint="README, section Settings, lists them all.",
        ) from error


def policy_directory(project: Path) -> Path:
    """Where the policy files are, for whoever needs no more than that: pipelines are there before the settings are.

    Args:
        project: the project's own folder; a relative setting starts there, and its `include/policy` is the default.

    Raises:
        ConfigurationError: the settings file cannot be read.
    """
    chosen = os.environ.get(_POLICY_VARIABLE)
    source = _find_file()
    if chosen is None and source is not None:
        chosen = _read(source).get("policy_directory")
    return project / (chosen or _POLICY_DIRECTORY)


def check_transport(conninfo: str, name: str) -> None:
    """Let a connection pass that stays on this machine or verifies its server's certificate.

    Raises:
        ValueError: it leaves the machine without `sslmode=verify-full`.
    """
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.errors import Error

    try:
        parameters = conninfo_to_dict(conninfo.replace("postgresql+psycopg://", "postgresql://"))
    except Error as error:
        raise ValueError(f"{name} is not a PostgreSQL connection string") from error
    hosts = [host.strip() for host in str(parameters.get("host") or "").split(",")]
    if all(host in _LOOPBACK or host.startswith(("/", "@")) for host in hosts):
        return
    if parameters.get("sslmode") != "verify-full":
        raise ValueError(f"{name} leaves this machine: add sslmode=verify-full (and sslrootcert)")


def _find_file() -> Path | None:
    named = os.environ.get(SETTINGS_VARIABLE)
    if named:
        return Path(named)
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / _DEFAULT_FILE).is_file():
            return directory / _DEFAULT_FILE
    return None


def _read(source: Path | None) -> dict[str, Any]:
    if source is None:
        if any(name.startswith("STRONGROOM_STORE__") for name in os.environ):
            return {}
        raise ConfigurationError(
            f"There are no settings: {SETTINGS_VARIABLE} is unset, and no {_DEFAULT_FILE} is here or above.",
            hint="`make up` writes one; README, section Settings, shows how to write your own.",
        )
    from yaml import YAMLError

    if not source.is_file():
        raise ConfigurationError(f"The settings file {source} does not exist.")
    try:
        return _relative_to(source.resolve().parent, YamlConfigSettingsSource(Settings, yaml_file=source)())
    except (OSError, YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The settings file {source} cannot be read: {error}") from error


def _relative_to(directory: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The values with paths under `./` and `../` taken from the file's own folder."""

    def resolve(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: resolve(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [resolve(inner) for inner in value]
        if isinstance(value, str) and value.startswith(("./", "../")):
            return str((directory / value).resolve())
        return value

    return {name: resolve(value) for name, value in values.items()}


def _secret(value: SecretStr | None, file: Path | None) -> str | None:
    if file is None:
        return value.get_secret_value() if value else None
    try:
        return file.read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"The secret file {file} cannot be read: {error.strerror}") from error


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "settings"
