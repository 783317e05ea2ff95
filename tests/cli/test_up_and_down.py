"""The whole way up and down, with a fake `ray` program in place of the real one."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from helixflow.cli.down import clear, take_down
from helixflow.cli.environment import caller_environment
from helixflow.cli.failure import CommandFailed, PortTaken
from helixflow.cli.processes import processes_of
from helixflow.cli.record import load_stack
from helixflow.cli.steps import Steps
from helixflow.cli.summary import summary_json, summary_text
from helixflow.cli.target import ENV_FILE, RAY_ENV_FILE, env_file
from helixflow.cli.up import Plan, bring_up
from helixflow.settings import Settings
from helixflow.storage import prepare

from .fake_platform import ECHO, KEY, REAL, ray_command

MODELS = [
    {"name": ECHO, "engine": "echo"},
    {"name": REAL, "source": {"path": "/models/smollm2"}},
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def mint(settings: Settings, _environ: Mapping[str, str]) -> str:
    env_file(settings.home_path).update({"OPENAI_API_KEY": KEY, "HELIXFLOW_ADMIN_KEY": "hx-adm"})
    return KEY


@pytest.fixture
def plan(home: Path) -> Iterator[Callable[..., Plan]]:
    port = free_port()

    def make(mode: str = "", models: list[dict[str, object]] = MODELS, **http: object) -> Plan:
        raw = {"home": str(home), "http": {"port": port, **http}, "models": models}
        environ = {**caller_environment(), "FAKE_MODE": mode}
        return Plan(
            Settings.of(raw), home / "c.yaml", environ, wait_s=10, ray=ray_command(), mint=mint
        )

    yield make
    if (stack := load_stack(home)) is not None:
        clear(stack)


@pytest.fixture
def steps() -> Steps:
    return Steps(Console(file=io.StringIO(), width=200), live=False)


def said(steps: Steps) -> str:
    file = steps.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_stack_comes_up_answers_and_goes_down_without_a_trace(
    plan: Callable[..., Plan], steps: Steps, home: Path
) -> None:
    result = bring_up(plan(), steps)
    assert result.first is not None
    assert (result.first.model, result.first.text) == (REAL, "Hello, I am a model.")
    assert env_file(home).read() == {
        "OPENAI_API_KEY": KEY,
        "HELIXFLOW_ADMIN_KEY": "hx-adm",
        "OPENAI_BASE_URL": f"{result.stack.base_url}/v1",
        "HELIXFLOW_BASE_URL": result.stack.base_url,
    }
    assert "RAY_AUTH_TOKEN_PATH" in (home / RAY_ENV_FILE).read_text()
    assert [step.title for step in steps.steps][:3] == ["Ray", "Serve", "Models"]
    assert f"{ECHO}: ready" in said(steps)

    finished = []
    ended = take_down(home, 1.0, steps, finished.append)
    assert ended is not None
    assert ended.drained
    assert ended.processes == 2
    assert finished == [result.stack]
    assert processes_of(result.stack.id) == []
    assert not Path(result.stack.temp).exists()
    assert not result.stack.token_file.exists()
    assert (home / "logs" / "serve" / "replica_helixflow_Ingress_1.log").exists()
    assert take_down(home, 1.0, steps) is None


def test_running_it_again_starts_and_deploys_nothing(
    plan: Callable[..., Plan], steps: Steps
) -> None:
    first = bring_up(plan(), steps)
    again = Steps(steps.console, live=False)
    second = bring_up(plan(), again)
    assert second.stack == first.stack
    assert [step.title for step in again.steps] == ["Models", f"First answer from {REAL}"]


def test_another_configuration_is_deployed_to_the_stack_that_runs(
    plan: Callable[..., Plan], steps: Steps
) -> None:
    first = bring_up(plan(), steps)
    second = bring_up(plan(models=MODELS[:1]), steps)
    assert second.stack.id == first.stack.id
    assert second.stack.deployed != first.stack.deployed
    assert second.first is not None
    assert second.first.model == ECHO


def test_a_lost_key_is_replaced(plan: Callable[..., Plan], steps: Steps, home: Path) -> None:
    bring_up(plan(), steps)
    (home / ENV_FILE).unlink()
    again = Steps(steps.console, live=False)
    assert bring_up(plan(), again).first is not None
    assert "Database and key" in [step.title for step in again.steps]
    assert env_file(home).read()["OPENAI_BASE_URL"]


def test_where_a_running_stack_listens_cannot_be_changed(
    plan: Callable[..., Plan], steps: Steps
) -> None:
    bring_up(plan(), steps)
    with pytest.raises(CommandFailed, match="helixflow down"):
        bring_up(plan(port=free_port()), steps)


def test_what_a_crash_left_is_cleared_before_a_fresh_start(
    plan: Callable[..., Plan], steps: Steps
) -> None:
    first = bring_up(plan(), steps)
    raylet = next(p for p in processes_of(first.stack.id) if p.name() == "raylet")
    raylet.kill()
    raylet.wait(5)
    second = bring_up(plan(), steps)
    assert second.stack.id != first.stack.id
    assert processes_of(first.stack.id) == []
    assert not Path(first.stack.temp).exists()


def test_a_taken_port_is_told_before_anything_starts(
    plan: Callable[..., Plan], steps: Steps, home: Path
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(PortTaken):
            bring_up(plan(port=listener.getsockname()[1]), steps)
    assert load_stack(home) is None


@pytest.mark.parametrize(
    ("mode", "words"), [("no-start", "no room"), ("unmarked", "no mark of ours")]
)
def test_a_ray_that_does_not_start_leaves_nothing(
    plan: Callable[..., Plan], steps: Steps, home: Path, mode: str, words: str
) -> None:
    with pytest.raises(CommandFailed, match=words):
        bring_up(plan(mode), steps)
    assert load_stack(home) is None
    assert steps.steps[0].failed


@pytest.mark.parametrize(
    ("mode", "words"), [("refuse", "no module named"), ("broken", "no such thing")]
)
def test_a_stack_that_cannot_be_deployed_stays_to_be_looked_at(
    plan: Callable[..., Plan], steps: Steps, home: Path, mode: str, words: str
) -> None:
    with pytest.raises(CommandFailed, match=words):
        bring_up(plan(mode), steps)
    assert load_stack(home) is not None


def test_a_process_that_does_not_want_to_end_is_killed(
    plan: Callable[..., Plan], steps: Steps, home: Path
) -> None:
    bring_up(plan("stubborn"), steps)
    ended = take_down(home, 1.0, steps)
    assert ended is not None
    assert ended.processes == 2


def test_a_platform_without_a_model_that_is_up_gives_no_first_answer(
    plan: Callable[..., Plan], steps: Steps
) -> None:
    other = [{"name": "echo-2", "engine": "echo"}]
    result = bring_up(plan(models=other), steps)
    assert result.first is None
    assert summary_text(result).plain == ""
    assert summary_json(result, steps)["first_answer"] is None


def test_the_summary_says_where_and_how(plan: Callable[..., Plan], steps: Steps) -> None:
    result = bring_up(plan(), steps)
    text = summary_text(result).plain
    for part in (f"{result.stack.base_url}/v1", "curl -N", "OpenAI()", str(result.key_file)):
        assert part in text
    assert KEY not in text
    raw = summary_json(result, steps)
    assert raw["first_token_s"] <= raw["seconds"]
    assert raw["first_answer"]["tokens"] == 7
    assert set(raw["steps"]) >= {"Ray", "Serve", "Models"}
    failed = replace(result.readiness.models[0], state="failed", detail="no memory")
    worse = replace(result, readiness=replace(result.readiness, models=(failed,)))
    assert "no memory" in summary_text(worse).plain


def test_a_stack_without_a_token_is_ended_without_asking_serve(
    plan: Callable[..., Plan], steps: Steps, home: Path
) -> None:
    result = bring_up(plan(), steps)
    result.stack.token_file.unlink()
    ended = take_down(home, 1.0, steps)
    assert ended is not None
    assert not ended.drained


def test_a_home_that_does_not_exist_has_nothing_to_end(tmp_path: Path, steps: Steps) -> None:
    assert take_down(tmp_path / "none", 1.0, steps) is None


def test_the_key_file_is_the_one_that_the_store_writes() -> None:
    assert prepare.ENV_FILE == ENV_FILE
    assert os.environ.get("HELIXFLOW_STACK") is None
