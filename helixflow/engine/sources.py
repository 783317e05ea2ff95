"""Where weights come from: brings a model's source to a local folder in Hugging Face's layout.

Failure behavior: everything that can go wrong is a `ModelLoadError` that says what to do. A download
or a conversion that is interrupted leaves nothing that looks complete; two replicas that need the
same conversion do it once.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
from pathlib import Path

from helixflow.engine.conversion import converted
from helixflow.engine.ports import Progress
from helixflow.errors import ModelLoadError
from helixflow.inference.model_spec import ModelSource, SourceKind

_HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]


async def resolve(
    source: ModelSource, models_dir: Path, progress: Progress, endpoint: str | None = None
) -> Path:
    """The local folder of a source; downloads or converts where needed.

    Args:
        models_dir: where downloads and conversions are kept.
        endpoint: the hub's address; None for the configured one (`HF_ENDPOINT`).
    """
    match source.kind:
        case SourceKind.PATH:
            return _local(source.location)
        case SourceKind.HUGGINGFACE:
            progress(f"fetching {source.location}", 0.05)
            return await asyncio.to_thread(_hub, source, models_dir, endpoint)
        case SourceKind.GGUF:
            return await converted(gguf_file(source.location), source.sha256, models_dir, progress)
        case _:
            raise ModelLoadError("The model names no source of weights.")


def _local(location: str) -> Path:
    folder = Path(os.path.abspath(location))
    if not (folder / "config.json").is_file():
        raise ModelLoadError(f"{folder} is not a model's folder: it has no config.json.")
    return folder


def gguf_file(location: str) -> Path:
    """A file by its path, or `package:NAME/FILE` inside an installed package, not imported."""
    if not location.startswith("package:"):
        file = Path(os.path.abspath(location))
    else:
        name, _, inner = location.removeprefix("package:").partition("/")
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise ModelLoadError(
                f"The Python package {name!r} is not installed; it carries the weights of this "
                "model. Install the cpu or gpu extra (make install)."
            )
        home = Path(next(iter(spec.submodule_search_locations))).resolve()
        file = (home / inner).resolve()
        if not file.is_relative_to(home):
            raise ModelLoadError(f"{location} leaves the package {name!r}.")
    if not file.is_file():
        raise ModelLoadError(f"There is no GGUF file at {location}.")
    return file


def _hub(source: ModelSource, models_dir: Path, endpoint: str | None) -> Path:
    """Download a snapshot. A marker says that it is complete: later starts need no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    place = f"{source.location}@{source.revision}"
    hub = models_dir / "hub"
    marker = hub / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.complete"
    if marker.is_file():
        return Path(marker.read_text(encoding="utf-8"))
    try:
        folder = snapshot_download(
            source.location,
            revision=source.revision or None,
            cache_dir=hub,
            allow_patterns=_HUB_FILES,
            endpoint=endpoint,
        )
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelLoadError(
            f"{place.rstrip('@')} could not be fetched from the hub: {first} Without a network, "
            "give the model as a path; for a gated one, set HF_TOKEN."
        ) from error
    marker.write_text(folder, encoding="utf-8")
    return Path(folder)
