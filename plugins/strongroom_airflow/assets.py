"""The assets by which pipelines start one another."""

from __future__ import annotations

from airflow.sdk import Asset


def backup_asset(database: str) -> Asset:
    """Updated when a database has a new complete backup; the event carries its id.

    It has a name and no URI with a scheme: Airflow would look for the scheme's handler in every provider, and so
    import boto3 and more each time it parses a DAG file.
    """
    return Asset(name=f"strongroom/backup/{database}")
