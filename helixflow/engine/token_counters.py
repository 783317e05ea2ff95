"""Virtual token counters: whose turn it is among the tenants of one class.

Algorithm 2 of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024),
https://arxiv.org/abs/2401.00588. Each tenant's counter holds what it was served, in tokens weighed
by `input_weight` and `output_weight` and divided by the tenant's own weight. The prompt is charged
at dispatch, generated tokens as they come. Whoever waits with the least counter is next. A tenant
that comes to wait is lifted to the least counter among those who wait, or, where nobody does, to
the counter of the tenant that waited last: nobody saves up while away.

So the service of two tenants that wait all the time differs by at most `2 U`, where `U` is the
larger of the longest prompt's cost and the cost of all tokens that the running batch may hold
(Theorem 4.4), over the smaller of the two weights.

Two things differ from the paper. A prompt's length is an estimate until the engine has read it:
the estimate makes its tenant wait, but lifts nobody, and the truth takes its place; this widens the
bound by at most twice what the unread prompts of a batch are estimated at. And counters are read
when they decide something, not at every token: what is known of them only grows, so that one which
is the least before and after it is read is the least of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helixflow.engine.place import Place, Read
from helixflow.inference.usage import Usage

_IDLE_MAX = 1024


@dataclass(eq=False, slots=True)
class Account:
    """A tenant's.

    Attributes:
        served: what it was served as far as that is known, in units. Never less than it was.
        pending: prompts that are paid by estimate, and not read yet.
        waiting, running: its places, the oldest first.
    """

    tenant: str
    served: int = 0
    pending: int = 0
    waiting: dict[Place, None] = field(default_factory=dict)
    running: dict[Place, None] = field(default_factory=dict)

    @property
    def first(self) -> Place:
        """Who waits longest."""
        return next(iter(self.waiting))


def _rank(account: Account) -> tuple[int, int]:
    """The least is next; among equals, who has waited longest."""
    return account.served + account.pending, account.first.turn


def _served(account: Account) -> int:
    return account.served


class TokenCounters:
    """The tenants of one class. Pure: decides, and leaves acting to its owner.

    Args:
        read: what a running request has used.
        idle_max: tenants without a request that are remembered because they are ahead of the
            others. Those that are not ahead are forgotten at once, which changes nothing: they
            would be lifted. Beyond the bound, those that are least ahead are forgotten.
    """

    def __init__(self, read: Read, idle_max: int = _IDLE_MAX) -> None:
        self._read = read
        self._idle_max = idle_max
        self._accounts: dict[str, Account] = {}
        self._waiting: dict[str, Account] = {}
        self._idle: dict[str, Account] = {}
        self._unread: dict[Place, None] = {}
        self._last: Account | None = None
        self._floor = 0

    @property
    def awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    @property
    def tenants(self) -> int:
        """Tenants that are remembered."""
        return len(self._accounts)

    @property
    def counters(self) -> dict[str, int]:
        """The counter of each tenant that is remembered, as of the last decision, in units."""
        return {each.tenant: each.served + each.pending for each in self._accounts.values()}

    def join(self, place: Place) -> None:
        """A request comes to wait."""
        account = self._accounts.get(place.tenant)
        if account is None:
            account = self._accounts[place.tenant] = Account(place.tenant)
        self._idle.pop(place.tenant, None)
        if not account.waiting:
            self._lift(account)
            self._waiting[place.tenant] = account
        account.waiting[place] = None

    def head(self) -> Place:
        """Whose turn it is. Somebody must wait."""
        return self._least(_rank).first

    def begin(self, place: Place) -> None:
        """A request that waits is dispatched: its prompt is paid."""
        account = self._accounts[place.tenant]
        self._unqueue(account, place)
        account.running[place] = None
        account.pending += place.prompt * place.input_cost
        self._unread[place] = None

    def drop(self, place: Place) -> None:
        """A request that waits leaves without having been served."""
        account = self._accounts[place.tenant]
        self._unqueue(account, place)
        self._rest(account)

    def end(self, place: Place) -> None:
        """A running request is over: what it used is paid in full."""
        account = self._accounts[place.tenant]
        del account.running[place]
        self._bill(account, place, self._read(place.request_id))
        self._rest(account)

    def _lift(self, account: Account) -> None:
        self._refresh(account)
        if self._waiting:
            level = self._least(_served).served
        elif self._last is not None and self._last is not account:
            self._refresh(self._last)
            level = self._last.served
        else:
            level = 0
        self._floor = max(self._floor, level)
        account.served = max(account.served, self._floor)

    def _least(self, key: Callable[[Account], Any]) -> Account:
        """The least of those who wait, by counters as they are at this moment."""
        if len(self._waiting) > 1:
            for place in [*self._unread]:
                self._charge(self._accounts[place.tenant], place)
        while True:
            least = min(self._waiting.values(), key=key)
            before = least.served
            self._refresh(least)
            if least.served == before or len(self._waiting) == 1:
                return least

    def _refresh(self, account: Account) -> None:
        for place in account.running:
            self._charge(account, place)

    def _charge(self, account: Account, place: Place) -> None:
        used = self._read(place.request_id)
        if used.total_tokens:
            self._bill(account, place, used)

    def _bill(self, account: Account, place: Place, used: Usage) -> None:
        """Charge what a request used beyond what it has paid."""
        if place in self._unread:
            del self._unread[place]
            account.pending -= place.prompt * place.input_cost
            place.prompt = 0
        read, written = used.prompt_tokens - place.prompt, used.completion_tokens - place.written
        account.served += read * place.input_cost + written * place.output_cost
        place.prompt, place.written = used.prompt_tokens, used.completion_tokens

    def _unqueue(self, account: Account, place: Place) -> None:
        del account.waiting[place]
        if not account.waiting:
            del self._waiting[account.tenant]
            self._last = account

    def _rest(self, account: Account) -> None:
        """Forget a tenant that has no request and is not ahead of the others."""
        if account.waiting or account.running:
            return
        if account.served <= self._floor:
            del self._accounts[account.tenant]
            return
        self._idle[account.tenant] = account
        if len(self._idle) > self._idle_max:
            self._forget()

    def _forget(self) -> None:
        ahead = [each for each in self._idle.values() if each.served > self._floor]
        ahead.sort(key=_served, reverse=True)
        kept = ahead[: self._idle_max // 2]
        for tenant in self._idle:
            del self._accounts[tenant]
        self._idle = {account.tenant: account for account in kept}
        self._accounts.update(self._idle)
