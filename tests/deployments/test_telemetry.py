"""The Telemetry actor as processes see it, without Ray: the real shell, wires in between."""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ray.exceptions import RayActorError, RayTaskError

from deployments.recording import start_recorder
from deployments.telemetry import Telemetry, find_or_create, settings_digest
from deployments.telemetry_calls import RayTelemetry, find
from helixflow.clock import SystemClock
from helixflow.errors import NotFound, Refusal, Unavailable
from helixflow.gateway.pipeline import Pipeline
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.desk import DeskCall
from helixflow.inference.principal import Keeping, Principal
from helixflow.settings import Settings, TelemetrySettings
from helixflow.signals import Event, EventKind, Metric
from helixflow.telemetry.content.keeper import Keeper
from helixflow.telemetry.content.sealing import unseal
from helixflow.telemetry.wire import VERSION, join
from helixflow.testing.gateway import last_frame, some_call
from helixflow.testing.handle import FakeHandle
from helixflow.testing.stage import Stage

NOTHING = (VERSION, "ingress-1", "ingress", 0, 0, join([]), 0, b"", False)
QUICK = {"batch_s": 0.005, "call_s": 5.0}


def tree(home: Path, **telemetry: Any) -> dict[str, Any]:
    told = {"jsonl": {"enabled": True}, "shipping": QUICK, **telemetry}
    settings = Settings.of({"home": str(home), "telemetry": told})
    return settings.model_dump(mode="json", exclude={"models"})


def calls(actor: object, **shipping: Any) -> RayTelemetry:
    settings = TelemetrySettings.model_validate({"shipping": {**QUICK, **shipping}})
    return RayTelemetry(settings, lambda: actor)


@pytest.fixture
async def actor(tmp_path: Path) -> AsyncIterator[Telemetry]:
    made = Telemetry(tree(tmp_path))
    yield made
    await made.close()


def lines(home: Path) -> list[dict[str, Any]]:
    return [
        msgspec.json.decode(line)
        for path in (home / "events").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]


async def test_what_a_replica_records_ends_in_the_files(actor: Telemetry, tmp_path: Path) -> None:
    handle = FakeHandle(actor)
    recorder = start_recorder(tree(tmp_path), "ingress", SystemClock(), lambda: handle)
    recorder.record(Event(EventKind.REQUEST_ENDED, 1.0, "req_1", {"model": "echo-1"}))
    recorder.count(Metric.REQUESTS)
    await recorder.close()
    (line,) = lines(tmp_path)
    assert (line["id"], line["facts"]) == ("req_1", {"model": "echo-1"})
    assert line["source"] == recorder.source
    assert list((tmp_path / "journals").iterdir()) == []


async def test_its_desk_refuses_as_a_desk_does(actor: Telemetry) -> None:
    who = Principal(OrganizationId("o"), ProjectId(""), KeyId("k"), "", frozenset())
    with pytest.raises(NotFound):
        await calls(FakeHandle(actor)).call(DeskCall("nothing.read", who))


async def test_after_its_end_it_takes_nothing(actor: Telemetry) -> None:
    await actor.ship(NOTHING)
    await actor.close()
    await actor.close()
    with pytest.raises(Unavailable):
        await actor.ship(NOTHING)


async def test_parts_that_cannot_be_built_are_tried_again(tmp_path: Path) -> None:
    (tmp_path / "events").write_text("in the way")
    made = Telemetry(tree(tmp_path))
    with pytest.raises(OSError):
        await made.ship(NOTHING)
    (tmp_path / "events").unlink()
    assert await made.ship(NOTHING) == (VERSION, 0, 0)
    await made.close()


async def test_its_settings_are_known_by_a_digest(tmp_path: Path) -> None:
    one, other = tree(tmp_path), tree(tmp_path, jsonl={"enabled": False})
    assert await Telemetry(one).settings() == settings_digest(one)
    assert settings_digest(one) != settings_digest(other)


async def test_a_lost_actor_is_away_and_looked_for_again(actor: Telemetry) -> None:
    looks = []

    def look() -> object:
        looks.append(1)
        return handle

    handle = FakeHandle(actor)
    telemetry = RayTelemetry(TelemetrySettings(), look)
    handle.lost.append(RayActorError())
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await telemetry.ship(NOTHING)
        assert caught.value.reason is Refusal.TELEMETRY_UNAVAILABLE
    assert len(looks) == 2
    handle.lost.clear()
    await telemetry.ship(NOTHING)
    await telemetry.ship(NOTHING)
    assert len(looks) == 3


@pytest.mark.parametrize(
    "error", [RayTaskError("ship", "trace", ValueError("x")), ConnectionError(), TimeoutError()]
)
async def test_a_call_that_fails_is_unavailable(actor: Telemetry, error: Exception) -> None:
    handle = FakeHandle(actor)
    handle.lost.append(error)
    with pytest.raises(Unavailable):
        await calls(handle).ship(NOTHING)


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    class Never:
        async def ship(self, batch: object) -> None:
            await asyncio.Event().wait()

    with pytest.raises(Unavailable):
        await calls(FakeHandle(Never()), call_s=0.001).ship(NOTHING)


async def test_a_search_that_hangs_occupies_one_thread() -> None:
    gate, looks = threading.Event(), []

    def look() -> object:
        looks.append(time.monotonic())
        gate.wait(10)
        raise ValueError("none there")

    settings = TelemetrySettings.model_validate({"shipping": {"call_s": 0.001}})
    telemetry = RayTelemetry(settings, look)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await telemetry.ship(NOTHING)
    assert len(looks) == 1
    gate.set()
    await asyncio.wait({telemetry._looking})  # type: ignore[type-var]


def plain(home: Path, words: bytes) -> list[str]:
    """The files below a folder that hold these words."""
    return [p.name for p in home.rglob("*") if p.is_file() and words in p.read_bytes()]


async def test_kept_content_lies_nowhere_in_clear_and_comes_back_as_it_was(
    actor: Telemetry, tmp_path: Path
) -> None:
    handle, answer = FakeHandle(actor), b"the word that was answered"
    recorder = start_recorder(tree(tmp_path), "ingress", SystemClock(), lambda: handle)
    vault = calls(handle)
    keeper = Keeper(vault, TelemetrySettings().content, SystemClock(), recorder)
    stage = Stage(Pipeline, [[last_frame(answer)]], keeping=Keeping(7, 1), contents=keeper)
    call = some_call(messages=[{"role": "user", "content": "the word that was asked"}])
    async with stage.pipeline.exchange(call):
        pass
    for event in stage.signals.events:
        recorder.record(event)
    assert plain(tmp_path, b"request.admitted")
    assert await keeper.step()
    await recorder.close()
    for words in (answer, b"the word that was asked"):
        assert plain(tmp_path, words) == []
    may = frozenset({"content:read"})
    who = replace(stage.principal, permissions=may)
    asked = msgspec.json.encode({"project_id": who.project, "request_id": call.request_id})
    sealed = (await vault.call(DeskCall("content.sealed", who, asked))).body
    told = msgspec.json.decode((await vault.call(DeskCall("content.read", who, asked))).body)
    key = base64.b64decode(told["key"])
    content = unseal(sealed, key, who.organization, who.project, call.request_id)
    assert (content.request.data, content.answer.data) == (call.body, answer)
    await actor.close()
    with pytest.raises(Unavailable):
        await vault.keep((1, ()))


async def test_outside_a_cluster_there_is_no_actor(tmp_path: Path) -> None:
    for look in (find, find_or_create(tree(tmp_path))):
        with pytest.raises(ConnectionError):
            look()
