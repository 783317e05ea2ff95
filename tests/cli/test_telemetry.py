"""`helixflow telemetry dead-letters`, on a folder as the actor leaves it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from helixflow.cli.main import app
from helixflow.signals import Event, EventKind
from helixflow.telemetry.dead_letters import DeadLetters, letters_of
from helixflow.telemetry.wire import Unreadable

Run = Callable[..., Result]
NAMES = ["audit-auth-1-3", "hub-auth-1-4", "usage-ingress-1-7"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    async def lay() -> None:
        letters = DeadLetters(letters_of(tmp_path), 10_000)
        event = Event(EventKind.REQUEST_ENDED, 1_700_000_000.0, "req_1", {"outcome": "ok"})
        await letters.write("usage", "ingress-1", 7, event, "Indigestible: no")
        await letters.write("audit", "auth-1", 3, event, "ZeroDivisionError: 0")
        await letters.write("hub", "auth-1", 4, Unreadable(b"\x00"), "unreadable")

    asyncio.run(lay())
    return letters_of(tmp_path)


@pytest.fixture
def run(tmp_path: Path, folder: Path) -> Run:
    words = ("telemetry", "dead-letters")
    return lambda *more: CliRunner().invoke(app, [*words, *more, "--home", str(tmp_path)])


def test_letters_are_shown_with_why_they_lie_there(run: Run) -> None:
    shown = run("list").stdout
    assert all(name in shown for name in NAMES)
    assert "2023-11-14T22:13:20+00:00" in shown
    (one,) = json.loads(run("list", "--json", "--sink", "usage").stdout)["data"]
    assert one["event"]["facts"] == {"outcome": "ok"}
    assert (one["state"], one["reason"]) == ("lies there", "Indigestible: no")


def test_a_stack_without_letters_has_none(tmp_path: Path) -> None:
    words = ("telemetry", "dead-letters", "list", "--json", "--home", str(tmp_path))
    assert json.loads(CliRunner().invoke(app, words).stdout)["data"] == []


def test_what_nobody_tries_waits_and_is_said(run: Run, folder: Path) -> None:
    done = run("replay", NAMES[2], "--wait", "0")
    assert done.exit_code == 1
    assert f"not tried yet: {NAMES[2]}" in done.stderr
    assert sorted(path.name for path in folder.glob("*.replay")) == [f"{NAMES[2]}.replay"]
    (one,) = json.loads(run("list", "--json", "--sink", "usage").stdout)["data"]
    assert one["state"] == "waits"


def test_asking_twice_is_asking_once(run: Run, folder: Path) -> None:
    for _ in range(2):
        assert run("replay", "--all", "--wait", "0").exit_code == 1
    assert len(list(folder.iterdir())) == 3


def act(folder: Path, done: threading.Event) -> None:
    """As the actor does: what is of usage is taken, everything else is refused."""
    while not done.is_set():
        for path in folder.glob("*.replay"):
            if path.name.startswith("usage"):
                path.unlink()
            else:
                path.rename(path.with_suffix(".json"))
        time.sleep(0.001)


@pytest.fixture
def actor(folder: Path) -> threading.Event:
    done = threading.Event()
    thread = threading.Thread(target=act, args=(folder, done))
    thread.start()
    yield done
    done.set()
    thread.join()


@pytest.mark.usefixtures("actor")
def test_what_was_written_and_what_was_refused_is_said(run: Run) -> None:
    done = run("replay", "--all", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "written": [NAMES[2]], "refused": NAMES[:2], "waiting": [],
    }  # fmt: skip
    assert f"refused again: {NAMES[0]}, {NAMES[1]}" in done.stderr


@pytest.mark.usefixtures("actor")
def test_letters_of_one_sink_are_taken(run: Run) -> None:
    done = run("replay", "--sink", "usage")
    assert (done.exit_code, done.stdout) == (0, "1 letters were written\n")


@pytest.mark.parametrize("words", [[], ["a", "--all"], ["nobody"]])
def test_what_is_meant_has_to_be_said(run: Run, words: list[str]) -> None:
    assert run("replay", *words).exit_code == 1


def test_a_letter_that_cannot_be_read_is_named(run: Run, folder: Path) -> None:
    (folder / "usage-a-1.json").write_text("nothing")
    done = run("list")
    assert done.exit_code == 1
    assert "usage-a-1.json" in done.stderr
