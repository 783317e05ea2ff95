"""The settings as a command uses them: file, environment and options together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helixflow.settings import Settings


def effective_settings(config: Path, home: Path | None, port: int | None) -> Settings:
    """Read a configuration; options win over it, and over the environment.

    Folders come out absolute. Raises ConfigError naming the file, the key and the mend.
    """
    settings = Settings.load(config)
    changed: dict[str, Any] = {"home": str((home or settings.home_path).absolute())}
    if port is not None:
        changed["http"] = settings.http.model_copy(update={"port": port})
    settings = settings.model_copy(update=changed)
    engine = settings.engine.model_copy(update={"models_dir": str(settings.models_path)})
    return settings.model_copy(update={"engine": engine})
