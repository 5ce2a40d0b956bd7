"""The policy: everything one file says about one database."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Self

from pydantic import model_validator

from strongroom.canonical import canonical_sha256
from strongroom.policy.backup import Backup
from strongroom.policy.checks import contradictions
from strongroom.policy.errors import Problem
from strongroom.policy.people import Controller, Purpose, Subject
from strongroom.policy.retention import Retention
from strongroom.policy.tables import Table
from strongroom.policy.verification import Objectives, Verify
from strongroom.policy.words import DatabaseName, Name, Part, TableName


class ContradictionError(ValueError):
    """The parts of a policy are each right and do not fit together."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.what for problem in problems))
        self.problems = problems


class Policy(Part):
    """The rules for one database."""

    database: DatabaseName
    """The database's short name here; its Airflow connection is `db_<name>`."""

    controller: Controller
    """Who is responsible for the data."""

    backup: Backup
    """How it is backed up."""

    retention: Retention = Retention()
    """How what is over is deleted."""

    verify: Verify = Verify()
    """What is checked in the restored database."""

    objectives: Objectives = Objectives()
    """How much may be lost and how long a restore may take."""

    purposes: Mapping[Name, Purpose] = {}
    """Why data is used."""

    subjects: Mapping[Name, Subject] = {}
    """The kinds of people that it knows."""

    tables: Mapping[TableName, Table] = {}
    """Its tables: each one classified or exempt."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = tuple(contradictions(self))
        if problems:
            raise ContradictionError(problems)
        return self

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the policy's canonical JSON, defaults included: the name of this version of the rules.

        Comments, order and spelling of the file do not change it; a changed rule does.
        """
        return canonical_sha256(self.model_dump(mode="json", by_alias=True)).hex()
