"""The policy files, as DAG files need them: fast, and one broken file stops only its own database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from strongroom.policy import load_policies
from strongroom.settings import policy_directory

if TYPE_CHECKING:
    from strongroom.policy import Policy

_PROJECT = Path(__file__).resolve().parents[2]


def policies() -> list[Policy]:
    """The usable policies, in the order of their databases' names."""
    loaded = load_policies(policy_directory(_PROJECT))
    return [loaded.policies[name] for name in sorted(loaded.policies)]


def raise_policy_errors() -> None:
    """Raise what is wrong with the policy files, if anything is.

    Raises:
        PolicyError: of the first broken file; the others' messages follow in its notes.
    """
    errors = list(load_policies(policy_directory(_PROJECT)).errors.values())
    if errors:
        for further in errors[1:]:
            errors[0].add_note(str(further))
        raise errors[0]
