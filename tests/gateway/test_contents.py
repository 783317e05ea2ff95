"""What the pipeline gives to be kept: of whom, and how much of an answer."""

from __future__ import annotations

import asyncio

from helixflow.errors import Refusal, Unavailable
from helixflow.gateway.pipeline import Pipeline
from helixflow.inference.frame import Frame
from helixflow.inference.principal import Keeping, Principal
from helixflow.inference.request import Call
from helixflow.testing.gateway import last_frame
from helixflow.testing.stage import Stage

KEEPING = Keeping(days=7, period=1)


class Draft:
    """Attributes: what was sent, and how it ended."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended: list[str] = []

    def add(self, data: bytes) -> None:
        self.sent.append(data)

    def end(self, outcome: str) -> None:
        self.ended.append(outcome)


class Contents:
    """Keeps drafts; `full` says that there is no room."""

    def __init__(self, *, full: bool = False) -> None:
        self.drafts: list[Draft] = []
        self.begun: list[tuple[Principal, Call, str]] = []
        self.full = full

    def begin(self, principal: Principal, call: Call, model: str) -> Draft | None:
        self.begun.append((principal, call, model))
        if self.full:
            return None
        self.drafts.append(Draft())
        return self.drafts[-1]


def stage_of(contents: Contents, *script: Frame | Exception | asyncio.Event) -> Stage:
    scripts = [list(script)] if script else [[last_frame(b"whole")]]
    return Stage(Pipeline, scripts, keeping=KEEPING, contents=contents)


async def test_a_whole_answer_is_given_as_it_is_sent() -> None:
    contents = Contents()
    stage = stage_of(contents)
    await stage.answer()
    ((principal, call, model),) = contents.begun
    assert (principal, model) == (stage.principal, "echo-1")
    assert call.body
    (draft,) = contents.drafts
    assert (draft.sent, draft.ended) == ([b"whole"], ["ok"])


async def test_a_stream_is_given_piece_by_piece() -> None:
    contents = Contents()
    stage = stage_of(contents, Frame(b"1"), Frame(b"2"), last_frame(b"3"))
    assert await stage.answer(stream=True) == b"123"
    (draft,) = contents.drafts
    assert (draft.sent, draft.ended) == ([b"1", b"2", b"3"], ["ok"])


async def test_of_an_answer_that_breaks_off_is_given_what_was_sent() -> None:
    died = Unavailable(Refusal.ENGINE_DIED, "gone", retry_after_s=1.0)
    contents = Contents()
    await stage_of(contents, Frame(b"1"), died).refused(stream=True)
    (draft,) = contents.drafts
    assert (draft.sent, draft.ended) == ([b"1"], [Refusal.ENGINE_DIED.value])


async def test_a_client_that_hangs_up_ends_it() -> None:
    contents = Contents()
    stage = stage_of(contents, Frame(b"1"), asyncio.Event())
    task = asyncio.create_task(stage.answer(stream=True))
    while not contents.drafts or not contents.drafts[0].sent:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert contents.drafts[0].ended == ["canceled"]


async def test_nothing_is_given_where_nothing_is_kept_or_nothing_was_admitted() -> None:
    contents = Contents()
    stage = Stage(Pipeline, contents=contents)
    await stage.answer()
    await stage_of(contents).refused(model="nobody")
    assert contents.begun == []


async def test_an_answer_goes_out_where_there_is_no_room_for_its_content() -> None:
    contents = Contents(full=True)
    assert await stage_of(contents).answer() == b"whole"
    assert len(contents.begun) == 1
