"""Writing down what each level finds, while it finds it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from strongroom.backup.verification.proof import Check, LevelResult, Status
from strongroom.clock import Clock
from strongroom.errors import StrongroomError


class LevelReport:
    """The checks of one level so far."""

    def __init__(self, level: str, title: str, started_at: datetime) -> None:
        self.level = level
        self.title = title
        self.started_at = started_at
        self.seconds = 0.0
        self.checks: list[Check] = []
        self.blocking = False
        """Whether something failed without which the levels above make no sense."""

    def passed(self, name: str, detail: str, counts: Mapping[str, int] | None = None) -> None:
        """The check was made and holds."""
        self.checks.append(Check(name, Status.PASSED, detail, dict(counts or {})))

    def failed(
        self, name: str, detail: str, counts: Mapping[str, int] | None = None, *, blocking: bool = True
    ) -> None:
        """The check was made and does not hold.

        Args:
            blocking: whether the levels above make no sense then.
        """
        self.checks.append(Check(name, Status.FAILED, detail, dict(counts or {})))
        self.blocking = self.blocking or blocking

    def failed_with(self, name: str, error: StrongroomError) -> None:
        """The check ended with an error that says what is wrong and what to do."""
        self.failed(name, f"{type(error).__name__}: {error}")

    def skipped(self, name: str, reason: str) -> None:
        """The check could not be made: the backup is not proven."""
        self.checks.append(Check(name, Status.SKIPPED, reason))

    def switched_off(self, name: str, reason: str) -> None:
        """The policy does not want the check."""
        self.checks.append(Check(name, Status.SKIPPED, reason, by_policy=True))

    def not_applicable(self, name: str, reason: str) -> None:
        """There is nothing to check."""
        self.checks.append(Check(name, Status.NOT_APPLICABLE, reason))

    def result(self) -> LevelResult:
        """The level as it goes into the proof."""
        return LevelResult(
            self.level, self.title, self.started_at, round(self.seconds, 3), tuple(self.checks)
        )


class Recorder:
    """The reports of all levels, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reports: dict[str, LevelReport] = {}

    def report(self, level: str) -> LevelReport:
        """The report of a level that was opened before."""
        return self._reports[level]

    def has(self, level: str) -> bool:
        """Whether the level was opened."""
        return level in self._reports

    @contextmanager
    def level(self, level: str, title: str) -> Iterator[LevelReport]:
        """Open a level's report and take its time."""
        report = self._reports.setdefault(level, LevelReport(level, title, self._clock.now()))
        start = time.perf_counter()
        try:
            yield report
        finally:
            report.seconds += time.perf_counter() - start

    def failed_level(self) -> str | None:
        """The first level on which something failed that the levels above rest on."""
        for level, report in self._reports.items():
            if report.result().status is Status.FAILED and report.blocking:
                return level
        return None

    def results(self) -> tuple[LevelResult, ...]:
        """All levels, as they go into the proof."""
        return tuple(report.result() for report in self._reports.values())
