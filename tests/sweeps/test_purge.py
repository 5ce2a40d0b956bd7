"""A purge in which each step goes wrong, with an error or with the end of the process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import get_args

import pytest

from strongroom.access import Actor, ActorKind, Decision, Role
from strongroom.policy import Policy, load_policy
from strongroom.retention.service import sought
from strongroom.services import Services
from tests.sweeps.faults import Faults, Harm
from tests.sweeps.ground import ACTOR, Ground, Lab
from tests.sweeps.scenarios import TakeBackup
from tests.sweeps.sweep import Scenario, clean_runs, sweep

RUN = "retention_purge/swept"
POLICY = """
database: shop
controller: {name: Meridian}
retention: {grace: 1s}
backup:
  schedule: "0 2 * * *"
  keep: {last: 1, daily: 0, weekly: 0, monthly: 0, yearly: 0, proven: 1}
"""


def policy_of(ground: Ground) -> Policy:
    path = ground.directory / "shop.yaml"
    path.write_text(POLICY)
    return load_policy(path)


def purge(services: Services, ground: Ground, *, approved: bool = False) -> None:
    """Plan and carry out."""
    services._agree = lambda policy: None  # type: ignore[method-assign]  # the source is no part of this
    services.person = lambda account: Actor(  # type: ignore[method-assign]
        account, ActorKind.PERSON, frozenset({Role.PRIVACY_OFFICER})
    )
    policy = policy_of(ground)
    made = services.retention.plan(ACTOR, policy)
    if approved:
        decision = Decision(True, made.sha256, "olaf", "petra", services.clock.now(), RUN)
        services.plan_approvals.decide(sought(made), decision)
    services.retention.apply(ACTOR, policy, made.sha256, RUN)


@dataclass(frozen=True)
class Purge(Scenario):
    """`strongroom retention plan` and `apply`, where two of three backups are due."""

    def run(self, ground: Ground, faults: Faults | None = None) -> None:
        with ground.services(faults) as services:
            purge(services, ground)

    def check(self, ground: Ground) -> None:
        assert len(ground.manifests()) == 1
        assert not [key for key in ground.object_keys() if key.startswith("uses/")]


@pytest.fixture
def due(keys: Ground) -> Lab:
    """An installation with three backups, two of which were marked long enough ago."""
    for _ in range(3):
        TakeBackup().run(keys)
    with keys.services() as services:
        purge(services, keys, approved=True)
    time.sleep(1.1)
    return Lab(keys, keys.directory.with_suffix(".copies"))


@pytest.mark.parametrize("harm", get_args(Harm))
def test_purging(due: Lab, harm: Harm) -> None:
    found = sweep(due, Purge(), harm)
    assert not found, "\n\n".join(map(str, found))


def test_purging_twice(due: Lab) -> None:
    reference = clean_runs(due, Purge())
    assert reference.once == reference.twice
