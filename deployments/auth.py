"""Auth: the authority on who is calling. The only deployment that opens the identity tables.

Failure behavior: with its database away it answers `auth_unavailable` within the store's deadline;
callers whose verdicts are cached in an Ingress notice nothing until those expire.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from deployments.names import UNKNOWN_REVISION
from helixflow.clock import SystemClock
from helixflow.errors import Refused
from helixflow.identity.ports import Verdict, VerdictWire
from helixflow.settings import StorageSettings
from helixflow.storage.prepare import prepare
from helixflow.telemetry.logs import configure_logging

_log = logging.getLogger(__name__)


class Auth:
    """The Serve shell around `KeyAuthority`."""

    async def __init__(self, tree: dict[str, Any]) -> None:  # type: ignore[misc]
        configure_logging(tree["telemetry"]["log_level"])
        home = Path(tree["home"])
        prepared = await prepare(
            StorageSettings(**tree["storage"]), home, SystemClock(), os.environ
        )
        if prepared.minted:
            _log.info("the first key was minted; it is in %s", prepared.env.path)
        self._authority = prepared.authority
        self._database = prepared.stores.database

    async def verify(self, digest: bytes) -> VerdictWire:
        """The verdict about the key with this SHA-256 digest."""
        try:
            return (await self._authority.verify(digest)).to_wire()
        except Refused as refused:
            return Verdict(None, refused, UNKNOWN_REVISION).to_wire()

    async def revision(self) -> int:
        """The newest identity revision; UNKNOWN_REVISION while the database is away."""
        try:
            return await self._authority.revision()
        except Refused:
            return UNKNOWN_REVISION

    async def __del__(self) -> None:
        await self._database.close()
