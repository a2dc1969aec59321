"""The indexes of the dossier queries."""

from alembic import op

from credit_risk.database import sql_statements

revision, down_revision = "0002", "0001"


def upgrade():
    for statement in sql_statements("migrations/0002_indexes.sql"):
        op.execute(statement)
