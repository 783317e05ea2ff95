"""Alembic migrations of the identity store, forward and back."""
