"""A request's place: in the queue, at the engine, or gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from helixflow.inference.quota import ServiceClass
from helixflow.inference.usage import Usage

Read: TypeAlias = Callable[[str], Usage]
"""What a request has used so far, by its id; zeros before it began."""

UNIT = 1 << 20
"""One token of weight 1 for a tenant of weight 1. Counters are whole numbers: nothing drifts."""

_WEIGHT_MIN, _WEIGHT_MAX = 1e-3, 1e3


@dataclass(eq=False, slots=True)
class Place:
    """One request's.

    Attributes:
        request_id: whose tokens are read.
        tenant: who pays for them.
        service_class: how urgent it is.
        slots: sequence slots that it takes, all at once.
        input_cost, output_cost: what a token costs, in units.
        prompt: tokens of the prompt that are paid; from its dispatch an estimate, later the truth.
        written: tokens generated that are paid.
        turn: its number in the order of arrival.
        waiting, running: where it is; neither before it joined and after it left.
    """

    request_id: str
    tenant: str
    service_class: ServiceClass
    slots: int = 1
    input_cost: int = UNIT
    output_cost: int = 2 * UNIT
    prompt: int = 1
    written: int = 0
    turn: int = 0
    waiting: bool = False
    running: bool = False


def cost(token_weight: float, tenant_weight: float) -> int:
    """Units per token for a tenant. A weight that is none (0, NaN) or absurd is bounded."""
    weight = max(_WEIGHT_MIN, tenant_weight) if tenant_weight > 0 else _WEIGHT_MIN
    return max(1, round(token_weight * UNIT / min(weight, _WEIGHT_MAX)))
