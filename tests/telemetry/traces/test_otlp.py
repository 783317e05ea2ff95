from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from helixflow.errors import ConfigError
from helixflow.inference.trace_facts import Traced
from helixflow.settings import TracesSettings
from helixflow.telemetry.traces.otlp import OtlpExporter, read_headers
from helixflow.telemetry.traces.span import Span
from helixflow.telemetry.traces.stages import course_of

from .receivers import Received, attributes, grpc_receiver, http_receiver
from .strategies import CALLER, REQUEST, STATUSES, ended, generated

RECEIVERS = {"http": http_receiver, "grpc": grpc_receiver}


def spans() -> list[Span]:
    """The spans of a request that broke off in a Model."""
    caller = replace(CALLER, state="a=1")
    events = [
        ("ingress-1", ended("engine_died", traced=Traced("echo-1", caller=caller))),
        ("model-1", generated("engine_died", parent=CALLER.parent)),
    ]
    courses = [course_of(event, source, 1, STATUSES) for source, event in events]
    return [span for course in courses if course is not None for span in course.spans]


def settings(received: Received, protocol: str) -> TracesSettings:
    return TracesSettings.model_validate(
        {"endpoint": received.endpoint, "protocol": protocol, "export_s": 5.0}
    )


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def received(protocol: str) -> Iterator[Received]:
    with RECEIVERS[protocol]() as received:
        yield received


def test_a_receiver_gets_the_spans_of_both_processes(received: Received, protocol: str) -> None:
    sent = spans()
    exporter = OtlpExporter(settings(received, protocol), {"x-tenant": "a secret"})
    with closing(exporter):
        assert exporter.export(sent)
        assert exporter.export(sent[:1])
    assert received.headers[0]["x-tenant"] == "a secret"
    got = {span.span_id.hex(): (resource, span) for resource, span in received.spans}
    assert {name: span.name for name, (_, span) in got.items()} == {
        span.span_id: span.name for span in sent
    }
    for one in sent:
        resource, span = got[one.span_id]
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (one.trace_id, one.parent_id)
        assert abs(span.start_time_unix_nano / 1e9 - one.start) < 1e-3
        assert abs(span.end_time_unix_nano / 1e9 - one.end) < 1e-3
        told = {k: tuple(v) if isinstance(v, list) else v for k, v in attributes(span).items()}
        assert told == dict(one.attributes)
        assert resource["service.name"] == f"helixflow-{one.part[0]}"
        assert resource["service.instance.id"] == one.part[1]
    root = got[REQUEST[4:20]][1]
    assert (root.kind, root.status.code, root.status.message) == (2, 2, "engine_died")
    assert root.trace_state == "a=1"


def test_a_refusal_is_told(received: Received, protocol: str) -> None:
    received.refusals = 1
    with closing(OtlpExporter(settings(received, protocol), {})) as exporter:
        assert not exporter.export(spans())
        assert exporter.export(spans())


def test_a_path_of_its_own_is_kept() -> None:
    with http_receiver() as received:
        chosen = TracesSettings(endpoint=f"{received.endpoint}/v1/traces")
        with closing(OtlpExporter(chosen, {})) as exporter:
            assert exporter.export(spans())


class TestHeaders:
    def test_are_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "headers"
        path.write_text("# for the receiver\n\nAuthorization: Basic abc:def\nx-tenant:one\n")
        assert read_headers(path) == {"authorization": "Basic abc:def", "x-tenant": "one"}

    def test_a_line_that_is_none_is_named_but_not_shown(self, tmp_path: Path) -> None:
        path = tmp_path / "headers"
        path.write_text("x: y\nhunter2\n")
        with pytest.raises(ConfigError, match="line 2") as raised:
            read_headers(path)
        assert "hunter2" not in str(raised.value)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"headers_file.*FileNotFoundError"):
            read_headers(tmp_path / "nothing")
