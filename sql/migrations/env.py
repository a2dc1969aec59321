"""Run by Alembic: the connection comes from credit_risk.database.migrate, and there is no offline mode."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
