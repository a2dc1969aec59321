"""The bank's tables."""

from alembic import op

from credit_risk.database import sql_statements

revision, down_revision = "0001", None


def upgrade():
    for statement in sql_statements("migrations/0001_bank.sql"):
        op.execute(statement)
