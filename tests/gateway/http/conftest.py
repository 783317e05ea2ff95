from __future__ import annotations

from typing import Any

import pytest

from helixflow.clock import SystemClock
from helixflow.gateway.http.app import build_face
from helixflow.gateway.http.shield import Shield
from helixflow.settings import GatewaySettings, HttpSettings
from helixflow.testing.desk import FakeDesk
from helixflow.testing.pipeline import FakePipeline

BODY_BYTES_MAX = 4096


@pytest.fixture(scope="session")
def built() -> tuple[FakePipeline, Any, FakeDesk, FakeDesk]:
    """Built once: FastAPI takes some 50 ms to describe its routes."""
    pipeline, desk, records = FakePipeline(), FakeDesk(), FakeDesk()
    http = HttpSettings(body_bytes_max=BODY_BYTES_MAX, slow_reader_s=0.05)
    face = build_face(pipeline, http, GatewaySettings(), SystemClock(), desk, records)
    return pipeline, Shield(face, BODY_BYTES_MAX), desk, records


@pytest.fixture
def pipeline(built: tuple[FakePipeline, Any, FakeDesk, FakeDesk]) -> FakePipeline:
    """The pipeline behind `face`, as if it were new."""
    vars(built[0]).update(vars(FakePipeline()))
    return built[0]


@pytest.fixture
def desk(built: tuple[FakePipeline, Any, FakeDesk, FakeDesk]) -> FakeDesk:
    """The desk behind `face`, as if it were new."""
    vars(built[2]).update(vars(FakeDesk()))
    return built[2]


@pytest.fixture
def records(built: tuple[FakePipeline, Any, FakeDesk, FakeDesk]) -> FakeDesk:
    """The records desk behind `face`, as if it were new."""
    vars(built[3]).update(vars(FakeDesk()))
    return built[3]


@pytest.fixture
def face(
    built: tuple[FakePipeline, Any, FakeDesk, FakeDesk],
    pipeline: FakePipeline,
    desk: FakeDesk,
    records: FakeDesk,
) -> Any:
    """The face in its shield, with a reader that is slow after 50 ms."""
    return built[1]
