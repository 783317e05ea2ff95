"""Keeping an Ingress's copies fresh: the registry by long poll, the identity revision by poll.

Failure behavior: a part that does not answer is asked again after a short pause; meanwhile the
copies stay as they are, and requests go on being answered from them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from helixflow.errors import Refused
from helixflow.gateway.ports import RegistrySource
from helixflow.routing.registry import Catalog
from helixflow.settings import IdentitySettings, RoutingSettings

_log = logging.getLogger(__name__)
_RETRY_S = 0.25


class Polled(Protocol):
    """Something that takes over a newer revision when it is polled."""

    async def poll_revision(self) -> None:
        """Ask for the newest revision. Raises `Unavailable` where nobody answers."""
        ...


async def follow_registry(
    source: RegistrySource,
    catalog: Catalog,
    settings: RoutingSettings,
    *,
    retry_s: float = _RETRY_S,
) -> None:
    """Take over each new snapshot, forever; ends by cancellation."""

    async def step() -> None:
        held = catalog.snapshot
        epoch, revision = ("", 0) if held is None else (held.epoch, held.revision)
        snapshot = await source.snapshot(epoch, revision, settings.snapshot_wait_s)
        if snapshot is not None:
            catalog.replace(snapshot)

    await _forever(step, 0.0, retry_s, "the Router")


async def follow_identity(
    polled: Polled, settings: IdentitySettings, *, retry_s: float = _RETRY_S
) -> None:
    """Poll the identity revision, forever; ends by cancellation."""
    await _forever(polled.poll_revision, settings.revision_poll_s, retry_s, "Auth")


async def _forever(
    step: Callable[[], Awaitable[None]], pause_s: float, retry_s: float, whom: str
) -> None:
    away = False
    while True:
        try:
            await step()
        except Refused as refused:
            if not away:
                _log.warning("%s does not answer: %s", whom, refused.message)
            away = True
        except Exception:
            _log.exception("following %s failed; trying again", whom)
            away = True
        else:
            if away:
                _log.info("%s answers again", whom)
            away = False
        await asyncio.sleep(retry_s if away else pause_s)
