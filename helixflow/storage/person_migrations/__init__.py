"""Alembic migrations of the store of persons' keys, forward and back."""
