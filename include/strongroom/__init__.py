"""Strongroom: the core. It protects the data in PostgreSQL databases, and knows nothing of Airflow."""

__version__ = "0.1.0"
