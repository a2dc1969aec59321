"""The index with which a dossier finds other clients of the same birth date and income."""

from alembic import op

from credit_risk.database import sql_statements

revision, down_revision = "0004", "0003"


def upgrade():
    for statement in sql_statements("migrations/0004_twins.sql"):
        op.execute(statement)
