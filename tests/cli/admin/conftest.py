"""A platform that can be administered, and the commands as they are typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from helixflow.cli.main import app
from tests.cli.fake_admin import ADMIN_KEY, AdminGateway, Administration
from tests.cli.fake_platform import start, url

Run = Callable[..., Result]


@pytest.fixture
def administration() -> Administration:
    return Administration()


@pytest.fixture
def front(administration: Administration) -> Iterator[ThreadingHTTPServer]:
    server = start(AdminGateway, administration)
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def administered(home: Path, front: ThreadingHTTPServer) -> Path:
    """A home folder whose `env` file leads to the platform, with an admin key."""
    text = f"export HELIXFLOW_BASE_URL={url(front)}\nexport HELIXFLOW_ADMIN_KEY={ADMIN_KEY}\n"
    (home / "env").write_text(text)
    return home


@pytest.fixture
def bare() -> Run:
    """Any command."""
    runner = CliRunner()
    return lambda *words, **options: runner.invoke(app, [str(word) for word in words], **options)


@pytest.fixture
def run(bare: Run, administered: Path) -> Run:
    """A command of the platform's home."""
    return lambda *words, **options: bare(*words, "--home", administered, **options)
