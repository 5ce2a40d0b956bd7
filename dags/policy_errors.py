"""Turns a policy file that cannot be used into an import error of this file, where Airflow's UI shows it.

The other databases' pipelines go on; the broken file's own are missing until it is mended. This file makes no DAG.
(Airflow parses a file only where the word DAG stands in it, so that word has to stay.)
"""

from __future__ import annotations

from strongroom_airflow.policies import raise_policy_errors

raise_policy_errors()
