"""The contract of engines catches engines that break it."""

from __future__ import annotations

import pytest

from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.usage import Usage
from helixflow.testing.engine import ScriptedEngine, check_engine, check_stopped, events


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (ScriptedEngine(Frame(b"{}"), Frame(b"{}")), "2 frames"),
        (ScriptedEngine(Frame(b"{}")), "no sidecar"),
        (
            ScriptedEngine(Frame(b'{"model": "other", "id": "x"}', Sidecar(Usage(1, 3, 0)))),
            "another model",
        ),
    ],
)
async def test_an_engine_that_breaks_the_contract_is_caught(
    engine: ScriptedEngine, said: str
) -> None:
    with pytest.raises(AssertionError, match=said):
        await check_engine(engine, "echo-1")


async def test_an_engine_that_goes_on_after_its_end_is_caught() -> None:
    with pytest.raises(AssertionError, match="goes on"):
        await check_stopped(ScriptedEngine(Frame(b"{}", Sidecar())))


def test_a_stream_without_an_end_is_caught() -> None:
    with pytest.raises(AssertionError, match="DONE"):
        events([Frame(b"data: {}\n\n")])
