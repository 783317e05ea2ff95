"""A histogram with buckets of equal ratio: every value within 1 % at a fixed small size."""

from __future__ import annotations

import math

from msgspec import Struct, field

_RATIO = 1.02
_LOG = math.log(_RATIO)
_LEAST = 1e-3


class Histogram(Struct):
    """Counts by bucket. Bucket `i` holds values from 0.001 * 1.02^i up to the next one's.

    Values at or below 0.001 are in bucket 0: with milliseconds, one microsecond.
    """

    buckets: dict[int, int] = field(default_factory=dict)
    count: int = 0
    largest: float = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        bucket = int(math.log(value / _LEAST) / _LOG) if value > _LEAST else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1
        self.largest = max(self.largest, value)

    def plus(self, other: Histogram) -> Histogram:
        """Both together."""
        buckets = dict(self.buckets)
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
        return Histogram(buckets, self.count + other.count, max(self.largest, other.largest))

    def quantile(self, share: float) -> float:
        """The value below which `share` of all values lie, within 1 %; 0 where there are none."""
        if not self.count:
            return 0.0
        rank, seen = share * self.count, 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return min(_LEAST * math.exp((bucket + 0.5) * _LOG), self.largest)
        return self.largest
