"""What is published for everybody, kept by an Ingress: the token keys and the issuer's description.

Asked for again as soon as a newer identity revision is known, and every `_FRESH_S` besides, because
a key also ends by the clock alone.

Failure behavior: while Auth is away, what was told last is answered; before anything was told, the
call goes to Auth and fails as any other does.
"""

from __future__ import annotations

from helixflow.clock import Clock
from helixflow.gateway.ports import Desk
from helixflow.gateway.upkeep import Learner
from helixflow.inference.desk import DeskAnswer, DeskCall

OPERATIONS = ("jwks.read", "openid.read")
_FRESH_S = 60.0


class Published:
    """`Desk` that answers what is published from its copy, and passes on everything else.

    Args:
        learner: knows the newest identity revision.
    """

    def __init__(self, desk: Desk, learner: Learner, clock: Clock) -> None:
        self._desk = desk
        self._learner = learner
        self._clock = clock
        self._kept: dict[str, DeskAnswer] = {}
        self._revision = -1
        self._asked_at = 0.0

    async def call(self, call: DeskCall) -> DeskAnswer:
        """See `Desk.call`."""
        kept = self._kept.get(call.operation)
        return await self._desk.call(call) if kept is None else kept

    async def poll(self) -> None:
        """Ask again where something may have changed. Raises `Refused` where nobody answers."""
        revision, now = self._learner.revision, self._clock.monotonic()
        fresh = len(self._kept) == len(OPERATIONS) and now - self._asked_at < _FRESH_S
        if fresh and revision == self._revision:
            return
        for operation in OPERATIONS:
            self._kept[operation] = await self._desk.call(DeskCall(operation, None))
        self._revision, self._asked_at = revision, now
