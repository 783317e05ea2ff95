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
        held: how many bytes it takes of the keeper's room.
        text: the answer, once it has ended.
    """

    __slots__ = (
        "_answer_left", "_answer_size", "_keeper", "_pieces", "at", "call", "held", "model",
        "outcome", "principal",
    )  # fmt: skip

    def __init__(
        self, keeper: Keeper, principal: Principal, call: Call, model: str, at: float, left: int
    ) -> None:
        self._keeper: Keeper | None = keeper
        self._pieces: list[bytes] = []
        self._answer_left = left
        self._answer_size = 0
        self.principal = principal
        self.call = call
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
    def text(self) -> Text:
        """The answer, as much of it as is kept."""
        return Text(b"".join(self._pieces), self._answer_size)


class Keeper:
    """For one event loop; `gateway.ports.Contents`.

    Attributes:
        held: how many bytes are held.
    """

    def __init__(
        self, vault: VaultPort, settings: ContentSettings, clock: Clock, signals: Signals
    ) -> None:
        self._vault = vault
        self._settings = settings
        self._clock = clock
        self._signals = signals
        self._waiting: deque[Draft] = deque()
        self._sessions: OrderedDict[tuple[str, str, int], _Session] = OrderedDict()
        self._wake = asyncio.Event()
        self._away = False
        self.held = 0

    def begin(self, principal: Principal, call: Call, model: str) -> Draft | None:
        """See `gateway.ports.Contents`."""
        draft = Draft(
            self, principal, call, model, self._clock.now(), self._settings.answer_bytes_max
        )
        size = min(len(call.body), self._settings.request_bytes_max)
        return draft if self.hold(draft, size + _ENTRY_BYTES) else None

    def hold(self, draft: Draft, size: int) -> bool:
        """Make room for more of a draft; where there is none, all of it is given up."""
        if self.held + size > self._settings.held_bytes_max:
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
                await asyncio.sleep(self._settings.batch_s)  # for others to come along
            if await self.step():
                pause_s = _FIRST_PAUSE_S
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self._settings.pause_s_max)

    async def close(self) -> None:
        """Hand over what waits, for a moment; to be called after `run` was cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.close_s):
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
            if batch and (size > self._settings.batch_bytes or len(batch) == _BATCH_MAX):
                break
            batch.append(draft)
        return batch

    async def _hand_over(self, batch: list[Draft]) -> list[Fate]:
        """What became of each. Raises whatever the vault raises."""
        sessions = [await self._session(draft.principal) for draft in batch]
        pairs = [
            (draft, session)
            for draft, session in zip(batch, sessions, strict=True)
            if session is not None
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
        return [Fate.ERASED if session is None else next(left) for session in sessions]

    async def _session(self, who: Principal) -> _Session | None:
        """What to seal with; None where what this period keeps was erased."""
        place, now = _place(who), self._clock.monotonic()
        held = self._sessions.get(place)
        if held is not None and now < held.until:
            return held
        try:
            answer = await self._vault.call(DeskCall("content.session", who))
        except Conflict:
            self._sessions.pop(place, None)
            return None
        except _LATER:
            raise
        except Refused as refused:
            _log.warning("content is not kept: %s", refused.message)
            return None
        told = msgspec.json.decode(answer.body, type=Told)
        until = now + self._settings.session_s
        session = self._sessions[place] = _Session(told.id, base64.b64decode(told.key), until)
        self._sessions.move_to_end(place)
        while len(self._sessions) > self._settings.sessions_max:
            self._sessions.popitem(last=False)
        return session

    def _seal(self, pairs: list[tuple[Draft, _Session]]) -> tuple[SealedWire, ...]:
        return tuple(self._sealed(draft, session).to_wire() for draft, session in pairs)

    def _sealed(self, draft: Draft, session: _Session) -> Sealed:
        who, body, answer = draft.principal, draft.call.body, draft.text
        request = Text(cut(body, self._settings.request_bytes_max), len(body))
        name = str(draft.call.request_id)
        organization, project, period = _place(who)
        return Sealed(
            organization=organization,
            project=project,
            request=name,
            at=draft.at,
            days=0 if who.keeping is None else who.keeping.days,
            model=draft.model,
            operation=draft.call.operation.value,
            outcome=draft.outcome,
            request_bytes=request.size,
            answer_bytes=answer.size,
            truncated=request.truncated or answer.truncated,
            period=period,
            session=session.id,
            sealed=seal(
                Content(request, answer),
                entry_key(session.key, name),
                organization,
                project,
                name,
            ),
        )

    def _release(self, draft: Draft, fate: Fate) -> None:
        self.held -= draft.held
        draft.held = 0
        self._signals.count(Metric.CONTENTS, (("outcome", fate.value),))


def _place(who: Principal) -> tuple[str, str, int]:
    return (who.organization, who.project, 0 if who.keeping is None else who.keeping.period)
