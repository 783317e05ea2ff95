"""Telemetry's tables, as SQLAlchemy Core knows them. `telemetry_migrations/` makes them.

Only the Telemetry actor opens their database. Times are epoch seconds (double precision), tokens
whole numbers, money billionths of a US dollar. Nothing refers to a tenant's row: telemetry outlives
what it is about, and has a database of its own.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    text,
)

from helixflow.telemetry.usage import WORD_LENGTH_MAX  # eight of them fit a PostgreSQL index

_MARK_LENGTH = 64

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _word(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, String(WORD_LENGTH_MAX), nullable=nullable)


def _key_word(name: str) -> Column[str]:
    return Column(name, String(WORD_LENGTH_MAX), primary_key=True)


def _count(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _at(name: str, *, nullable: bool = True) -> Column[float]:
    return Column(name, Double, nullable=nullable)


def _costs() -> tuple[Column[int], ...]:
    return tuple(_count(f"{part}_nano_usd") for part in ("input", "cached_input", "output"))


sink_marks = Table(
    "sink_marks",
    metadata,
    Column("sink", String(_MARK_LENGTH), primary_key=True),
    Column("source", String(_MARK_LENGTH), primary_key=True),
    _count("last"),
    _at("updated_at", nullable=False),
    Index(None, "updated_at"),
)
"""The number of the last event of a source that a sink holds; written with what it holds."""

usage_requests = Table(
    "usage_requests",
    metadata,
    _key_word("id"),
    _at("first_at", nullable=False),
    # What the Ingress said when it admitted the request; nothing of it, or all. `minute_at` is the
    # beginning of that minute.
    _at("admitted_at"),
    _count("minute_at", nullable=True),
    _word("organization_id", nullable=True),
    _word("project_id", nullable=True),
    _word("key_id", nullable=True),
    _word("subject_id", nullable=True),
    _word("model", nullable=True),
    _word("region", nullable=True),
    _word("operation", nullable=True),
    _word("service_class", nullable=True),
    Column("stream", Boolean),
    _count("estimated_tokens", nullable=True),
    _count("input_price", nullable=True),
    _count("cached_input_price", nullable=True),
    _count("output_price", nullable=True),
    # What the Ingress said when it ended; its tokens only where it knows them.
    _at("ended_at"),
    _word("ended_outcome", nullable=True),
    _count("ended_input_tokens", nullable=True),
    _count("ended_cached_tokens", nullable=True),
    _count("ended_output_tokens", nullable=True),
    _at("duration_s"),
    _at("first_token_s"),
    # What the Model said.
    _at("generated_at"),
    _word("generated_model", nullable=True),
    _word("generated_outcome", nullable=True),
    _count("generated_input_tokens", nullable=True),
    _count("generated_cached_tokens", nullable=True),
    _count("generated_output_tokens", nullable=True),
    Column("lost", Boolean, nullable=False),
    # What comes of all that.
    _word("outcome"),
    _count("input_tokens"),
    _count("cached_tokens"),
    _count("output_tokens"),
    *_costs(),
    CheckConstraint("cached_tokens <= input_tokens", name="cached_is_input"),
    CheckConstraint(
        "(admitted_at IS NULL) = (organization_id IS NULL)", name="admitted_has_a_tenant"
    ),
    Index(None, "organization_id", "admitted_at"),
    Index(None, "first_at"),
    Index(
        "ix_usage_requests_open",
        "first_at",
        sqlite_where=text("ended_at IS NULL AND NOT lost"),
        postgresql_where=text("ended_at IS NULL AND NOT lost"),
    ),
)
"""A request, by its id."""

usage_rollups = Table(
    "usage_rollups",
    metadata,
    Column("width_s", Integer, primary_key=True, autoincrement=False),
    _key_word("organization_id"),
    Column("start_at", BigInteger, primary_key=True, autoincrement=False),
    _key_word("project_id"),
    _key_word("key_id"),
    _key_word("subject_id"),
    _key_word("model"),
    _key_word("region"),
    _key_word("operation"),
    _key_word("service_class"),
    _count("requests"),
    _count("input_tokens"),
    _count("cached_tokens"),
    _count("output_tokens"),
    *_costs(),
    Index(None, "width_s", "start_at"),
)
"""The sums of all admitted requests of an hour (3,600 s) or a day (86,400 s, UTC)."""
