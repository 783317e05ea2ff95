"""The raw samples of a run, read back."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.load.outcome import Outcome


class Sampled(Struct):
    """One load on one system, once, with everything that was recorded."""

    scenario: str
    system: str
    load: str
    visit: int
    round: int
    outcome: Outcome


def read(folder: Path) -> Iterator[Sampled]:
    """Every load of the run in this folder; nothing where no samples were kept."""
    file = folder / "samples.jsonl.gz"
    if not file.exists():
        return
    decoder = msgspec.json.Decoder(Sampled)
    with gzip.open(file, "rb") as lines:
        yield from map(decoder.decode, lines)
