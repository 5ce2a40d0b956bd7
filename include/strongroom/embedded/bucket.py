"""SeaweedFS, the S3 server, and its bucket with Object Lock."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from strongroom.embedded import addresses as at
from strongroom.embedded.addresses import LOOPBACK
from strongroom.embedded.credentials import Credentials
from strongroom.embedded.errors import PartFailedError
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.parts import ProcessPart
from strongroom.embedded.state import write_private

BUCKET = "strongroom"
REGION = "us-east-1"
PURPOSES = (
    at.S3, at.S3_GRPC, at.FILER, at.FILER_GRPC, at.MASTER, at.MASTER_GRPC, at.VOLUME, at.VOLUME_GRPC,
)  # fmt: skip


def bucket_part(folder: StateFolder, credentials: Credentials, ports: Mapping[str, int]) -> ProcessPart:
    """The S3 server, listening on 127.0.0.1 alone and reporting to nobody."""
    identities = folder.path / "s3-identities.json"
    write_private(identities, json.dumps(_identities(credentials)))
    return ProcessPart(
        name="seaweedfs",
        title="The S3 server (SeaweedFS)",
        folder=folder,
        command=[Path(sys.executable).with_name("weed"), *_arguments(folder, identities, ports)],
        environment={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder.path / "s3"),
            "GOMEMLIMIT": "300MiB",
        },
        ports={name: ports[name] for name in PURPOSES},
        ready=lambda: _answers(ports[at.S3]),
        expected_seconds=2.0,
        patience_seconds=60.0,
    )


def endpoint_url(ports: Mapping[str, int]) -> str:
    """Where the S3 server listens."""
    return f"http://{LOOPBACK}:{ports[at.S3]}"


def make_bucket(credentials: Credentials, ports: Mapping[str, int]) -> None:
    """Make the bucket, versioned and with Object Lock; harmless when it is there.

    Raises:
        PartFailedError: the server refused.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client(
        "s3",
        endpoint_url=endpoint_url(ports),
        region_name=REGION,
        aws_access_key_id=credentials.s3_access_key,
        aws_secret_access_key=credentials.s3_secret_key,
        config=Config(retries={"max_attempts": 8, "mode": "standard"}, s3={"addressing_style": "path"}),
    )
    try:
        if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    except (ClientError, BotoCoreError) as error:
        raise PartFailedError(f"The bucket {BUCKET} could not be made: {error}") from error
    finally:
        client.close()


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Remove the Unix sockets that a killed server leaves in the temporary directory."""
    for purpose in PURPOSES:
        for socket in Path("/tmp").glob(f"seaweedfs-*-{ports.get(purpose, 0)}.sock"):  # noqa: S108 - its own choice
            socket.unlink(missing_ok=True)


def _identities(credentials: Credentials) -> dict[str, object]:
    keys = [{"accessKey": credentials.s3_access_key, "secretKey": credentials.s3_secret_key}]
    actions = ["Admin", "Read", "List", "Tagging", "Write"]
    return {"identities": [{"name": "strongroom", "credentials": keys, "actions": actions}]}


def _arguments(folder: StateFolder, identities: Path, ports: Mapping[str, int]) -> list[str]:
    return [
        "server",
        f"-dir={folder.path / 's3'}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-master.port={ports[at.MASTER]}",
        f"-master.port.grpc={ports[at.MASTER_GRPC]}",
        f"-volume.port={ports[at.VOLUME]}",
        f"-volume.port.grpc={ports[at.VOLUME_GRPC]}",
        f"-filer.port={ports[at.FILER]}",
        f"-filer.port.grpc={ports[at.FILER_GRPC]}",
        "-s3",
        f"-s3.port={ports[at.S3]}",
        f"-s3.port.grpc={ports[at.S3_GRPC]}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={identities}",
        f"-s3.localSocket={folder.path / 's3' / 's3.sock'}",
        f"-filer.localSocket={folder.path / 's3' / 'filer.sock'}",
        "-filer.concurrentUploadLimitMB=64",
        "-volume.max=100",
        "-master.volumeSizeLimitMB=1024",
        "-master.telemetry=false",
        "-master.electionTimeout=1s",  # there is no other master to wait for
        "-volume.preStopSeconds=0",
    ]


def _answers(port: int) -> bool:
    """Whether the S3 server answers at all: it refuses us, since nobody signed in."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status in (200, 403)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
