"""Each outside library has one home, so that changing it touches one place."""

from __future__ import annotations

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
    "redis": ("helixflow/limits/redis_link.py", "helixflow/testing/valkey.py"),
    "rich": ("helixflow/cli/",),
    "sqlalchemy": ("helixflow/storage/",),
    # Beside its home: the type of what Serve is given, what vLLM wants as its state, a test client.
    "starlette": (
        "helixflow/gateway/http/",
        "helixflow/testing/http.py",
        "deployments/ingress.py",
        "helixflow/engine/vllm_serving.py",
    ),
    "swagger_ui_bundle": ("helixflow/gateway/http/",),
    "torch": ("helixflow/engine/",),
    "transformers": ("helixflow/engine/",),
    "typer": ("helixflow/cli/",),
    "uvicorn": ("helixflow/gateway/http/", "helixflow/testing/http.py"),
    "vllm": ("helixflow/engine/",),
}


def strays(source: Source) -> list[str]:
    """The imports of a file that belong elsewhere."""
    return [
        f"{source.path}:{line}: {target} belongs to {' or '.join(home)}"
        for line, target in imports(source)
        if (home := HOMES.get(target.split(".")[0])) and not source.path.startswith(home)
    ]


def test_libraries_stay_at_home() -> None:
    assert [stray for source in sources(*PRODUCT) for stray in strays(source)] == []


def test_a_stray_is_seen() -> None:
    assert strays(Source.of("helixflow/limits/a.py", "def f():\n    import ray.serve"))
    assert not strays(Source.of("deployments/a.py", "import ray.serve"))
