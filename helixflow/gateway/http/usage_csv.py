"""Pages of usage and costs as CSV (RFC 4180), for spreadsheets and billing programs.

Times become ISO 8601 in UTC, money a decimal number with nine places. A cell that a spreadsheet
would take for a formula is prefixed with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]

MEDIA_TYPE = "text/csv; charset=utf-8"

USAGE_COLUMNS = (
    "start_time", "end_time", "project_id", "user_id", "api_key_id", "model", "batch",
    "service_tier", "region", "num_model_requests", "input_tokens", "input_cached_tokens",
    "output_tokens",
)  # fmt: skip
COST_COLUMNS = (
    "start_time", "end_time", "project_id", "user_id", "api_key_id", "line_item", "quantity",
    "amount", "currency",
)  # fmt: skip
REQUEST_COLUMNS = (
    "created_at", "id", "project_id", "user_id", "api_key_id", "model", "region", "operation",
    "service_tier", "stream", "outcome", "input_tokens", "input_cached_tokens", "output_tokens",
    "amount", "currency", "duration_s", "first_token_s",
)  # fmt: skip
_TIMES = frozenset({"created_at", "end_time", "start_time"})
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(page: Json, columns: Sequence[str]) -> bytes:
    """A page with its header line. Columns that a row does not have are empty."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(columns)
    for row in _rows(page):
        lines.writerow([_cell(name, row.get(name)) for name in columns])
    return text.getvalue().encode()


def _rows(page: Json) -> Iterator[Json]:
    for each in page["data"]:
        if each["object"] == "bucket":
            times = {"start_time": each["start_time"], "end_time": each["end_time"]}
            yield from ({**times, **_flat(result)} for result in each["results"])
        else:
            yield _flat(each)


def _flat(result: Json) -> Json:
    amount = result.get("amount")
    if amount is None:
        return result
    return {**result, "amount": f"{amount['value']:.9f}", "currency": amount["currency"]}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _TIMES:
        return datetime.fromtimestamp(value, UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
