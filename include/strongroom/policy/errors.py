"""What can be wrong with policy files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import InputError, NotFoundError


class PolicyError(InputError):
    """A policy file cannot be used."""


class PolicyNotFoundError(NotFoundError):
    """There is no policy file, or no folder of policy files, where one was expected."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a policy file."""

    what: str
    """The mistake as a sentence, with a suggestion where there is one."""

    path: tuple[str, ...] = ()
    """The keys (and numbers of list items, from 0) that lead to it."""

    line: int | None = None
    """Line of the file, from 1."""

    column: int | None = None
    """Character of the line, from 1."""

    def text(self, file: Path) -> str:
        """The mistake as `file:line:column: path: what`."""
        place = ":".join(str(part) for part in (file, self.line, self.column) if part is not None)
        where = path_text(self.path)
        return f"{place}: {where}: {self.what}" if where else f"{place}: {self.what}"


class PolicyFileError(PolicyError):
    """A policy file has mistakes: all of them at once, one to a line.

    Args:
        path: the file.
        problems: its mistakes, in the order of their lines.
        database: the database that the file is about, where that much could be read.
    """

    def __init__(self, path: Path, problems: tuple[Problem, ...], *, database: str | None = None) -> None:
        count = "one mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        super().__init__(
            "\n".join(problem.text(path) for problem in problems),
            hint=f"{path} has {count} and is not used; docs/policy.md describes every key.",
        )
        self.path = path
        self.problems = problems
        self.database = database


def path_text(path: tuple[str, ...]) -> str:
    """The path as `tables["public.orders"].links[0].to`."""
    text = ""
    for step in path:
        if step.isdigit():
            text += f"[{step}]"
        elif step.replace("_", "a").isalnum():
            text += f".{step}" if text else step
        else:
            text += f'["{step}"]'
    return text
