"""What Alembic runs: a schema's migrations, on the connection that migrate.py hands over."""

from __future__ import annotations

from alembic import context

schema = context.config.attributes["schema"]

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.version_table,
    render_as_batch=True,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
