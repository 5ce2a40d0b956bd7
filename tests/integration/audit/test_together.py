"""Many writers and several sealers at once: every event once, and the log checks out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from uuid import UUID

from sqlalchemy import text

from strongroom.audit import verify_log
from tests.integration.audit.conftest import LogUnderTest

_WRITERS, _EVENTS, _SEALERS = 8, 250, 2

_WRITER = """
import json, random, sys
from datetime import UTC, datetime
from sqlalchemy import create_engine
from strongroom.access import Actor, ActorKind
from strongroom.audit import Event, QueueSink, Target
url, number, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
engine, sink, kept = create_engine(url, pool_size=1), QueueSink(), []
actor = Actor("somebody", ActorKind.PERSON, frozenset(), host="worker")
generator = random.Random(number)
for event in range(count):
    with engine.connect() as connection:
        target = Target("object", f"writer/{number}/{event}")
        event_id = sink.emit(connection, Event(type="backup:object:write", phase="attempt", actor=actor, target=target))
        if generator.random() < 0.1:
            connection.rollback()
        else:
            connection.commit()
            kept.append(str(event_id))
print(json.dumps(kept))
"""

_SEALER = """
import sys
from pathlib import Path
from sqlalchemy import create_engine
from strongroom.audit import AuditLog
from strongroom.clock import SystemClock
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore
url, directory, key = sys.argv[1:]
log = AuditLog(create_engine(url), LocalObjectStore(Path(directory)), SignerKey.parse(key), SystemClock())
print("ready", flush=True)
for line in sys.stdin:
    print(log.seal().sealed, flush=True)
"""


def _start(program: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_eight_writers_and_two_sealers_lose_and_repeat_nothing(subject: LogUnderTest) -> None:
    url = subject.engine.url.render_as_string(hide_password=False)
    sealers = [_start(_SEALER, url, str(subject.directory), subject.signer.encode()) for _ in range(_SEALERS)]
    for sealer in sealers:
        assert sealer.stdout is not None
        assert sealer.stdout.readline() == "ready\n"
    writers = [_start(_WRITER, url, str(number), str(_EVENTS)) for number in range(_WRITERS)]
    generator = random.Random(8)
    while any(writer.poll() is None for writer in writers):
        print(file=generator.choice(sealers).stdin, flush=True)
        time.sleep(0.01)
    kept = [UUID(event) for writer in writers for event in json.loads(writer.communicate()[0])]
    sealed = [sealer.communicate()[0].split() for sealer in sealers]
    assert all(writer.returncode == 0 for writer in writers)
    assert all(sealer.returncode == 0 for sealer in sealers)
    assert all(len(counts) > 1 for counts in sealed)

    size = subject.log().seal().size
    assert size == len(kept) == len(set(kept))
    assert sorted(subject.event_ids()) == sorted(kept)
    assert verify_log(subject.store, subject.signer.verifier).size == size


def test_a_late_commit_gets_a_later_place(subject: LogUnderTest) -> None:
    from strongroom.audit import QueueSink
    from tests.integration.audit.conftest import object_event

    with subject.engine.connect() as late:
        slow = QueueSink(subject.clock).emit(late, object_event(1))
        (quick,) = subject.record(1)
        assert subject.log().seal().sealed == 1
        late.commit()
    assert subject.log().seal().sealed == 1
    assert subject.event_ids() == [quick, slow]
    with subject.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM audit_queue")).scalar() == 0
