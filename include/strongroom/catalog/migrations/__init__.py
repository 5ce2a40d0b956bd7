"""Alembic's migrations of the control database; `strongroom.catalog.upgrade` runs them on start."""
