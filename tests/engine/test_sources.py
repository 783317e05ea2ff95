from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from helixflow.engine.sources import gguf_file, resolve
from helixflow.errors import ModelLoadError
from helixflow.inference.model_spec import ModelSource, SourceKind

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def quiet(_what: str, _far: float) -> None:
    """Nobody watches."""


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as a snapshot needs: one model of one file."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path.startswith("/api/models/org/model/revision/"):
            self._answer(
                {"id": "org/model", "sha": COMMIT, "siblings": [{"rfilename": "config.json"}]}
            )
        elif self.path.startswith("/api/models/org/model/tree/"):
            self._answer([{"type": "file", "path": "config.json", "size": 2, "oid": "a" * 40}])
        elif self.path == f"/org/model/resolve/{COMMIT}/config.json":
            self._answer({})
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", '"e"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    source = ModelSource(SourceKind.PATH, str(tmp_path))
    assert await resolve(source, tmp_path, quiet) == tmp_path


async def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"no config\.json"):
        await resolve(ModelSource(SourceKind.PATH, str(tmp_path)), tmp_path, quiet)


async def test_a_model_without_a_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="no source"):
        await resolve(ModelSource(), tmp_path, quiet)


async def test_a_snapshot_is_fetched_once(tmp_path: Path, hub: str) -> None:
    source = ModelSource(SourceKind.HUGGINGFACE, "org/model", revision="main")
    folder = await resolve(source, tmp_path, quiet, hub)
    assert (folder / "config.json").read_text() == "{}"
    asked = len(Hub.asked)
    assert await resolve(source, tmp_path, quiet, hub) == folder
    assert len(Hub.asked) == asked


async def test_a_model_that_the_hub_does_not_have_is_refused(tmp_path: Path, hub: str) -> None:
    source = ModelSource(SourceKind.HUGGINGFACE, "org/absent")
    with pytest.raises(ModelLoadError, match=r"org/absent could not be fetched"):
        await resolve(source, tmp_path, quiet, hub)


async def test_without_a_network_a_person_is_told_what_to_do(tmp_path: Path) -> None:
    source = ModelSource(SourceKind.HUGGINGFACE, "org/model", revision="v1")
    with pytest.raises(ModelLoadError, match=r"org/model@v1 could not .* give the model as a path"):
        await resolve(source, tmp_path, quiet, "http://127.0.0.1:9")


def test_a_file_of_a_package_is_found_without_importing_it() -> None:
    assert gguf_file("package:pytest/py.typed").name == "py.typed"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("package:no_such_package/x.gguf", "not installed"),
        ("package:os.path/x.gguf", "not installed"),
        ("package:pytest/../secret.gguf", "leaves the package"),
        ("package:pytest/absent.gguf", "no GGUF file"),
        ("/absent/model.gguf", "no GGUF file"),
    ],
)
def test_a_gguf_file_that_is_not_there_is_refused(location: str, said: str) -> None:
    with pytest.raises(ModelLoadError, match=said):
        gguf_file(location)
