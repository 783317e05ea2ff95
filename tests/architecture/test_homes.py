"""Each outside library has one home, so that changing it touches one place."""

from __future__ import annotations

import pytest

from .tree import PRODUCT, Source, imports, sources

HOMES = {
    "aiosqlite": ("helixflow/storage/",),
    "alembic": ("helixflow/storage/",),
    "asyncpg": ("helixflow/storage/", "helixflow/testing/postgres.py"),
    "cedarpy": ("helixflow/identity/",),
    "cryptography": ("helixflow/crypto/",),
    "fastapi": ("helixflow/gateway/http/",),
    "gguf": ("helixflow/engine/",),
    "jwt": ("helixflow/identity/",),
    "kubernetes": ("cluster/",),
    "opentelemetry": ("helixflow/telemetry/",),
    "prometheus_client": ("helixflow/telemetry/",),
    "psutil": ("helixflow/cli/", "helixflow/engine/"),
    "pynvml": ("helixflow/engine/",),
    "ray": ("deployments/", "helixflow/handle.py"),
    "redis": ("helixflow/limits/redis.py",),
    "rich": ("helixflow/cli/",),
    "sqlalchemy": ("helixflow/storage/",),
    "starlette": ("helixflow/gateway/http/",),
    "structlog": ("helixflow/telemetry/",),
    "swagger_ui_bundle": ("helixflow/gateway/http/",),
    "torch": ("helixflow/engine/",),
    "transformers": ("helixflow/engine/",),
    "typer": ("helixflow/cli/",),
    "uvicorn": ("helixflow/gateway/http/",),
    "vllm": ("helixflow/engine/",),
}


@pytest.mark.parametrize("source", sources(*PRODUCT), ids=lambda source: source.path)
def test_libraries_stay_at_home(source: Source) -> None:
    for line, target in imports(source):
        home = HOMES.get(target.split(".")[0])
        assert home is None or source.path.startswith(home), (
            f"{source.path}:{line} imports {target}; its home is {' or '.join(home or ())}"
        )
