"""What a process counted since it last said so, and how that travels.

Deltas are plain rows, so that the Telemetry actor adds them up without knowing the parts that
count. A histogram's row holds the counts of its buckets (metrics.py), not cumulative.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from helixflow.signals import Labels

CounterRow: TypeAlias = tuple[str, Labels, float]
"""`(metric, labels, by)`."""

HistogramRow: TypeAlias = tuple[str, Labels, tuple[float, ...], tuple[int, ...], float]
"""`(metric, labels, bounds, counts, sum)`: `counts` has one more than `bounds`, for what is above."""

GaugeRow: TypeAlias = tuple[str, Labels, float]
"""`(metric, labels, level)`."""


class Deltas(msgspec.Struct, frozen=True, array_like=True):
    """Attributes: the rows that changed, by kind; names are `Metric` values."""

    counters: tuple[CounterRow, ...] = ()
    histograms: tuple[HistogramRow, ...] = ()
    gauges: tuple[GaugeRow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.counters or self.histograms or self.gauges)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Deltas)


def encode(deltas: Deltas) -> bytes:
    """The deltas as bytes."""
    return _encoder.encode(deltas)


def decode(data: bytes) -> Deltas:
    """The deltas that `encode` wrote. Raises ValueError for anything else."""
    return _decoder.decode(data)  # msgspec's errors are ValueErrors
