"""Alembic migrations of telemetry's store, forward and back."""
