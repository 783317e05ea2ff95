"""Spans on the wire: OpenTelemetry's own exporters, over HTTP or gRPC.

Failure behavior: an export blocks for `export_s` at most and says whether the receiver took it;
what is worth another try within that time (503, UNAVAILABLE) is tried by the library. Nothing
of the receiver's headers is ever logged here.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpExporter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from helixflow.errors import ConfigError
from helixflow.settings import TracesSettings
from helixflow.telemetry.traces.span import SERVER, Span

_NANO = 1_000_000_000
_SCOPE = InstrumentationScope("helixflow")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_RESOURCES_MAX = 1024


class OtlpExporter:
    """`telemetry.traces.sink.Exporter`."""

    def __init__(self, settings: TracesSettings, headers: Mapping[str, str]) -> None:
        self._service = settings.service
        self._exporter = _exporter(settings, headers)
        self._resources: dict[tuple[str, str], Resource] = {}
        # An export whose caller gave up may still be under way in its thread.
        self._exporting = threading.Lock()

    def export(self, spans: Sequence[Span]) -> bool:
        """Send spans; whether the receiver took them."""
        with self._exporting:
            built = [self._built(span) for span in spans]
            return self._exporter.export(built) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Let go of the connection; an export that waits gives up."""
        self._exporter.shutdown()

    def _built(self, span: Span) -> ReadableSpan:
        trace_id = int(span.trace_id, 16)
        state = TraceState.from_header([span.state]) if span.state else None
        context = SpanContext(
            trace_id,
            int(span.span_id, 16),
            is_remote=False,
            trace_flags=_SAMPLED,
            trace_state=state,
        )
        parent = None
        if span.parent_id:
            parent = SpanContext(
                trace_id, int(span.parent_id, 16), is_remote=span.remote, trace_flags=_SAMPLED
            )
        return ReadableSpan(
            name=span.name,
            context=context,
            parent=parent,
            resource=self._resource(span.part),
            attributes=span.attributes,
            kind=SpanKind.SERVER if span.kind == SERVER else SpanKind.INTERNAL,
            instrumentation_scope=_SCOPE,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=round(span.start * _NANO),
            end_time=round(span.end * _NANO),
        )

    def _resource(self, part: tuple[str, str]) -> Resource:
        known = self._resources.get(part)
        if known is None:
            role, source = part
            known = Resource(
                {
                    "service.name": f"{self._service}-{role}",
                    "service.namespace": self._service,
                    "service.instance.id": source,
                }
            )
            if len(self._resources) >= _RESOURCES_MAX:
                del self._resources[next(iter(self._resources))]
            self._resources[part] = known
        return known


def read_headers(path: Path) -> dict[str, str]:
    """The headers of a file of `name: value` lines; empty lines and those with `#` say nothing.

    Raises `ConfigError`, which never shows what a line says.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"telemetry.traces.headers_file: {path} cannot be read: {type(error).__name__}"
        ) from None
    headers = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ConfigError(
                f"telemetry.traces.headers_file: line {number} of {path} is not `name: value`"
            )
        headers[name.strip().lower()] = value.strip()
    return headers


def _exporter(settings: TracesSettings, headers: Mapping[str, str]) -> SpanExporter:
    if settings.protocol == "grpc":
        insecure = settings.endpoint.startswith("http://")
        return GrpcExporter(
            settings.endpoint, insecure, headers=dict(headers), timeout=settings.export_s
        )
    endpoint = settings.endpoint
    if urlsplit(endpoint).path in ("", "/"):
        endpoint = endpoint.rstrip("/") + "/v1/traces"  # what OTLP over HTTP calls it
    return HttpExporter(endpoint, headers=headers, timeout=settings.export_s)
