"""One request, as traces and log files of the real stack tell it."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from helixflow.cli.logs import log_folder
from tests.telemetry.traces.receivers import Received, attributes

from .conftest import MODEL, Stack, read_env

pytestmark = pytest.mark.stack

ARRIVES_S = 30.0


@pytest.fixture
def traces(stack: Stack, received: Received) -> Received:
    if os.environ.get("HELIXFLOW_TEST_STACK"):
        pytest.skip("a stack that was started by hand exports elsewhere")
    return received


def until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + ARRIVES_S
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def ask(stack: Stack, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(
        f"{stack.url}/v1/chat/completions",
        json={"max_tokens": 8, **body},
        headers={"authorization": f"Bearer {stack.api_key}", **headers},
        timeout=60,
    )


def hello(model: str, text: str = "Hello", **body: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **body}


def spans_of(traces: Received, trace_id: str) -> dict[str, tuple[dict[str, Any], Any]]:
    """Resource and span by name."""
    found = [one for one in list(traces.spans) if one[1].trace_id.hex() == trace_id]
    return {span.name: (resource, span) for resource, span in found}


ROOT_SPAN, MODEL_SPAN = "POST /v1/chat/completions", f"generate {MODEL}"


def test_a_callers_trace_holds_the_spans_of_ingress_and_model(
    stack: Stack, traces: Received
) -> None:
    trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
    answer = ask(
        stack,
        hello(MODEL, "a secret thought", stream=True),
        traceparent=f"00-{trace_id}-{parent_id}-01",
        tracestate="caller=1",
    )
    assert answer.status_code == 200
    until(lambda: {ROOT_SPAN, MODEL_SPAN} <= spans_of(traces, trace_id).keys())
    found = spans_of(traces, trace_id)
    assert {
        "receive", "authenticate", "parse", "resolve", "authorize", "reserve", "first_token",
        "stream", "queue", "prefill", "decode",
    } <= found.keys()  # fmt: skip
    root, generation = found[ROOT_SPAN], found[MODEL_SPAN]
    assert root[1].parent_span_id.hex() == parent_id
    assert root[1].trace_state == "caller=1"
    assert generation[1].parent_span_id == root[1].span_id
    assert root[0]["service.name"] == "helixflow-ingress"
    assert generation[0]["service.name"] == "helixflow-model"
    told = attributes(generation[1])
    assert told["gen_ai.request.model"] == MODEL
    assert told["gen_ai.usage.output_tokens"] > 0
    assert attributes(root[1])["gen_ai.usage.output_tokens"] == told["gen_ai.usage.output_tokens"]
    text = repr(found)
    for private in ("a secret thought", "org_", "proj_", "key_", "user_", "127.0.0.1"):
        assert private not in text


def test_an_error_has_a_trace_by_its_request_id(stack: Stack, traces: Received) -> None:
    answer = ask(stack, hello("nobody"))
    assert answer.status_code == 404
    trace_id = answer.headers["x-request-id"].removeprefix("req_")
    _, root = until(lambda: spans_of(traces, trace_id).get(ROOT_SPAN))
    told = attributes(root)
    assert told["error.type"] == "model_not_found"
    assert told["helixflow.request.id"] == answer.headers["x-request-id"]


def test_what_went_well_has_no_trace(stack: Stack, traces: Received) -> None:
    answer = ask(stack, hello("echo-1"))
    assert answer.status_code == 200
    later = ask(stack, hello("nobody"))
    until(lambda: spans_of(traces, later.headers["x-request-id"].removeprefix("req_")))
    assert not spans_of(traces, answer.headers["x-request-id"].removeprefix("req_"))


def test_the_metrics_page_counts_spans(stack: Stack, traces: Received) -> None:
    ask(stack, hello("nobody"))
    key = read_env(stack.home)["HELIXFLOW_ADMIN_KEY"]

    def page() -> str:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.get(f"{stack.url}/metrics", headers=headers, timeout=30).text

    until(lambda: 'helixflow_spans_total{outcome="exported"}' in page())


def lines_of(stack: Stack, word: str) -> list[dict[str, Any]]:
    """The lines of our processes' log files that hold a word."""
    folder = log_folder(stack.home)
    files = [*folder.glob("serve/*.log"), *folder.glob("worker-*.err")]
    return [
        {"file": path.name, **json.loads(line)}
        for path in files
        for line in path.read_text(errors="replace").splitlines()
        if word in line
    ]


def test_the_log_files_tell_a_request_in_ingress_and_model(stack: Stack) -> None:
    trace_id = secrets.token_hex(16)
    answer = ask(
        stack, hello(MODEL, "Hello"), traceparent=f"00-{trace_id}-{secrets.token_hex(8)}-00"
    )
    request_id = answer.headers["x-request-id"]

    def events() -> dict[str, dict[str, Any]]:
        return {line["event"]: line for line in lines_of(stack, request_id)}

    until(lambda: {"request ended", "request generated"} <= events().keys())
    for name in ("request ended", "request generated"):
        line = events()[name]
        assert (line["request_id"], line["trace_id"]) == (request_id, trace_id)
        assert (line["model"], line["outcome"]) == (MODEL, "ok")


def test_neither_keys_nor_prompts_are_in_the_log_files(stack: Stack) -> None:
    thought = f"thought-{secrets.token_hex(8)}"
    answers = [
        ask(stack, hello(MODEL, thought)),
        ask(stack, hello("nobody", thought)),
        ask(stack, hello(MODEL, thought, max_tokens=-1)),
        ask(stack, hello(MODEL, thought * 2000)),
    ]
    assert [answer.status_code for answer in answers][:2] == [200, 404]
    last = answers[-1].headers["x-request-id"]
    until(lambda: lines_of(stack, last))
    folder = log_folder(stack.home)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        text = path.read_text(errors="replace")
        assert thought not in text, path
        assert stack.api_key not in text, path
