"""The counters of a caller's requests to a model, looked up once and kept.

A plan is found by the identity of the principal object: the verdict cache gives the same object for as
long as a verdict holds, and another one when anything about the caller changed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import ParsedBody
from helixflow.limits.counters import Measure, lines_for
from helixflow.limits.estimate import Estimate, most
from helixflow.limits.exchange import Demand, Held
from helixflow.limits.purse import Purse


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Attributes: whose it is; what is held of each of its counters, and whether that is hard."""

    principal: Principal
    lines: tuple[tuple[Held, bool], ...]

    @property
    def held(self) -> list[Held]:
        """What is held of its counters."""
        return [held for held, _ in self.lines]

    @property
    def gone(self) -> bool:
        """Whether something of it was forgotten, so that it must be made again."""
        for held, _ in self.lines:  # noqa: SIM110 - asked for every request: `any` takes twice as long
            if held.gone:
                return True
        return False

    def demands(self, estimate: Estimate, spec: ModelSpec, body: ParsedBody) -> list[Demand]:
        """What a request takes of each counter.

        Raises `InvalidRequest` where a hard limit needs a bound that the request does not give.
        """
        demands = []
        for held, hard in self.lines:
            measure = held.measure
            if measure is Measure.TOKENS:
                taken = most(spec, body) if hard else estimate
                demands.append((held, taken.tokens(held.limit)))
            elif measure is Measure.SPEND:
                taken = most(spec, body) if hard else estimate
                demands.append((held, taken.cost(spec.price, held.limit)))
            else:
                demands.append((held, 1))
        return demands


class Plans:
    """The plans that were used lately, at most `plans_max`."""

    def __init__(self, purse: Purse, plans_max: int) -> None:
        self._purse = purse
        self._plans_max = plans_max
        self._plans: OrderedDict[tuple[int, str], Plan] = OrderedDict()

    def find(self, principal: Principal, model: str, now: float) -> Plan | None:
        """The plan; None where there is no room to hold another counter."""
        plan = self._plans.get((id(principal), model))
        if plan is not None and plan.principal is principal and not plan.gone:
            return plan
        return self._make(principal, model, now)

    def _make(self, principal: Principal, model: str, now: float) -> Plan | None:
        lines = []
        for line in lines_for(principal, model):
            held = self._purse.held(line.counter, line.limit, now)
            if held is None:
                return None
            lines.append((held, line.hard))
        key = (id(principal), model)
        self._plans.pop(key, None)
        while len(self._plans) >= self._plans_max:
            self._plans.popitem(last=False)
        plan = self._plans[key] = Plan(principal, tuple(lines))
        return plan
