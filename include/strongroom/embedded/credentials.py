"""The passwords and keys that `make up` generates once and keeps in a file of mode 0600."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from strongroom.embedded.errors import StateFolderError
from strongroom.embedded.state import write_private

_LATER = frozenset({"airflow_approver"})
"""What a folder of an earlier version lacks, and is given."""


def _password() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Credentials:
    """Every secret of the embedded parts, each for one purpose."""

    control_superuser: str = field(default_factory=_password)
    control_strongroom: str = field(default_factory=_password)
    control_airflow: str = field(default_factory=_password)
    shop_superuser: str = field(default_factory=_password)
    shop_strongroom: str = field(default_factory=_password)
    s3_access_key: str = field(default_factory=lambda: "SR" + secrets.token_hex(9).upper())
    s3_secret_key: str = field(default_factory=_password)
    airflow_admin: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    airflow_approver: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    airflow_viewer: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    airflow_fernet_key: str = field(default_factory=_fernet_key)
    airflow_jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(64))
    airflow_session_secret: str = field(default_factory=_password)

    def __repr__(self) -> str:
        return "Credentials(…)"


def load_credentials(path: Path) -> Credentials:
    """The credentials of the state folder; generated and written when there are none.

    Raises:
        StateFolderError: the file is not what this program wrote.
    """
    try:
        document = json.loads(path.read_text())
        newer = _LATER - document.keys()
        kept = {item.name: str(document[item.name]) for item in fields(Credentials) if item.name not in newer}
    except FileNotFoundError:
        return _written(path, Credentials())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateFolderError(
            f"The credentials in {path} cannot be read ({type(error).__name__}).",
            hint="Put the file back. Without it the data in this folder opens no more: make clean starts anew.",
        ) from error
    credentials = Credentials(**kept)
    return _written(path, credentials) if newer else credentials


def _written(path: Path, credentials: Credentials) -> Credentials:
    write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")
    return credentials
