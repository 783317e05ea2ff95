from __future__ import annotations

import contextvars
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from logging.handlers import MemoryHandler, RotatingFileHandler
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import helixflow.engine
from helixflow.identity.keys import KeyKind, mint
from helixflow.ids import RequestId
from helixflow.inference.bearings import take_bearings
from helixflow.inference.trace import TraceContext
from helixflow.telemetry.logs import configure_logging, redact

KEY = mint(KeyKind.PROJECT).secret.reveal()
JWT = "eyJhbGciOiJSUzI1NiJ9." + "eyJzdWIiOiJ1c2VyIn0." + "c2lnbmF0dXJl"
OPENAI = "sk-" + "abcdefgh12345678"
BEARER = "Bearer " + "abcdefgh12345678"


@dataclass
class Logs:
    """What was logged."""

    stream: io.StringIO

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.text.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


@pytest.fixture
def serves(tmp_path: Path) -> Iterator[Path]:
    """Serve's logger as Serve leaves it: a buffer before a file, and text."""
    logger, path = logging.getLogger("ray.serve"), tmp_path / "serve.log"
    before, propagates = list(logger.handlers), logger.propagate
    file = RotatingFileHandler(path)
    buffer = MemoryHandler(100, target=file)
    buffer.addFilter(lambda record: setattr(record, "replica", "r1") is None)
    logger.handlers, logger.propagate = [buffer], False
    yield path
    logger.handlers, logger.propagate = before, propagates
    file.close()


@pytest.fixture
def logs() -> Iterator[Logs]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("INFO", stream)
    yield Logs(stream)
    for one in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(one)
    root.setLevel(level)
    structlog.reset_defaults()


def std() -> logging.Logger:
    return logging.getLogger("helixflow.a_part")


class TestLines:
    def test_each_is_one_json_object_with_time_level_and_logger(self, logs: Logs) -> None:
        std().info("two\nlines %s", "\u2028")
        structlog.get_logger("ours").warning("request_failed", model="echo-1")
        first, second = logs.lines
        assert first["event"] == "two\nlines \u2028"
        assert (first["level"], first["logger"]) == ("info", "helixflow.a_part")
        assert first["timestamp"].endswith("Z")
        assert (second["event"], second["model"]) == ("request_failed", "echo-1")
        assert (second["level"], second["logger"]) == ("warning", "ours")

    def test_what_is_below_the_level_is_left_out(self, logs: Logs) -> None:
        std().debug("a detail")
        structlog.get_logger("ours").debug("a detail")
        assert logs.text == ""

    def test_configuring_again_does_not_double_the_lines(self, logs: Logs) -> None:
        configure_logging("WARNING", logs.stream)
        std().info("left out")
        std().warning("once")
        assert [line["event"] for line in logs.lines] == ["once"]

    def test_context_variables_are_added(self, logs: Logs) -> None:
        with structlog.contextvars.bound_contextvars(request_id="req_1", token=KEY):
            std().info("hello")
        assert (logs.last["request_id"], logs.last["token"]) == ("req_1", "[redacted]")

    def test_positional_arguments_are_put_into_our_messages_too(self, logs: Logs) -> None:
        structlog.get_logger("ours").info("hello %s", "there")
        assert logs.last["event"] == "hello there"
        assert "positional_args" not in logs.last

    @pytest.mark.parametrize("value", [nan, inf, -inf, b"\xff", {1, 2}, object(), {(1, 2): 3}])
    def test_any_value_can_be_logged(self, logs: Logs, value: object) -> None:
        structlog.get_logger("ours").info("hello", value=value)
        assert logs.last["event"] == "hello"

    def test_plain_values_stay_what_they_are(self, logs: Logs) -> None:
        plain = {"a": 1, "b": 1.5, "c": None, "d": True, "e": ["x", {"y": 2}]}
        structlog.get_logger("ours").info("hello", value=plain)
        assert logs.last["value"] == plain

    def test_a_value_that_holds_itself_ends_somewhere(self, logs: Logs) -> None:
        loop: list[Any] = [KEY]
        loop.append(loop)
        structlog.get_logger("ours").info("hello", value=loop)
        assert KEY not in logs.text
        assert '"..."' in logs.text


REQUEST = "req_" + "0123456789abcdef" * 2
CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


class TestRequests:
    @staticmethod
    def log(trace: TraceContext | None = None) -> None:
        take_bearings(RequestId(REQUEST), trace)
        std().info("hello", extra={"request_id": "another"})
        structlog.get_logger("ours").info("hello")

    def test_each_line_of_one_names_it_and_its_trace(self, logs: Logs) -> None:
        contextvars.copy_context().run(self.log)
        named = [(line["request_id"], line["trace_id"]) for line in logs.lines]
        assert named == [(REQUEST, REQUEST[4:])] * 2

    def test_the_trace_is_the_callers_where_there_is_one(self, logs: Logs) -> None:
        contextvars.copy_context().run(self.log, CALLER)
        assert {line["trace_id"] for line in logs.lines} == {CALLER.trace_id}

    def test_a_line_from_outside_that_names_one_is_found_by_it_too(self, logs: Logs) -> None:
        std().warning("the engine gave up chatcmpl-%s-0", REQUEST)
        assert (logs.last["request_id"], logs.last["trace_id"]) == (REQUEST, REQUEST[4:])
        std().warning("nothing of any")
        assert "request_id" not in logs.last

    @pytest.mark.parametrize("wanted", [True, False])
    def test_their_ends_have_a_line_where_that_is_switched_on(
        self, logs: Logs, wanted: bool
    ) -> None:
        configure_logging("INFO", logs.stream, log_requests=wanted)
        requests = logging.getLogger("helixflow.requests")
        requests.info("request ended", extra={"outcome": "ok"})
        assert [line["outcome"] for line in logs.lines] == ["ok"] * wanted
        assert requests.isEnabledFor(logging.INFO) is wanted


class TestOthers:
    def test_serves_own_file_gets_our_form_at_once(self, serves: Path, logs: Logs) -> None:
        logger = logging.getLogger("ray.serve")
        logger.warning("the key %s", KEY, extra={"route": "/v1"})
        line = json.loads(serves.read_text())
        assert (line["event"], line["level"]) == ("the key [redacted]", "warning")
        assert (line["replica"], line["route"], line["logger"]) == ("r1", "/v1", "ray.serve")

    def test_serves_own_file_outlives_vllms_configuring(self, serves: Path, logs: Logs) -> None:
        logging.getLogger("ray.serve").handlers[0].close()
        logging.getLogger("ray.serve").warning("still there")
        assert json.loads(serves.read_text())["event"] == "still there"

    def test_vllms_processes_write_lines_like_ours(self) -> None:
        code = (
            "import json, logging, logging.config, pathlib, sys\n"
            "logging.config.dictConfig(json.loads(pathlib.Path(sys.argv[1]).read_text()))\n"
            "logging.getLogger('vllm.v1').warning('gave up chatcmpl-%s', sys.argv[2])\n"
            "logging.getLogger('vllm.v1').info('a detail')\n"
        )
        config = Path(helixflow.engine.__file__).with_name("vllm_logging.json")
        done = subprocess.run(
            [sys.executable, "-c", code, str(config), REQUEST],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        (line,) = done.stderr.splitlines()
        told = json.loads(line)
        assert (told["logger"], told["request_id"]) == ("vllm.v1", REQUEST)
        assert done.stdout == ""


class Opaque:
    def __repr__(self) -> str:
        return f"Opaque({KEY})"


def raising(text: str) -> Callable[[], None]:
    def fail() -> None:
        try:
            raise ValueError(text)
        except ValueError as error:
            raise KeyError("outer") from error

    return fail


class TestSecrets:
    @pytest.mark.parametrize("secret", [KEY, JWT, OPENAI, BEARER])
    def test_in_messages_and_their_arguments(self, logs: Logs, secret: str) -> None:
        std().info(f"the key\n{secret} in the text")
        std().info("the key %s and %r", secret, {"nested": [secret]})
        structlog.get_logger("ours").info("the key %s", secret)
        structlog.get_logger("ours").info(f"the key {secret}")
        assert secret not in logs.text
        assert secret.removeprefix("Bearer ") not in logs.text
        assert logs.text.count("[redacted]") == 5

    @pytest.mark.parametrize("secret", [KEY, JWT, OPENAI, BEARER])
    def test_in_tracebacks(self, logs: Logs, secret: str) -> None:
        for log in (std().exception, structlog.get_logger("ours").exception):
            try:
                raising(f"refused\n{secret}")()
            except KeyError:
                log("it failed")
            assert secret not in logs.text
            assert "ValueError: refused" in logs.last["exception"]
            assert "KeyError: 'outer'" in logs.last["exception"]

    def test_in_stack_traces(self, logs: Logs) -> None:
        std().info("here", stack_info=True)
        assert "Stack (most recent call last)" in logs.last["stack_info"]
        assert len(logs.lines) == 1

    @pytest.mark.parametrize(
        "value",
        [
            KEY,
            KEY.encode(),
            [KEY],
            (KEY, {KEY}),
            {"deep": {"er": [{"est": KEY}]}},
            {KEY: 1},
            {"inner": {"Authorization": "Basic dXNlcjpodW50ZXIy"}},
            Opaque(),
            ValueError(KEY),
        ],
    )
    def test_in_structured_fields(self, logs: Logs, value: object) -> None:
        structlog.get_logger("ours").info("hello", value=value)
        assert KEY not in logs.text
        assert "dXNlcjpodW50ZXIy" not in logs.text
        assert "[redacted]" in logs.text

    @pytest.mark.parametrize(
        "name",
        ["password", "Password", "api_key", "OPENAI_API_KEY", "x-api-key", "apiKey", "db_password",
         "client_secret", "access_token", "Authorization", "pepper"],
    )  # fmt: skip
    def test_by_the_names_of_fields(self, logs: Logs, name: str) -> None:
        structlog.get_logger("ours").info("hello", **{name: "hunter2"})
        structlog.get_logger("ours").info("hello", value={name: {"deep": "hunter2"}})
        assert "hunter2" not in logs.text

    def test_numbers_are_not_taken_for_secrets_by_the_ends_of_their_names(self, logs: Logs) -> None:
        structlog.get_logger("ours").info("done", seconds_to_first_token=0.5, max_tokens=7, token=1)
        assert (logs.last["seconds_to_first_token"], logs.last["max_tokens"]) == (0.5, 7)
        assert logs.last["token"] == "[redacted]"

    @given(st.sampled_from(KeyKind), st.text(), st.text())
    def test_every_key_is_found_wherever_it_stands(
        self, kind: KeyKind, before: str, after: str
    ) -> None:
        key = mint(kind).secret.reveal()
        text = redact(before + key + after)
        assert key not in text
        assert text.startswith(redact(before)[:-8]) or "hx-" in before

    def test_passwords_in_addresses(self) -> None:
        assert redact("postgresql+asyncpg://us:hunter2@db:5432/x") == (
            "postgresql+asyncpg://[redacted]@db:5432/x"
        )
        assert redact("redis://:hunter2@cache/0") == "redis://[redacted]@cache/0"
        for harmless in ("http://127.0.0.1:8000/v1", "a task-oriented risk-assessment", "sk-1"):
            assert redact(harmless) == harmless
