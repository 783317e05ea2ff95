"""The counters of a caller's requests to a model, looked up once and kept.

A plan is found by the identity of the principal object: the verdict cache gives the same object for as
long as a verdict holds, and another one when anything about the caller changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import ParsedBody
from helixflow.limits.counters import Measure, lines_for
from helixflow.limits.estimate import Estimate, most
from helixflow.limits.exchange import Demand, Held
from helixflow.limits.headers import Rates
from helixflow.limits.purse import Purse
from helixflow.limits.slots import Slots


class Plan:
    """What a request takes from, sorted by how much it takes.

    Attributes:
        principal: whose it is.
        held: what is held of each of its counters.
        slots: those of requests at a time.
        rates: those that the headers are about.
    """

    __slots__ = ("_ones", "_spend", "_tokens", "held", "principal", "rates", "slots")

    def __init__(self, principal: Principal, lines: Sequence[tuple[Held, bool]]) -> None:
        self.principal = principal
        self.held: tuple[Held, ...] = tuple(held for held, _ in lines)
        self.slots = tuple(held for held in self.held if isinstance(held, Slots))
        self.rates = Rates.among(self.held)
        self._tokens = [line for line in lines if line[0].measure is Measure.TOKENS]
        self._spend = [line for line in lines if line[0].measure is Measure.SPEND]
        measured = (Measure.TOKENS, Measure.SPEND)
        self._ones: list[Demand] = [(held, 1) for held in self.held if held.measure not in measured]

    @property
    def gone(self) -> bool:
        """Whether something of it was forgotten, so that it must be made again."""
        for held in self.held:  # noqa: SIM110 - asked for every request: `any` takes twice as long
            if held.gone:
                return True
        return False

    def demands(self, estimate: Estimate, spec: ModelSpec, body: ParsedBody) -> list[Demand]:
        """What a request takes of each counter.

        Raises `InvalidRequest` where a hard limit needs a bound that the request does not give.
        """
        demands = self._ones.copy()
        if self._tokens:
            amount, free_to = estimate.prompt + estimate.output, estimate.free_to
            for held, hard in self._tokens:
                if hard:
                    demands.append((held, most(spec, body).tokens(held.limit)))
                elif held.limit >= free_to:
                    demands.append((held, amount))
                else:
                    demands.append((held, estimate.tokens(held.limit)))
        if self._spend:
            prompt, output = estimate.costs(spec.price)
            for held, hard in self._spend:
                if hard:
                    demands.append((held, most(spec, body).cost(spec.price, held.limit)))
                else:
                    demands.append((held, estimate.part(held.limit, prompt, output)))
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
        plan = self._plans[key] = Plan(principal, lines)
        return plan
