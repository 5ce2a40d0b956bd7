"""The declared rules: one strict file per protected database."""

from strongroom.policy.errors import PolicyError, PolicyFileError, PolicyNotFoundError, Problem
from strongroom.policy.loading import LoadedPolicies, load_policies, load_policy
from strongroom.policy.model import Policy
from strongroom.policy.words import split_table

__all__ = [
    "LoadedPolicies",
    "Policy",
    "PolicyError",
    "PolicyFileError",
    "PolicyNotFoundError",
    "Problem",
    "load_policies",
    "load_policy",
    "split_table",
]
