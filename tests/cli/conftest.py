"""A platform in this process, and everything that a command needs to find it."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from helixflow.cli.addresses import Ports
from helixflow.cli.record import Stack
from helixflow.settings import Settings

from .fake_platform import KEY, Dashboard, Gateway, Platform, start, url


@pytest.fixture
def platform() -> Platform:
    return Platform()


def served(kind: type, platform: Platform) -> Iterator[ThreadingHTTPServer]:
    server = start(kind, platform)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def dashboard(platform: Platform) -> Iterator[ThreadingHTTPServer]:
    yield from served(Dashboard, platform)


@pytest.fixture
def gateway(platform: Platform) -> Iterator[ThreadingHTTPServer]:
    yield from served(Gateway, platform)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def known(home: Path, gateway: ThreadingHTTPServer) -> Path:
    """A home folder whose `env` file leads to the gateway."""
    text = f"export HELIXFLOW_BASE_URL={url(gateway)}\nexport OPENAI_API_KEY={KEY}\n"
    (home / "env").write_text(text)
    return home


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings.of({"home": str(home)})


@pytest.fixture
def stack(home: Path, tmp_path: Path) -> Stack:
    return Stack(
        id="abc",
        home=str(home),
        temp=str(tmp_path / "temp"),
        host="127.0.0.1",
        ports=Ports(8000, 21_000),
        config="/etc/helixflow.yaml",
    )
