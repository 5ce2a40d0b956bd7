"""Starting, finding and stopping processes that outlive the command which started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from strongroom.embedded.down import down, sweep
from strongroom.embedded.errors import PartFailedError
from strongroom.embedded.folder import StateFolder
from strongroom.embedded.parts import ProcessPart, stop_part
from strongroom.embedded.sessions import spawn
from strongroom.embedded.state import State
from strongroom.postgres.processes import ProcessIdentity

SLEEP = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    folder = StateFolder(tmp_path / "state", tmp_path / "state", repository=tmp_path)
    folder.prepare()
    yield folder
    down(folder)


@pytest.fixture
def state(folder):
    return State.load(folder.state)


def part(folder, script, *, ready=lambda: True, patience_seconds=10.0) -> ProcessPart:
    return ProcessPart(
        name="part",
        title="The part",
        folder=folder,
        command=[sys.executable, "-u", "-c", script],
        environment={"PATH": os.environ["PATH"]},
        ports={},
        ready=ready,
        expected_seconds=1,
        patience_seconds=patience_seconds,
    )


def printed(folder, seconds=10.0) -> str:
    deadline = time.monotonic() + seconds
    while not (text := folder.log("part").read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return text.strip()


def test_a_started_part_is_found_running_by_the_next_command(folder, state):
    part(folder, SLEEP).start(state)
    assert part(folder, SLEEP).running(State.load(folder.state))


def test_a_stopped_part_is_gone_when_stop_returns(folder, state):
    part(folder, SLEEP).start(state)
    record = state.parts["part"]
    assert stop_part("part", state, folder)
    assert not record.alive()
    assert State.load(folder.state).parts == {}


def test_stopping_twice_is_harmless(folder, state):
    part(folder, SLEEP).start(state)
    stop_part("part", state, folder)
    assert not stop_part("part", state, folder)


def test_a_part_that_does_not_listen_is_killed(folder, state, monkeypatch):
    monkeypatch.setattr("strongroom.embedded.parts._PATIENCE_SECONDS", 0.3)
    part(folder, DEAF, ready=lambda: bool(printed(folder))).start(state)
    record = state.parts["part"]
    stop_part("part", state, folder)
    assert not record.alive()


def test_what_a_part_started_ends_with_it_also_in_a_process_group_of_its_own(folder, state):
    part(folder, PARENT).start(state)
    child = ProcessIdentity.of(int(printed(folder)))
    stop_part("part", state, folder)
    assert not child.alive()


def test_what_a_killed_part_left_is_stopped_too(folder, state):
    part(folder, PARENT).start(state)
    child = ProcessIdentity.of(int(printed(folder)))
    os.kill(state.parts["part"].pid, signal.SIGKILL)
    stop_part("part", state, folder)
    assert not child.alive()


def test_a_part_that_dies_shows_the_end_of_its_log(folder, state):
    with pytest.raises(PartFailedError, match=r"(?s)ended by itself.*no room in the vault"):
        part(folder, "raise SystemExit('no room in the vault')", ready=lambda: False).start(state)


def test_a_part_that_never_works_shows_the_end_of_its_log(folder, state):
    script = "print('still thinking'); " + SLEEP
    with pytest.raises(PartFailedError, match=r"(?s)does not work after.*still thinking"):
        part(folder, script, ready=lambda: False, patience_seconds=2).start(state)


def test_what_a_killed_part_left_is_stopped_also_when_it_hides_its_environment(folder, state):
    part(folder, PARENT.replace("process_group=0", "env={}")).start(state)
    child = ProcessIdentity.of(int(printed(folder)))
    os.kill(state.parts["part"].pid, signal.SIGKILL)
    stop_part("part", state, folder)
    assert not child.alive()


def test_an_error_shows_the_log_of_this_start_only(folder, state):
    folder.log("part").write_text("an old misfortune\n")
    with pytest.raises(PartFailedError) as caught:
        part(folder, "raise SystemExit('new')", ready=lambda: False).start(state)
    assert "an old misfortune" not in str(caught.value)


def test_a_process_that_a_killed_start_could_not_note_is_ended(folder, state):
    stray = spawn(
        [sys.executable, "-c", SLEEP],
        environment={},
        marker=folder.path,
        directory=folder.path,
        log_path=folder.log("stray"),
    )
    while not Path(f"/proc/{stray.pid}/environ").read_bytes():
        time.sleep(0.01)  # for a moment after its start a program has no environment yet
    sweep(folder, state)
    assert not stray.alive()


def test_down_leaves_everybody_elses_processes_alone(folder, state):
    part(folder, SLEEP).start(state)
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as other:
        try:
            assert down(folder) == ["part"]
            assert not part(folder, SLEEP).running(State.load(folder.state))
            assert other.poll() is None
        finally:
            other.kill()


def test_a_part_of_before_a_reboot_is_started_again(folder, state):
    part(folder, SLEEP).start(state)
    stop_part("part", state, folder)
    own = ProcessIdentity.own()
    from strongroom.embedded.state import PartRecord

    state.remember(PartRecord("part", own.pid, own.start_ticks, "another boot", {}, "/log"))
    assert not part(folder, SLEEP).running(state)
    part(folder, SLEEP).start(state)
    assert own.alive()
