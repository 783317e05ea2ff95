"""CPU that traces add to a request, in this process: to one that is not kept, and to one that is.

On the way of a request (`unkept_way_us`): a caller's context read from its headers, the facts beside
the end's own, and their journaling, all less what the same end costs without traces. In the
Telemetry actor (`unkept_hub_us`, `kept_hub_us`): both ends of a request through the sink; a kept
one's spans are built, written as OTLP and sent over HTTP to a receiver in a thread of this process,
whose own CPU is counted as well. Time is the process's own CPU time.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.systems.ports import Running
from helixflow.clock import SystemClock
from helixflow.gateway.tracing import Tracing
from helixflow.ids import RequestId, mint_request_id
from helixflow.inference.deadline import Deadline
from helixflow.inference.facts import OK, Ended, Facts, Generated
from helixflow.inference.request import Call, Operation
from helixflow.inference.trace import TraceContext
from helixflow.inference.usage import Usage
from helixflow.settings import TelemetrySettings, TracesSettings
from helixflow.signals import Event, EventKind
from helixflow.telemetry.marks_file import MarksFile
from helixflow.telemetry.prometheus import PrometheusRegistry
from helixflow.telemetry.recorder import Recorder
from helixflow.telemetry.traces.otlp import OtlpExporter
from helixflow.telemetry.traces.sink import TraceSink

_BLOCK = 500
_STAGES = dict.fromkeys(("authenticate", "parse", "resolve", "authorize", "reserve", "first_token", "rest", "settle"), 0.001)  # fmt: skip
_HEADERS = [
    (b"host", b"127.0.0.1:8000"), (b"accept", b"*/*"), (b"authorization", b"Bearer x"),
    (b"content-type", b"application/json"), (b"content-length", b"120"),
    (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
]  # fmt: skip


class _Receiver(BaseHTTPRequestHandler):
    """Takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@dataclass(frozen=True, slots=True)
class TracesCost:
    """Implements `Probe`."""

    blocks: int
    name: str = "traces"
    title: str = "what traces add to a request: not kept, and kept and exported"

    def prepare(self, running: Running) -> None:
        """Nothing: every repeat has files of its own."""

    def measure(self, running: Running) -> Probed:
        """Means over all requests, in microseconds of CPU."""
        with tempfile.TemporaryDirectory() as folder:
            figures = {
                "unkept_way_us": self._way(Path(folder)),
                "unkept_hub_us": self._hub(Path(folder) / "unkept", 0.0),
                "kept_hub_us": self._hub(Path(folder) / "kept", 1.0),
                "requests": float(_BLOCK * self.blocks),
            }
        return Probed(figures, Outcome(latency_ms=[figures["kept_hub_us"] / 1e3]))

    def _way(self, home: Path) -> float:
        clock = SystemClock()
        recorder = Recorder(home, "ingress", clock, TelemetrySettings())
        on = Tracing(TracesSettings(endpoint="http://127.0.0.1:1"), clock)
        off = Tracing(TracesSettings(), clock)

        def one(tracing: Tracing, headers: list[tuple[bytes, bytes]] | None) -> None:
            request_id = mint_request_id()
            caller = None if headers is None else TraceContext.within(headers)
            now = clock.monotonic()
            call = Call(
                Operation.CHAT, b"{}", None, request_id, Deadline.after(now, 60), trace=caller
            )
            facts = _ended().facts() | tracing.facts(call, None, "echo-1", stream=True, started=now)
            recorder.record(Event(EventKind.REQUEST_ENDED, clock.now(), request_id, facts))

        with_us, without_us = 0.0, 0.0
        for turn in range(self.blocks + 1):
            # Side by side, so that what else happens on the machine hits both.
            without = _cpu_us(lambda: one(off, None))
            with_ = _cpu_us(lambda: one(on, _HEADERS))
            if turn:
                with_us, without_us = with_us + with_, without_us + without
        asyncio.run(recorder.close())
        return (with_us - without_us) / self.blocks

    def _hub(self, folder: Path, ratio: float) -> float:
        with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            endpoint = f"http://127.0.0.1:{server.server_address[1]}"
            try:
                return asyncio.run(self._through(folder, endpoint, ratio))
            finally:
                server.shutdown()
                thread.join()

    async def _through(self, folder: Path, endpoint: str, ratio: float) -> float:
        settings = TracesSettings(endpoint=endpoint, sample_ratio=ratio)
        taken_ns = 0
        with closing(OtlpExporter(settings, {})) as exporter:
            sink = TraceSink(
                exporter, MarksFile(folder / "marks.json"), PrometheusRegistry(), settings, {}
            )
            for turn in range(self.blocks + 1):
                events = [event for _ in range(_BLOCK) for event in _both_ends(mint_request_id())]
                begin = time.process_time_ns()
                await sink.write("ingress-benchmark", (turn + 1) * len(events), events)
                await sink.drain()
                if turn:
                    taken_ns += time.process_time_ns() - begin
        return taken_ns / 1e3 / _BLOCK / self.blocks


def _cpu_us(work: Callable[[], None]) -> float:
    begin = time.process_time_ns()
    for _ in range(_BLOCK):
        work()
    return (time.process_time_ns() - begin) / 1e3 / _BLOCK


def _ended() -> Ended:
    return Ended(OK, Usage(120, 64, 96), 1.25, 0.25, "stop", _STAGES)


def _both_ends(request_id: RequestId) -> tuple[Event, Event]:
    told = Generated("echo-1", OK, Usage(120, 64, 96), "replica-1", 0.01, 0.2, 1.2, "stop")
    traced: Facts = {"model": "echo-1", "door": "http", "stream": True, "receive_s": 0.001}
    now = time.time()
    return (
        Event(EventKind.REQUEST_ENDED, now, request_id, _ended().facts() | traced),
        Event(EventKind.REQUEST_GENERATED, now, request_id, told.facts()),
    )
