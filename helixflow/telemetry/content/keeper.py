"""The content of requests in an Ingress: gathered while they are answered, sealed, handed over.

    keeper = Keeper(vault, settings, clock, signals)      # gateway.ports.Contents
    draft = keeper.begin(principal, call, model)
    draft.add(b"data: ...")
    draft.end("ok")
    task = create_task(keeper.run())

What is gathered lies in memory alone, and leaves it sealed (sealing.py): no journal, log, event or
file has it in clear. What a request pays is a list's `append` for each piece.

Failure behavior: nothing here makes a request wait or fail. At most `held_bytes_max` are held, of
running requests and of those that wait for the vault; what is more is dropped. While the vault is
away, contents wait, and it is asked again after pauses that double up to `pause_s_max`. Whatever is
dropped is counted by its fate (`ports.Fate`). What an Ingress holds dies with it: a content is no
evidence, usage and audit are kept by other ways.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from helixflow.clock import Clock
from helixflow.errors import Conflict, DeadlineExceeded, Overloaded, Refused, Unavailable
from helixflow.inference.desk import DeskCall
from helixflow.inference.principal import Principal
from helixflow.inference.request import Call
from helixflow.settings import ContentSettings
from helixflow.signals import Metric, Signals
from helixflow.telemetry.content.ports import VERSION, Fate, Sealed, SealedWire, VaultPort
from helixflow.telemetry.content.sealing import Content, Text, cut, entry_key, seal

_log = logging.getLogger(__name__)

_LATER = (Unavailable, Overloaded, DeadlineExceeded)
_BATCH_MAX = 256
_ENTRY_BYTES = 1024
_FIRST_PAUSE_S = 0.1


class Told(msgspec.Struct, frozen=True):
    """What Telemetry says about a session (desk.py)."""

    id: str
    key: str


@dataclass(frozen=True, slots=True)
class _Session:
    id: str
    key: bytes
    until: float


class Draft:
    """What is gathered of one request. See `gateway.ports.Draft`.

    Attributes:
        principal, id, operation, model, at: of the request, `at` in epoch seconds.
        asked: as much of the body as is kept.
        held: how many bytes it takes of the keeper's room.
        outcome: how it ended.
    """

    __slots__ = (
        "_answer_left", "_answer_size", "_keeper", "_pieces", "asked", "at", "held", "id", "model",
        "operation", "outcome", "principal",
    )  # fmt: skip

    def __init__(
        self, keeper: Keeper, principal: Principal, call: Call, model: str, at: float
    ) -> None:
        settings = keeper.settings
        self._keeper: Keeper | None = keeper
        self._pieces: list[bytes] = []
        self._answer_left = settings.answer_bytes_max
        self._answer_size = 0
        self.principal = principal
        self.id = str(call.request_id)
        self.operation = call.operation.value
        self.asked = Text(cut(call.body, settings.request_bytes_max), len(call.body))
        self.model = model
        self.at = at
        self.held = 0
        self.outcome = ""

    def add(self, data: bytes) -> None:
        """See `gateway.ports.Draft`."""
        keeper = self._keeper
        if keeper is None:
            return
        self._answer_size += len(data)
        if not self._answer_left:
            return
        piece = cut(data, self._answer_left)
        # A piece that was cut is the last one: what comes after would not follow on it.
        self._answer_left = self._answer_left - len(piece) if len(piece) == len(data) else 0
        if keeper.hold(self, len(piece)):
            self._pieces.append(piece)
        else:
            self._keeper = None
            self._pieces.clear()

    def end(self, outcome: str) -> None:
        """See `gateway.ports.Draft`; a second end changes nothing."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            self.outcome = outcome
            keeper.finish(self)

    @property
    def answered(self) -> Text:
        """As much of the answer as is kept."""
        return Text(b"".join(self._pieces), self._answer_size)


class Keeper:
    """For one event loop; `gateway.ports.Contents`.

    Attributes:
        settings: what bounds it.
        held: how many bytes are held.
    """

    def __init__(
        self, vault: VaultPort, settings: ContentSettings, clock: Clock, signals: Signals
    ) -> None:
        self._vault = vault
        self.settings = settings
        self._clock = clock
        self._signals = signals
        self._waiting: deque[Draft] = deque()
        self._sessions: OrderedDict[tuple[str, str, int], _Session] = OrderedDict()
        self._wake = asyncio.Event()
        self._away = False
        self.held = 0

    def begin(self, principal: Principal, call: Call, model: str) -> Draft | None:
        """See `gateway.ports.Contents`."""
        draft = Draft(self, principal, call, model, self._clock.now())
        return draft if self.hold(draft, len(draft.asked.data) + _ENTRY_BYTES) else None

    def hold(self, draft: Draft, size: int) -> bool:
        """Make room for more of a draft; where there is none, all of it is given up."""
        if self.held + size > self.settings.held_bytes_max:
            self._release(draft, Fate.HELD_FULL)
            return False
        draft.held += size
        self.held += size
        return True

    def finish(self, draft: Draft) -> None:
        """A draft is complete and waits for the vault."""
        self._waiting.append(draft)
        self._wake.set()

    async def run(self) -> None:
        """Hand over, forever; ends by cancellation."""
        pause_s = _FIRST_PAUSE_S
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(self.settings.batch_s)  # for others to come along
            if await self.step():
                pause_s = _FIRST_PAUSE_S
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self.settings.pause_s_max)

    async def close(self) -> None:
        """Hand over what waits, for a moment; to be called after `run` was cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.close_s):
                while self._waiting and await self.step():
                    pass
        while self._waiting:
            self._release(self._waiting.popleft(), Fate.LEFT_OVER)

    async def step(self) -> bool:
        """Hand one batch over; False where the vault is to be asked again later."""
        batch = self._batch()
        try:
            fates = await self._hand_over(batch)
        except _LATER as refused:
            if not self._away:
                _log.warning("kept content waits: %s", refused.message)
            self._away = True
            return False
        except Exception as error:  # its text might hold some of the content
            _log.error("content could not be kept: %s", type(error).__name__)
            fates = [Fate.REFUSED] * len(batch)
        self._away = False
        for draft, fate in zip(batch, fates, strict=True):
            self._waiting.popleft()
            self._release(draft, fate)
        return True

    def _batch(self) -> list[Draft]:
        batch: list[Draft] = []
        size = 0
        for draft in self._waiting:
            size += draft.held
            if batch and (size > self.settings.batch_bytes or len(batch) == _BATCH_MAX):
                break
            batch.append(draft)
        return batch

    async def _hand_over(self, batch: list[Draft]) -> list[Fate]:
        """What became of each. Raises whatever the vault raises."""
        sessions = [await self._session(draft.principal) for draft in batch]
        pairs = [
            (draft, session)
            for draft, session in zip(batch, sessions, strict=True)
            if isinstance(session, _Session)
        ]
        # Off the loop: a megabyte takes milliseconds to compress.
        wires = await asyncio.to_thread(self._seal, pairs)
        told: list[Fate] = []
        if wires:
            _, fates = await self._vault.keep((VERSION, wires))
            told = [Fate(fate) for fate in fates]
        for (draft, _), fate in zip(pairs, told, strict=True):
            if fate is Fate.ERASED:
                self._sessions.pop(_place(draft.principal), None)
        left = iter(told)
        return [one if isinstance(one, Fate) else next(left) for one in sessions]

    async def _session(self, who: Principal) -> _Session | Fate:
        """What to seal with, or what becomes of contents for which there is nothing."""
        place, now = _place(who), self._clock.monotonic()
        held = self._sessions.get(place)
        if held is not None and now < held.until:
            return held
        try:
            answer = await self._vault.call(DeskCall("content.session", who))
        except Conflict:
            self._sessions.pop(place, None)
            return Fate.ERASED
        except _LATER:
            raise
        except Refused as refused:
            _log.warning("content is not kept: %s", refused.message)
            return Fate.REFUSED
        told = msgspec.json.decode(answer.body, type=Told)
        until = now + self.settings.session_s
        session = self._sessions[place] = _Session(told.id, base64.b64decode(told.key), until)
        self._sessions.move_to_end(place)
        while len(self._sessions) > self.settings.sessions_max:
            self._sessions.popitem(last=False)
        return session

    def _seal(self, pairs: list[tuple[Draft, _Session]]) -> tuple[SealedWire, ...]:
        return tuple(self._sealed(draft, session).to_wire() for draft, session in pairs)

    def _sealed(self, draft: Draft, session: _Session) -> Sealed:
        who, answered = draft.principal, draft.answered
        organization, project, period = _place(who)
        key = entry_key(session.key, draft.id)
        content = Content(draft.asked, answered)
        return Sealed(
            organization=organization,
            project=project,
            request=draft.id,
            at=draft.at,
            days=0 if who.keeping is None else who.keeping.days,
            model=draft.model,
            operation=draft.operation,
            outcome=draft.outcome,
            request_bytes=draft.asked.size,
            answer_bytes=answered.size,
            truncated=draft.asked.truncated or answered.truncated,
            period=period,
            session=session.id,
            sealed=seal(content, key, organization, project, draft.id),
        )

    def _release(self, draft: Draft, fate: Fate) -> None:
        self.held -= draft.held
        draft.held = 0
        self._signals.count(Metric.CONTENTS, (("outcome", fate.value),))


def _place(who: Principal) -> tuple[str, str, int]:
    return (who.organization, who.project, 0 if who.keeping is None else who.keeping.period)
