"""A sealer may fail or be killed anywhere: the next seal converges, nothing lost, nothing twice."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from uuid import UUID

import pytest

from strongroom.audit import check_extends, verify_log
from strongroom.storage import StoreUnavailableError
from tests.integration.audit.conftest import LogUnderTest
from tests.integration.audit.faults import FaultyStore, unavailable

_MORE_STEPS_THAN_THERE_ARE = 100_000


def check_converged(subject: LogUnderTest, recorded: list[UUID]) -> None:
    while (report := subject.log().seal()).busy:
        time.sleep(0.01)  # the server has not noticed yet that the killed sealer is gone
    assert sorted(subject.event_ids()) == sorted(recorded)
    verified = verify_log(subject.store, subject.signer.verifier)
    assert (verified.size, verified.root) == (len(recorded), report.root)
    assert subject.scalar("SELECT count(*) FROM audit_queue") == 0
    assert subject.scalar("SELECT published_size FROM audit_state") == len(recorded)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_store_that_fails_at_any_call_loses_nothing(subject: LogUnderTest, after: bool) -> None:
    recorded: list[UUID] = []
    notes: list[str] = []
    for position in range(1, _MORE_STEPS_THAN_THERE_ARE):
        recorded += subject.record(130)
        store = FaultyStore(subject.directory, position, after=after, fault=unavailable)
        try:
            subject.log(store).seal()
        except StoreUnavailableError:
            check_converged(subject, recorded)
            notes.append(subject.store.get_bytes("log/checkpoint").decode())
        if store.calls < position:
            break
    assert position > 6
    for note in notes:
        check_extends(subject.store, subject.signer.verifier, note)


# One process imports everything and forks a child for every line it reads: the step at which the child is to
# be killed. A step is a call of, or a return from, a function of the audit package or of the database driver.
_SEALERS_TO_BE_KILLED = """
import os, signal, sys, threading, traceback
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import create_engine
from strongroom.audit import AuditLog
from strongroom.clock import FixedClock
from strongroom.signing import SignerKey
from strongroom.storage import LocalObjectStore

url, directory, key = sys.argv[1:]

def seal(position):
    count = 0
    def watch(frame, event, argument):
        nonlocal count
        name = frame.f_code.co_filename
        if event in ("call", "return") and ("/strongroom/audit/" in name or name.endswith("psycopg/cursor.py")):
            count += 1
            if count == position:
                os.kill(os.getpid(), signal.SIGKILL)
    signer, store = SignerKey.parse(key), LocalObjectStore(Path(directory))
    log = AuditLog(create_engine(url), store, signer, FixedClock(datetime.now(UTC)))
    threading.setprofile(watch)
    sys.setprofile(watch)
    log.seal()
    sys.setprofile(None)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        try:
            seal(int(line))
            os._exit(0)
        except BaseException:
            sys.setprofile(None)
            traceback.print_exc()
            os._exit(1)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_a_sealer_killed_at_any_step_loses_nothing(subject: LogUnderTest) -> None:
    url = subject.engine.url.render_as_string(hide_password=False)
    arguments = [url, str(subject.directory), subject.signer.encode()]
    recorded: list[UUID] = []
    position, killed = 1, 0
    with _sealers(arguments) as sealers:
        while True:
            recorded += subject.record(90)
            print(position, file=sealers.stdin, flush=True)
            assert sealers.stdout is not None
            status = int(sealers.stdout.readline())
            check_converged(subject, recorded)
            if status != signal.SIGKILL:
                break
            killed += 1
            position += max(1, position // 4)
        assert sealers.stdin is not None
        sealers.stdin.close()
    assert status == 0
    assert killed >= 20


def _sealers(arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _SEALERS_TO_BE_KILLED, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
