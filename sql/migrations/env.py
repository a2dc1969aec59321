"""Alembic runs this file on the connection of credit_risk.database.migrate; no offline mode."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
