"""What grows: keys in the store and models (on one platform while it runs), and Ingress replicas.

Callers and models come in Zipf's proportions. Throughput at the large end is set beside that at the
small one. Connections have a scenario of their own (scenarios/gateway.py).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.identity.full_store import fill_home
from benchmarks.identity.popularity import Popularity
from benchmarks.load import crew
from benchmarks.load.crew import LoadFailed
from benchmarks.load.plan import Closed, Expected, Plan
from benchmarks.scenarios.bodies import CHAT, chat_body
from benchmarks.scenarios.gateway import MODEL, usual_loads
from benchmarks.scenarios.ports import Load, Scenario
from benchmarks.settings import Depth, models_dir
from benchmarks.systems.everything_on import EverythingOn
from benchmarks.systems.in_process import HOME
from benchmarks.systems.ports import Running, System
from benchmarks.systems.ready_answers import PROMPT

GROWTH, INGRESSES = "growth", "growth_ingresses"
SMALL, KEYS, LARGE = "small", "keys", "large"
_CONNECTIONS = 32
_TOKENS = 16
# Lengths without a common divisor, so that callers meet all models.
_DRAWS, _MODEL_DRAWS = 20_000, 997


@dataclass(frozen=True, slots=True)
class Grown(Load):
    """Echo answers on a platform that has grown before its turn.

    Attributes:
        keys: in the store beside the first one, `active` of them in use.
        models: of the platform.
    """

    keys: int = 1
    active: int = 1
    models: int = 1
    known: list[str] = field(default_factory=list)
    """Texts of the keys in use: filled in by the load that makes them, used by those after it."""

    def prepare(self, running: Running) -> None:
        """Make what is not there yet, and let every key and model be used once."""
        if len(self.known) < self.active:
            self.known[:] = asyncio.run(
                fill_home(Path(running.private[HOME]), self.keys, self.active)
            )
        if self.models > 1:
            if running.change is None:
                raise LoadFailed("this system cannot be given more models")
            running.change(echo_models(self.models))
        each = math.ceil(max(self.active, 10 * self.models, 500) / _CONNECTIONS)
        plan = Plan(
            running.target(CHAT),
            [_body(name) for name in _names(self.models)],
            self.expected,
            Closed(_CONNECTIONS, requests_each=each),
            callers=self.known[: self.active],
        )
        crew.drive(plan)

    def plan(self, running: Running, turn: int) -> Plan:
        callers = Popularity(self.active, seed=turn).draw(_DRAWS)
        models = Popularity(self.models, seed=turn).draw(_MODEL_DRAWS)
        names = _names(self.models)
        return Plan(
            running.target(CHAT),
            [_body(names[model]) for model in models],
            self.expected,
            self.pace,
            callers=[self.known[caller] for caller in callers],
        )


def growth(depth: Depth) -> Scenario:
    """10 keys and one model; then very many keys; then many models too."""
    keys, active, models = (
        (1_000_000, 10_000, 50) if depth.full else (1_000, 20, 3) if depth.checking
        else (100_000, 2_000, 10)
    )  # fmt: skip
    known: list[str] = []

    def load(name: str, total: int, used: int, count: int) -> Grown:
        title = f"{total:,} keys, {used:,} in use, {count} model{'s' * (count > 1)}"
        pace = Closed(_CONNECTIONS, duration_s=depth.seconds)
        # Says how long `prepare` takes: filling, starting models, using each key once.
        around = Closed(_CONNECTIONS, duration_s=2.0 + total / 30e3 + 3.0 * count + used / 500)
        return Grown(
            name, title, (_body(MODEL),), Expected(_TOKENS), pace, around, keys=total,
            active=used, models=count, known=known,
        )  # fmt: skip

    return Scenario(
        name=GROWTH,
        title="Growth: keys in the store, models, everything on",
        systems=(lambda: EverythingOn(models_dir()),),
        loads=(
            load(SMALL, 10, 10, 1),
            load(KEYS, keys, active, 1),
            load(LARGE, keys, active, models),
        ),
        visits=1,
        rounds=depth.repeats,
        staged=True,
        spoils=True,
    )


def ingresses(depth: Depth) -> Scenario:
    """One Ingress replica and four."""
    few, most = 1, 2 if depth.checking else 4
    return Scenario(
        name=INGRESSES,
        title="Growth: Ingress replicas, everything on",
        systems=(_with_ingresses(few, first=True), _with_ingresses(most)),
        loads=usual_loads(depth.seconds),
        visits=depth.visits,
        rounds=depth.rounds,
    )


def echo_models(count: int) -> tuple[dict[str, Any], ...]:
    """All but the first one, which is there already."""
    return tuple(
        {
            "name": name,
            "engine": "echo",
            "sequences_max": 256,
            "queue_max": 1024,
            "resources": {"cpus": 0.01},
            "price": {"input_usd": 0.01, "output_usd": 0.02},
        }
        for name in _names(count)[1:]
    )


def _names(count: int) -> list[str]:
    return [f"echo-{number + 1}" for number in range(count)]


def _body(model: str) -> str:
    return chat_body(model, PROMPT, _TOKENS, stream=False)


def _with_ingresses(count: int, *, first: bool = False) -> Callable[[], System]:
    def make() -> System:
        system = EverythingOn(models_dir(), {"HELIXFLOW__STACK__INGRESS_REPLICAS": str(count)})
        system.title = f"{count} Ingress replica{'s' * (count > 1)}"
        if first:
            system.name = "helixflow_1"
        return system

    return make
