"""The sweeps: a scenario is run once to count its steps, then once for each way in which each step can go wrong.

    run with one fault → it fails loudly, or truly succeeds → run again without → everything is as if nothing happened

"As if nothing happened" means: what there is then is what one clean run leaves, or two (when the faulty run had
done its work and only the answer was lost), and everything that `Ground.check` knows of holds.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from strongroom.errors import StrongroomError
from tests.sweeps.faults import COMMIT, Fault, Faults, Harm, Moment, Step
from tests.sweeps.ground import Ground, Lab

_PRELOADED = ["tests.sweeps.scenarios", "strongroom.backup.verification", "strongroom.catalog", "psycopg"]


class Scenario(ABC):
    """One command. It is pickled, to be run in a process that dies."""

    @abstractmethod
    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        """Do it once."""

    @abstractmethod
    def check(self, ground: Ground) -> None:
        """What must hold after a successful run of this scenario, besides what must always hold."""


@dataclass(frozen=True)
class Finding:
    """A fault after which something is not as it must be."""

    fault: Fault
    step: str
    problem: str

    def __str__(self) -> str:
        return (
            f"{self.fault.harm} {self.fault.moment} step {self.fault.position} ({self.step}):\n{self.problem}"
        )


@dataclass(frozen=True)
class Reference:
    """What clean runs do and leave."""

    steps: list[Step]
    once: dict[str, int]
    twice: dict[str, int]


def clean_runs(lab: Lab, scenario: Scenario) -> Reference:
    """Run the scenario twice without a fault: everything must hold after each."""
    with lab.ground() as ground:
        faults = Faults()
        scenario.run(ground, faults)
        once = _checked_state(ground, scenario)
        scenario.run(ground)
        return Reference(faults.steps, once, _checked_state(ground, scenario))


def sweep(
    lab: Lab,
    scenario: Scenario,
    harm: Harm,
    *,
    only: Callable[[Step, Moment], bool] = lambda step, moment: True,
    lasting: bool = False,
) -> list[Finding]:
    """Let each step go wrong in each way that differs from the others, and see what becomes of it.

    Args:
        only: what to try; everything without it.
        lasting: whether every later step of the same name goes wrong as well.
    """
    reference = clean_runs(lab, scenario)
    found: list[Finding] = []
    tried = 0
    for position, step in enumerate(reference.steps, 1):
        for moment in step.moments(harm):
            if not only(step, moment):
                continue
            tried += 1
            fault = Fault(position, moment, harm, lasting)
            problem = _try(lab, scenario, fault, step, reference)
            if problem is not None:
                found.append(Finding(fault, step.name, problem))
    assert tried, "the scenario has no such step"
    return found


def hold(lab: Lab, scenario: Scenario, harm: Harm, **options: Any) -> None:
    """Sweep, and fail with everything that was found."""
    found = sweep(lab, scenario, harm, **options)
    assert not found, "\n\n".join(map(str, found))


def _try(lab: Lab, scenario: Scenario, fault: Fault, step: Step, reference: Reference) -> str | None:
    with lab.ground() as ground:
        try:
            if fault.harm == "kill":
                run_and_die(ground, scenario, fault)
            else:
                _run_and_fail(ground, scenario, fault, step, reference)
            scenario.run(ground)
            state = _checked_state(ground, scenario)
            ground.check_released()
            assert state in (reference.once, reference.twice), _difference(state, reference)
        except Exception:
            return traceback.format_exc(limit=-6)
    return None


def _run_and_fail(ground: Ground, scenario: Scenario, fault: Fault, step: Step, reference: Reference) -> None:
    faults = Faults(fault)
    error = error_of(lambda: scenario.run(ground, faults))
    assert faults.struck, f"the run never came to this step: {error or 'it succeeded'}"
    if error is None:
        assert _checked_state(ground, scenario) == reference.once, "it neither failed nor succeeded"
        return
    assert error.retryable, f"{type(error).__name__} is not worth another try: {error}"
    if step.name != COMMIT:
        assert ground.unfinished() == [], "the failure was not recorded"


def error_of(run: Callable[[], None]) -> StrongroomError | None:
    """The error that it fails with; one of another kind passes, and is a finding."""
    try:
        run()
    except StrongroomError as error:
        return error
    return None


def run_and_die(ground: Ground, scenario: Scenario, fault: Fault) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_die, args=(ground, scenario, fault))
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
        process.join()
        raise TimeoutError("the run hung")
    assert process.exitcode == -signal.SIGKILL, f"the run ended with {process.exitcode} instead of dying"


def _die(ground: Ground, scenario: Scenario, fault: Fault) -> None:
    scenario.run(ground, Faults(fault))


def _checked_state(ground: Ground, scenario: Scenario) -> dict[str, int]:
    ground.check()
    scenario.check(ground)
    return ground.state()


def _difference(state: dict[str, int], reference: Reference) -> str:
    names = sorted({*state, *reference.once, *reference.twice})
    lines = [
        f"{name}: {state.get(name, 0)}; after one run {reference.once.get(name, 0)},"
        f" after two {reference.twice.get(name, 0)}"
        for name in names
        if state.get(name, 0) not in (reference.once.get(name, 0), reference.twice.get(name, 0))
    ]
    return "\n".join(lines) or "neither what one run leaves nor what two leave"
