"""How deep a run goes, and which files it uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
EMBEDDED_CONFIG = ROOT / "configs" / "embedded.yaml"
ECHO_CONFIG = ROOT / "benchmarks" / "configs" / "echo.yaml"
EVERYTHING_CONFIG = ROOT / "benchmarks" / "configs" / "everything.yaml"
GROWTH_CONFIG = ROOT / "benchmarks" / "configs" / "growth.yaml"
LONG_CONFIG = ROOT / "benchmarks" / "configs" / "long.yaml"


def models_dir() -> Path:
    """Where `make up` keeps prepared models: a model is prepared once, not once per visit."""
    return ROOT / ".helixflow" / "models"


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is measured.

    Attributes:
        visits: starts of each system.
        rounds: repeats of the loads within a visit.
        seconds: the length of a load that has a duration.
        waves: requests per stream of a load that counts them.
    """

    visits: int
    rounds: int
    seconds: float
    waves: int
    full: bool = False

    @property
    def repeats(self) -> int:
        """Of what is started once, or not at all."""
        return min(3, max(self.visits, self.rounds))

    @property
    def checking(self) -> bool:
        """Whether it is only to be seen that everything works."""
        return self.visits == 1


QUICK = Depth(visits=2, rounds=1, seconds=3.0, waves=1)
FULL = Depth(visits=5, rounds=3, seconds=10.0, waves=4, full=True)
CHECK = Depth(visits=1, rounds=1, seconds=1.0, waves=1)
