"""What can be asked of usage: which time in which buckets, grouped by what, of whom.

Pure: a query is made from a caller's scope and its wishes, and carried out by the store
(`storage/usage_queries.py`). Buckets are aligned to UTC: a range that begins within one begins with
it. A page is some buckets of the range; the next one is told by its beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from helixflow.errors import InvalidRequest, Refusal
from helixflow.telemetry.desk import Scope
from helixflow.telemetry.rollups import DAY_S, HOUR_S, MINUTE_S, Sums, start_of

_PAGE = "page_"


class Field(StrEnum):
    """By what usage can be grouped and narrowed."""

    API_KEY_ID = "api_key_id"
    BATCH = "batch"
    MODEL = "model"
    PROJECT_ID = "project_id"
    REGION = "region"
    SERVICE_TIER = "service_tier"
    USER_ID = "user_id"


@dataclass(frozen=True, slots=True)
class Width:
    """A bucket's width, and how many a page has by default and at most."""

    seconds: int
    default: int
    most: int


WIDTHS: Mapping[str, Width] = MappingProxyType(
    {
        "1m": Width(MINUTE_S, 60, 1440),
        "1h": Width(HOUR_S, 24, 168),
        "1d": Width(DAY_S, 7, 31),
    }
)
"""As OpenAI has them."""

Only: TypeAlias = tuple[tuple[Field, tuple[str, ...]], ...]
"""The values that are looked at, by field; a field that is not named has no bounds."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """One page of buckets.

    Attributes:
        scope: whose; nothing else is looked at.
        start, end: epoch seconds, both the beginning of a bucket.
        width_s: of a bucket.
        group_by: what results are told apart by; empty for one result per bucket.
        only: what is looked at.
        batch: whether batch requests alone, or all but them; None for both.
        operations: `Operation` words; empty for all.
    """

    scope: Scope
    start: int
    end: int
    width_s: int
    group_by: tuple[Field, ...] = ()
    only: Only = ()
    batch: bool | None = None
    operations: tuple[str, ...] = ()

    @property
    def starts(self) -> range:
        """The beginnings of its buckets."""
        return range(self.start, self.end, self.width_s)


@dataclass(frozen=True, slots=True)
class Group:
    """A result: the sums of a bucket's requests that have these values."""

    start: int
    values: Mapping[Field, str]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Range:
    """A time that was asked for, cut into pages of buckets."""

    width: Width
    start: int
    end: int

    @staticmethod
    def of(width: Width, start_time: float, end_time: float | None, now: float) -> Range:
        """From `start_time` to `end_time` (or now), both epoch seconds.

        Raises `InvalidRequest` where it ends before it begins.
        """
        end = now if end_time is None else end_time
        if end_time is not None and end_time <= start_time:
            raise InvalidRequest(
                Refusal.INVALID_VALUE, "end_time is not after start_time.", param="end_time"
            )
        start = start_of(start_time, width.seconds)
        last = start_of(end, width.seconds)
        return Range(width, start, last if last == end else last + width.seconds)

    def page(self, page: str | None, limit: int | None) -> Range:
        """The part of it that a page token and a limit name. Raises `InvalidRequest`."""
        count = self.width.default if limit is None else limit
        if not 1 <= count <= self.width.most:
            raise InvalidRequest(
                Refusal.INVALID_VALUE,
                f"limit is from 1 to {self.width.most} for this bucket_width.",
                param="limit",
            )
        start = self.start if page is None else self._begin(page)
        return Range(self.width, start, min(self.end, start + count * self.width.seconds))

    def _begin(self, page: str) -> int:
        digits = page.removeprefix(_PAGE)
        if page.startswith(_PAGE) and digits.isascii() and digits.isdigit() and len(digits) < 16:
            start = int(digits)
            if self.start <= start < self.end and start % self.width.seconds == 0:
                return start
        raise InvalidRequest(
            Refusal.INVALID_VALUE, "page is no page of this question.", param="page"
        )


def page_token(start: int) -> str:
    """What `Range.page` takes for the page that begins with a bucket."""
    return f"{_PAGE}{start}"


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a row in the order of admissions."""

    at: float
    id: str


@dataclass(frozen=True, slots=True)
class RequestQuery:
    """Single requests, by the time of their admission.

    Attributes:
        scope: whose; nothing else is looked at.
        start, end: epoch seconds, the end not included.
        only: as in `UsageQuery`.
        after: the row after which to go on.
    """

    scope: Scope
    start: float
    end: float
    only: Only = ()
    after: Cursor | None = None
