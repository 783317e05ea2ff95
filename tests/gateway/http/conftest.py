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
def built() -> tuple[FakePipeline, Any, FakeDesk]:
    """Built once: FastAPI takes some 50 ms to describe its routes."""
    pipeline, desk = FakePipeline(), FakeDesk()
    http = HttpSettings(body_bytes_max=BODY_BYTES_MAX, slow_reader_s=0.05)
    face = build_face(pipeline, http, GatewaySettings(), SystemClock(), desk)
    return pipeline, Shield(face, BODY_BYTES_MAX), desk


@pytest.fixture
def pipeline(built: tuple[FakePipeline, Any, FakeDesk]) -> FakePipeline:
    """The pipeline behind `face`, as if it were new."""
    vars(built[0]).update(vars(FakePipeline()))
    return built[0]


@pytest.fixture
def desk(built: tuple[FakePipeline, Any, FakeDesk]) -> FakeDesk:
    """The desk behind `face`, as if it were new."""
    vars(built[2]).update(vars(FakeDesk()))
    return built[2]


@pytest.fixture
def face(built: tuple[FakePipeline, Any, FakeDesk], pipeline: FakePipeline, desk: FakeDesk) -> Any:
    """The face in its shield, with a reader that is slow after 50 ms."""
    return built[1]
