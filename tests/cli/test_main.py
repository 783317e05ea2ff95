"""The commands as they are typed."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from helixflow.cli.addresses import Ports
from helixflow.cli.main import app, command
from helixflow.cli.record import Stack
from helixflow.cli.target import env_file
from helixflow.cli.tree import effective_settings
from helixflow.cli.up import listening

from .fake_platform import ECHO, KEY, REAL, Platform

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(app, [str(word) for word in words], **options)


@pytest.fixture
def running(
    home: Path, tmp_path: Path, dashboard: ThreadingHTTPServer, gateway: ThreadingHTTPServer
) -> Stack:
    """A record that leads to the servers of this process."""
    ports = Ports(gateway.server_address[1], dashboard.server_address[1] - 1)
    stack = Stack("none", str(home), str(tmp_path / "t"), "127.0.0.1", ports, "c.yaml")
    stack.token_file.write_text("token")
    stack.save()
    return stack


def test_a_question_is_answered_and_its_pace_told_apart(run: Run, known: Path) -> None:
    result = run("chat", "Hello?", "--home", known)
    assert result.exit_code == 0
    assert result.stdout == "Hello, I am a model.\n"
    assert "7 tokens" in result.stderr


def test_without_a_question_it_is_a_talk(run: Run, known: Path) -> None:
    result = run("chat", "--home", known, "-m", REAL, input="Hi\n/exit\n")
    assert result.exit_code == 0
    assert "I am a model." in result.output


def test_the_models_are_listed_with_their_states(run: Run, known: Path, platform: Platform) -> None:
    platform.states[REAL] = "failed"
    assert REAL in run("models", "--home", known).stdout
    listed = json.loads(run("models", "--home", known, "--json").stdout)
    assert [model["state"] for model in listed] == ["failed", "ready"]


def test_models_are_listed_of_any_platform_even_without_states(
    run: Run, home: Path, gateway: ThreadingHTTPServer, platform: Platform
) -> None:
    platform.states = {"other": "ready"}
    address = f"http://127.0.0.1:{gateway.server_address[1]}"
    words = ("models", "--home", home, "--base-url", address, "--api-key", KEY, "--json")
    assert json.loads(run(*words).stdout)[0]["id"] == "other"


def test_the_status_of_a_stack_that_is_ready(run: Run, running: Stack, platform: Platform) -> None:
    platform.deployed = {}
    result = run("status", "--home", running.home)
    assert result.exit_code == 0
    for part in ("ready", running.base_url, "Ingress", "1/2", REAL):
        assert part in result.stdout
    raw = json.loads(run("status", "--home", running.home, "--json").stdout)
    assert raw["healthy"]
    assert raw["applications"][0]["deployments"][0]["name"] == "Ingress"


def test_the_status_says_what_is_waited_for_by_its_exit_code_too(
    run: Run, running: Stack, platform: Platform
) -> None:
    platform.deployed, platform.mode, platform.ready = {}, "broken", False
    result = run("status", "--home", running.home)
    assert result.exit_code == 1
    assert "waiting for Router" in result.stdout
    assert "DEPLOY_FAILED" in result.stdout


def test_the_status_of_a_stack_that_does_not_answer(run: Run, stack: Stack) -> None:
    stack.save()
    assert run("status", "--home", stack.home).exit_code == 1
    assert json.loads(run("status", "--home", stack.home, "--json").stdout)["readiness"] is None


def test_commands_without_a_stack_say_so_with_their_own_exit_code(run: Run, home: Path) -> None:
    for words in (("status",), ("models",), ("chat", "x"), ("logs",)):
        result = run(*words, "--home", home)
        assert result.exit_code == 3, result.output
        assert "helixflow up" in result.stderr


def test_going_down_without_a_stack_is_harmless(run: Run, home: Path) -> None:
    result = run("down", "--home", home)
    assert result.exit_code == 0
    assert "nothing runs" in result.stdout


def test_going_down_asks_serve_and_takes_the_record_away(
    run: Run, running: Stack, platform: Platform
) -> None:
    result = run("down", "--home", running.home, "--drain", "1")
    assert result.exit_code == 0, result.output
    assert "0 processes ended" in result.stdout
    assert platform.deleted
    assert run("status", "--home", running.home).exit_code == 3


def test_the_logs_are_shown_or_named(run: Run, home: Path) -> None:
    (home / "logs" / "serve").mkdir(parents=True)
    (home / "logs" / "serve" / "controller_1.log").write_text("one\ntwo\n")
    assert run("logs", "-n", "1", "--home", home).stdout == "controller_1: two\n"
    named = run("logs", "controller", "--list", "--home", home).stdout
    assert named.strip().endswith("serve/controller_1.log")


@pytest.fixture
def following(home: Path) -> Iterator[subprocess.Popen[str]]:
    """`helixflow logs --follow` as a process."""
    program = Path(sys.executable).with_name("helixflow")
    command = [program, "logs", "-n", "0", "--follow", "--home", home]
    # A process inherits that a signal is ignored, as it is in what a shell runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        limit = threading.Timer(60, process.kill)
        limit.start()
        yield process
        limit.cancel()
        process.kill()


def test_following_the_logs_goes_on_until_it_is_interrupted(
    home: Path, following: subprocess.Popen[str]
) -> None:
    folder = home / "logs" / "serve"
    folder.mkdir(parents=True)
    assert following.stdout is not None
    # That it follows already is seen by a line that comes out.
    while not select.select([following.stdout], [], [], 0.1)[0]:
        with (folder / "controller_1.log").open("a") as file:
            file.write("one\n")
    assert following.stdout.readline() == "controller_1: one\n"
    (folder / "z_last.log").write_text("new\n")
    assert "z_last: new\n" in following.stdout
    following.send_signal(signal.SIGINT)
    assert following.wait() == 130


@pytest.mark.parametrize("words", [("up",), ("config", "check")])
def test_a_configuration_that_cannot_be_used_is_told_with_the_mend(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("htp: {}\n")
    option = ("--config",) if words == ("up",) else ()
    result = run(*words, *option, file)
    assert result.exit_code == 2
    assert "did you mean 'http'" in result.stderr


def test_a_configuration_is_explained_model_by_model(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "models:\n"
        "  - {name: echo-1, engine: echo}\n"
        "  - {name: far, source: {huggingface: org/name}}\n"
    )
    result = run("config", "check", file)
    assert result.exit_code == 0
    assert "can be used" in result.stdout
    raw = json.loads(run("config", "check", file, "--json").stdout)
    assert [model["source"] for model in raw] == ["none", "huggingface org/name"]


def test_what_a_converted_model_gets_is_told_by_its_weights(
    run: Run, tmp_path: Path, home: Path
) -> None:
    folder = home / "models" / "Small.Q4-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    file = tmp_path / "c.yaml"
    file.write_text(f"home: {home}\nmodels: [{{name: small, source: {{gguf: a/Small.Q4.gguf}}}}]\n")
    result = run("config", "check", file, "--json")
    assert result.exit_code == 2
    assert "no *.safetensors" in json.loads(result.stdout)[0]["fault"]


def test_a_model_that_cannot_be_found_is_a_fault(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("models: [{name: gone, source: {path: /nowhere}}]\n")
    result = run("config", "check", file)
    assert result.exit_code == 2
    assert "/nowhere" in result.stdout


@pytest.fixture
def config(running: Stack, tmp_path: Path) -> Path:
    """A configuration that the stack of this process was started with."""
    file = tmp_path / "c.yaml"
    models = f"[{{name: {REAL}, source: {{path: /m}}}}, {{name: {ECHO}, engine: echo}}]"
    file.write_text(
        f"home: {running.home}\nhttp: {{port: {running.ports.http}}}\nmodels: {models}\n"
    )
    settings = effective_settings(file, None, None)
    replace(running, environment=listening(settings)).save()
    keys = {"OPENAI_API_KEY": KEY, "HELIXFLOW_ADMIN_KEY": "hx-adm"}
    env_file(settings.home_path).update(keys)
    return file


def test_up_ends_with_an_answer_and_how_to_get_more(run: Run, config: Path) -> None:
    result = run("up", "--config", config)
    assert result.exit_code == 0, result.output
    for part in ("Hello, I am a model.", "curl -N", "OpenAI()"):
        assert part in result.stdout


def test_up_tells_programs_the_same_as_json(run: Run, config: Path, running: Stack) -> None:
    result = run("up", "--config", config, "--json")
    assert result.exit_code == 0, result.output
    raw = json.loads(result.stdout)
    assert raw["base_url"] == running.base_url
    assert raw["first_answer"]["model"] == REAL
    assert "Models" in result.stderr


def test_up_without_any_model_that_is_up_fails(run: Run, config: Path, platform: Platform) -> None:
    platform.states = dict.fromkeys(platform.states, "failed")
    result = run("up", "--config", config)
    assert result.exit_code == 1
    assert "no model is up" in result.stderr


def test_an_interrupt_has_its_own_exit_code() -> None:
    import typer

    @command
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as caught:
        interrupted()
    assert caught.value.exit_code == 130
