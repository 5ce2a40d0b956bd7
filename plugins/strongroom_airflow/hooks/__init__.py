"""Hooks: from Airflow's connections to Strongroom's services."""

from strongroom_airflow.hooks.strongroom import StrongroomHook

__all__ = ["StrongroomHook"]
