"""The assets by which pipelines start one another."""

from __future__ import annotations

from airflow.sdk import Asset


def backup_asset(database: str) -> Asset:
    """Updated when a database has a new complete backup; the event carries its id."""
    return Asset(name=f"backup.{database}", uri=f"strongroom://backup/{database}")
