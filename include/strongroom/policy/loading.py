"""Policies from their files: every mistake of a file at once, and a broken file stops its own database alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from strongroom.policy.document import MAX_BYTES, Document, read_document
from strongroom.policy.errors import PolicyError, PolicyFileError, PolicyNotFoundError, Problem
from strongroom.policy.explaining import explained
from strongroom.policy.model import Policy

_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadedPolicies:
    """The policies of a folder, and what is wrong with the files that hold none."""

    policies: dict[str, Policy]
    """The usable ones, by database."""

    errors: dict[Path, PolicyError]
    """The others. Databases in here are not protected: report them, do not pass over them."""


def load_policy(path: Path | str) -> Policy:
    """The policy in a file.

    Raises:
        PolicyNotFoundError: there is no such file.
        PolicyFileError: the file has mistakes; the error names all of them, with their lines.
        PolicyError: the file cannot be read.
    """
    return _load(Path(path))[0]


def load_policies(directory: Path | str) -> LoadedPolicies:
    """The policies in the YAML files of a folder (its hidden files and its subfolders are left out).

    Raises:
        PolicyNotFoundError: there is no such folder.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise PolicyNotFoundError(
            f"There is no folder {folder} with policy files.", hint="Set STRONGROOM_POLICY_DIRECTORY to it."
        )
    loaded: dict[Path, tuple[Policy, Document]] = {}
    errors: dict[Path, PolicyError] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and not path.is_dir():
            try:
                loaded[path] = _load(path)
            except PolicyError as error:
                errors[path] = error
            except PolicyNotFoundError as error:
                errors[path] = PolicyError(f"{path} leads nowhere, or to something that is no file.")
                errors[path].__cause__ = error
    return _one_file_each(loaded, errors)


def _one_file_each(
    loaded: dict[Path, tuple[Policy, Document]], errors: dict[Path, PolicyError]
) -> LoadedPolicies:
    """Two files about one database are both refused: nobody could say which rules hold."""
    claims: dict[str, list[Path]] = {}
    for path, (policy, _) in loaded.items():
        claims.setdefault(policy.database, []).append(path)
    for path, error in errors.items():
        if isinstance(error, PolicyFileError) and error.database in claims:
            claims[error.database].append(path)
    policies = {}
    for database, paths in sorted(claims.items()):
        if len(paths) == 1:
            policies[database] = loaded[paths[0]][0]
            continue
        for path in paths:
            if path in loaded:
                others = ", ".join(str(other) for other in paths if other != path)
                line, column = loaded[path][1].place(("database",))
                what = f"'{database}' has another policy file: {others}"
                problem = Problem(what, ("database",), line, column)
                errors[path] = PolicyFileError(path, (problem,), database=database)
    return LoadedPolicies(policies, dict(sorted(errors.items())))


def _load(path: Path) -> tuple[Policy, Document]:
    document = read_document(_bytes(path))
    problems = list(document.problems)
    policy = None
    if document.complete and document.content is not None:
        try:
            # As JSON, because strict reading of JSON takes its lists for tuples and nothing else for anything else.
            policy = Policy.model_validate_json(json.dumps(document.content))
        except ValidationError as error:
            problems += _placed(error, document)
    if problems or policy is None:
        problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
        raise PolicyFileError(path, tuple(problems), database=_database(document))
    return policy, document


def _placed(error: ValidationError, document: Document) -> list[Problem]:
    """The model's complaints with their places, without those about what was already refused."""
    refused = {problem.path for problem in document.problems}
    placed = []
    for problem in explained(error):
        if problem.path in refused:
            continue
        unknown = problem.what.startswith("unknown key")
        key_place = document.key_places.get(problem.path) if unknown else None
        line, column = key_place or document.place(problem.path)
        path = problem.path[:-1] if unknown or problem.what.endswith("is missing") else problem.path
        placed.append(replace(problem, line=line, column=column, path=path))
    return placed


def _database(document: Document) -> str | None:
    name = document.content.get("database") if isinstance(document.content, dict) else None
    return name if isinstance(name, str) else None


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise PolicyNotFoundError(f"There is no policy file {path}.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {error.strerror}.") from error
