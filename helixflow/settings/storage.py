"""The identity database's branch."""

from __future__ import annotations

from pydantic import Field

from helixflow.settings.branch import Branch


class StorageSettings(Branch):
    """The database. A relative SQLite path is taken from the home folder."""

    url: str = "sqlite+aiosqlite:///helixflow.db"
    call_s: float = Field(default=2.0, gt=0)
