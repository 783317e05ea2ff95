"""How a usage row stands in its table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from helixflow.inference.facts import Admitted, Ended, Generated
from helixflow.inference.price import NanoPrice
from helixflow.inference.usage import Usage
from helixflow.telemetry.rollups import MINUTE_S, start_of
from helixflow.telemetry.usage import Said, UsageRow


def values_of(row: UsageRow) -> dict[str, Any]:
    """The row's columns."""
    usage, cost = row.usage, row.cost
    return {
        "id": row.id,
        "first_at": row.first_at,
        **_admitted(row.admitted),
        **_ended(row.ended),
        **_generated(row.generated),
        "lost": row.lost,
        "outcome": row.outcome,
        "input_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "input_nano_usd": cost.input,
        "cached_input_nano_usd": cost.cached_input,
        "output_nano_usd": cost.output,
    }


def row_of(record: Row[Any]) -> UsageRow:
    """The row that has these columns."""
    return UsageRow(
        record.id,
        record.first_at,
        None if record.admitted_at is None else Said(record.admitted_at, _read_admitted(record)),
        None if record.ended_at is None else Said(record.ended_at, _read_ended(record)),
        None if record.generated_at is None else Said(record.generated_at, _read_generated(record)),
        record.lost,
    )


def _admitted(said: Said[Admitted] | None) -> dict[str, Any]:
    what = None if said is None else said.what
    return {
        "admitted_at": said and said.at,
        "minute_at": said and start_of(said.at, MINUTE_S),
        "organization_id": what and what.organization,
        "project_id": what and what.project,
        "key_id": what and what.key,
        "subject_id": what and what.subject,
        "model": what and what.model,
        "region": what and what.region,
        "operation": what and what.operation,
        "service_class": what and what.service_class,
        "stream": what and what.stream,
        "estimated_tokens": what and what.estimated_tokens,
        "input_price": what and what.price.input,
        "cached_input_price": what and what.price.cached_input,
        "output_price": what and what.price.output,
    }


def _ended(said: Said[Ended] | None) -> dict[str, Any]:
    what = None if said is None else said.what
    usage = None if what is None else what.usage
    return {
        "ended_at": said and said.at,
        "ended_outcome": what and what.outcome,
        **_tokens("ended", usage),
        "duration_s": what and what.duration_s,
        "first_token_s": what and what.first_token_s,
    }


def _generated(said: Said[Generated] | None) -> dict[str, Any]:
    what = None if said is None else said.what
    return {
        "generated_at": said and said.at,
        "generated_model": what and what.model,
        "generated_outcome": what and what.outcome,
        **_tokens("generated", None if what is None else what.usage),
    }


def _tokens(part: str, usage: Usage | None) -> dict[str, Any]:
    return {
        f"{part}_input_tokens": usage and usage.prompt_tokens,
        f"{part}_cached_tokens": usage and usage.cached_tokens,
        f"{part}_output_tokens": usage and usage.completion_tokens,
    }


def _read_admitted(record: Row[Any]) -> Admitted:
    return Admitted(
        record.organization_id,
        record.project_id,
        record.key_id,
        record.subject_id,
        record.model,
        record.region,
        record.operation,
        record.service_class,
        record.stream,
        record.estimated_tokens,
        NanoPrice(record.input_price, record.cached_input_price, record.output_price),
    )


def _read_ended(record: Row[Any]) -> Ended:
    known = record.ended_input_tokens is not None
    usage = Usage(record.ended_input_tokens, record.ended_output_tokens, record.ended_cached_tokens)
    return Ended(
        record.ended_outcome, usage if known else None, record.duration_s, record.first_token_s
    )


def _read_generated(record: Row[Any]) -> Generated:
    usage = Usage(
        record.generated_input_tokens,
        record.generated_output_tokens,
        record.generated_cached_tokens,
    )
    return Generated(record.generated_model, record.generated_outcome, usage)
