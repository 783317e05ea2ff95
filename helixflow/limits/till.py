"""Taking and settling, without any await: what a warm request costs.

A request is measured (which counters, how much of each), takes from all of them or from none, and
settles once. Settling brings tokens and spend to the truth, which may be debt; requests stay spent, and slots
are given back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from helixflow.clock import Clock
from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.principal import Principal
from helixflow.inference.request import ParsedBody
from helixflow.inference.usage import Usage
from helixflow.limits.counters import Measure
from helixflow.limits.estimate import Estimate, Estimator, cost
from helixflow.limits.exchange import Demand
from helixflow.limits.headers import Headers
from helixflow.limits.holding import Lease
from helixflow.limits.plan import Plan, Plans
from helixflow.limits.purse import Purse
from helixflow.limits.refusals import too_many_waiting


@dataclass(slots=True, eq=False)
class Request:
    """What a request would take. Not frozen, which would make it three times as dear."""

    plan: Plan
    spec: ModelSpec
    body: ParsedBody
    estimate: Estimate
    demands: Sequence[Demand]


class Reserved:
    """`Reservation` of a request: what it took of which lease."""

    __slots__ = ("_leases", "_over", "_till", "request")

    def __init__(self, till: Till, request: Request, leases: list[tuple[Lease, int]]) -> None:
        self._till = till
        self._leases = leases
        self._over = False
        self.request = request

    @property
    def headers(self) -> Headers:
        """See `Reservation.headers`."""
        return self._till.headers(self.request.plan)

    @property
    def tokens(self) -> int:
        """See `Reservation.tokens`."""
        return self.request.estimate.prompt + self.request.estimate.output

    def settle(self, usage: Usage | None, *, whole: bool = True) -> None:
        """See `Reservation.settle`."""
        if not self._over:
            self._over = True
            self._till.settle(self.request, self._leases, usage, whole=whole)

    def cancel(self) -> None:
        """Give everything back: the request never began."""
        if not self._over:
            self._over = True
            self._till.cancel(self.request, self._leases)


class Till:
    """Takes from a purse and brings back to it.

    `nudge` is called where the purse has something to say to the store before the next heartbeat.
    """

    def __init__(
        self, purse: Purse, clock: Clock, callers_max: int, nudge: Callable[[], None]
    ) -> None:
        self._purse = purse
        self._plans = Plans(purse, callers_max)
        self._estimator = Estimator(callers_max)
        self._monotonic = clock.monotonic
        self._nudge = nudge

    def plan(self, principal: Principal, model: str) -> Plan:
        """The counters of a caller. Raises `Overloaded` where there is no room for them."""
        plan = self._plans.find(principal, model, self._monotonic())
        if plan is None:
            self._nudge()
            raise too_many_waiting()
        return plan

    def measure(self, principal: Principal, spec: ModelSpec, body: ParsedBody) -> Request:
        """What a request would take. Raises `InvalidRequest`, `Overloaded`."""
        plan = self.plan(principal, spec.name)
        estimate = self._estimator.estimate(principal, spec, body)
        return Request(plan, spec, body, estimate, plan.demands(estimate, spec, body))

    def current(self, request: Request) -> Request:
        """The same request, where some of its counters were forgotten since it was measured.

        To be called before anything is asked for it. Raises `Overloaded`.
        """
        if not request.plan.gone:
            return request
        return self.measure(request.plan.principal, request.spec, request.body)

    def take(self, request: Request) -> Reserved | None:
        """Take everything; None, and nothing taken, where something is lacking."""
        leases = self._purse.take(request.demands, self._monotonic())
        if leases is None:
            return None
        if self._purse.urgent:
            self._nudge()
        return Reserved(self, request, leases)

    def settle(
        self,
        request: Request,
        leases: Sequence[tuple[Lease, int]],
        usage: Usage | None,
        *,
        whole: bool = True,
    ) -> None:
        """Bring what was taken to the truth; without it, what was taken is what was used."""
        if usage is None:
            for lease, _ in leases:
                self._purse.correct(lease, 0)
            self._free(request)
            return
        correct = self._purse.correct
        tokens, spent = usage.total_tokens, -1
        for lease, amount in leases:
            measure = lease.holding.measure
            if measure is Measure.TOKENS:
                correct(lease, tokens - amount)
            elif measure is Measure.SPEND:
                if spent < 0:
                    spent = cost(request.spec.price, usage)
                correct(lease, spent - amount)
            else:
                correct(lease, 0)
        self._free(request)
        if not whole:
            return
        body = request.body
        self._estimator.learn(
            request.plan.principal, request.spec.name, body.prompt_bytes, body.choices, usage
        )

    def cancel(self, request: Request, leases: Sequence[tuple[Lease, int]]) -> None:
        """Bring everything back."""
        for lease, amount in leases:
            self._purse.correct(lease, -amount)
        self._free(request)

    def headers(self, plan: Plan) -> Headers:
        """What the caller is told."""
        return plan.rates.headers(self._monotonic())

    def _free(self, request: Request) -> None:
        for slots in request.plan.slots:
            self._purse.free(slots)
        if self._purse.soon:
            self._nudge()
