"""Whatever step of a restore goes wrong, and however: it fails loudly, and the next run brings the cluster back."""

from __future__ import annotations

from typing import get_args

import pytest

from tests.sweeps.faults import COMMIT, Harm, Moment, Step
from tests.sweeps.ground import Lab
from tests.sweeps.scenarios import PlanRestore, Restore
from tests.sweeps.sweep import hold


@pytest.mark.parametrize("harm", get_args(Harm))
def test_planning_a_restore(with_backup: Lab, harm: Harm) -> None:
    hold(with_backup, PlanRestore(), harm)


def test_a_restore_whose_streams_break_off(with_cluster: Lab) -> None:
    def within_a_stream(step: Step, moment: Moment) -> bool:
        return step.name.startswith("open_range backups/") and moment == "middle"

    hold(with_cluster, Restore(), "error", only=within_a_stream)


def test_a_restore_in_which_the_control_database_goes_away_and_stays_away(with_cluster: Lab) -> None:
    """From each commit on: not even the failure can be recorded."""

    def at_a_commit(step: Step, moment: Moment) -> bool:
        return step.name == COMMIT and moment == "before"

    hold(with_cluster, Restore(), "error", only=at_a_commit, lasting=True)


def test_a_restore_that_is_killed(with_cluster: Lab) -> None:
    hold(with_cluster, Restore(), "kill")
