"""Alembic's entry: runs the migrations on the connection it is given, in the caller's transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
