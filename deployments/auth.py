"""Auth: the authority on who is calling. The only deployment that opens the identity tables.

Failure behavior: with its database away it answers `auth_unavailable` within the store's deadline;
callers whose verdicts are cached in an Ingress notice nothing until those expire.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from deployments.names import UNKNOWN_REVISION
from deployments.recording import start_recorder
from deployments.telemetry import find_or_create
from helixflow.clock import SystemClock
from helixflow.errors import Refusal, Refused, Unavailable
from helixflow.identity.desk import changes
from helixflow.identity.office import Office
from helixflow.identity.ports import PolicySetWire, Verdict, VerdictWire
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.desk import DeskAnswerWire, DeskCallWire, refusal_wire
from helixflow.settings import (
    IdentitySettings,
    LimitsSettings,
    StorageSettings,
    TelemetrySettings,
)
from helixflow.storage.outbox import SqlOutbox
from helixflow.storage.prepare import prepare
from helixflow.telemetry.logs import configure_logging
from helixflow.telemetry.outbox_shipping import OutboxShipping

_log = logging.getLogger(__name__)

_STOP_S = 5.0


class Auth:
    """The Serve shell around an `Office`."""

    async def __init__(self, tree: dict[str, Any]) -> None:  # type: ignore[misc]
        configure_logging(tree["telemetry"]["log_level"])
        clock, telemetry = SystemClock(), TelemetrySettings(**tree["telemetry"])
        home, storage = Path(tree["home"]), StorageSettings(**tree["storage"])
        prepared = await prepare(storage, home, clock, os.environ)
        if prepared.minted:
            _log.info("the first keys were minted; they are in %s", prepared.env.path)
        stores = prepared.stores
        self._database = stores.database
        self._recorder = start_recorder(tree, "auth", clock, find_or_create(tree))
        self._office = Office(
            store=stores.units,
            keys=stores.keys,
            purge=stores.purge,
            ring=prepared.ring,
            settings=IdentitySettings(**tree["identity"]),
            limits=LimitsSettings(**tree["limits"]),
            content_days_max=telemetry.content.days_max,
            clock=clock,
            signals=self._recorder,
        )
        await self._office.start()
        every_s = telemetry.shipping.outbox_s
        self._outbox = OutboxShipping(SqlOutbox(stores.database), self._recorder, home, every_s)
        loop = asyncio.get_running_loop()
        self._background = loop.create_task(self._office.run(), context=contextvars.Context())
        self._shipping = loop.create_task(self._outbox.run(), context=contextvars.Context())

    async def verify(self, digest: bytes) -> VerdictWire:
        """The verdict about the key with this SHA-256 digest."""
        return await _verdict(self._office.verify(digest))

    async def verify_token(self, token: str) -> VerdictWire:
        """The verdict about an access token."""
        return await _verdict(self._office.verify_token(token))

    async def revision(self) -> int:
        """The newest identity revision; UNKNOWN_REVISION while the database is away."""
        try:
            return await self._office.revision()
        except Refused:
            return UNKNOWN_REVISION

    async def changed(self, known: int, wait_s: float) -> int:
        """The newest identity revision, as soon as it is above `known` or after `wait_s`."""
        return await self._office.changed(known, wait_s)

    async def policies(self, organization: str, project: str) -> PolicySetWire | None:
        """The policies in force in a project; None while the database is away."""
        try:
            told = await self._office.policies(OrganizationId(organization), ProjectId(project))
        except Refused:
            return None
        return told.to_wire()

    async def touch(self, used: dict[str, float]) -> bool:
        """Note when keys were last used; False where the database is away."""
        try:
            await self._office.touch({KeyId(key): at for key, at in used.items()})
        except Refused:
            return False
        return True

    async def desk(self, wire: DeskCallWire) -> DeskAnswerWire:
        """An administrative request. What could not be journaled is not changed either."""
        if self._recorder.full and changes(wire[1]):
            return refusal_wire(_no_room())
        return await self._office.desk.handle(wire)

    async def check_health(self) -> None:
        """Called by Serve; raising replaces this replica."""
        if self._background.done() or self._shipping.done():
            raise RuntimeError("the office's background work ended")

    async def __del__(self) -> None:
        self._office.stop()
        self._outbox.stop()
        await asyncio.wait({self._background, self._shipping}, timeout=_STOP_S)
        await self._recorder.close()
        await self._database.close()


def _no_room() -> Unavailable:
    return Unavailable(
        Refusal.TELEMETRY_UNAVAILABLE,
        "There is no room for the journal, so nothing is administered.",
        retry_after_s=5.0,
    )


async def _verdict(work: Awaitable[Verdict]) -> VerdictWire:
    try:
        return (await work).to_wire()
    except Refused as refused:
        return Verdict(None, refused, UNKNOWN_REVISION).to_wire()
