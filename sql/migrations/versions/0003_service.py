"""Keys, the ends of the audit's chains, and the answers to repeated requests."""

from alembic import op

from credit_risk.database import sql_statements

revision, down_revision = "0003", "0002"


def upgrade():
    for statement in sql_statements("migrations/0003_service.sql"):
        op.execute(statement)
