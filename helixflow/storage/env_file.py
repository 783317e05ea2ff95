"""A file of `export NAME=value` lines that a shell can source, readable by its owner alone.

Replaced whole (written beside, then renamed), so a reader never sees half of it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path


class EnvFile:
    """Such a file at a path; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, str]:
        """The names and values; empty where there is no file. Other lines are passed over."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        values = {}
        for line in text.splitlines():
            name, equals, rest = line.removeprefix("export ").partition("=")
            if equals and name.isidentifier():
                try:
                    words = shlex.split(rest)
                except ValueError:
                    continue
                values[name] = words[0] if words else ""
        return values

    def update(self, values: Mapping[str, str]) -> None:
        """Set these and keep all others."""
        merged = self.read() | dict(values)
        text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in merged.items())
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)
