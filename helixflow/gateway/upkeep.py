"""Keeping an Ingress's copies fresh: the registry by long poll, the identity revision by both.

A long poll brings a new identity revision as soon as Auth knows it (a push); the poll finds out
what a push cannot bring: that a push was lost, and that the store went back to an older state.

Failure behavior: a part that does not answer is asked again after a short pause; meanwhile the
copies stay as they are, and requests go on being answered from them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from helixflow.errors import Refused
from helixflow.gateway.ports import RegistrySource, RevisionSource
from helixflow.identity.last_used import LastUsed
from helixflow.identity.ports import Touch
from helixflow.routing.registry import Catalog
from helixflow.settings import IdentitySettings, RoutingSettings

_log = logging.getLogger(__name__)
_RETRY_S = 0.25
_PUBLISHED_S = 0.1


class Polled(Protocol):
    """Something that takes over a newer revision when it is polled."""

    async def poll_revision(self) -> None:
        """Ask for the newest revision. Raises `Unavailable` where nobody answers."""
        ...


class Kept(Protocol):
    """A copy that is brought up to date when it is polled. `gateway.published.Published` is one."""

    async def poll(self) -> None:
        """Ask again where something may have changed. Raises `Refused` where nobody answers."""
        ...


class Learner(Protocol):
    """Something that is told of newer revisions. `identity.authenticator.Authenticator` is one."""

    @property
    def revision(self) -> int:
        """The newest revision that it knows."""
        ...

    def learn_revision(self, revision: int) -> None:
        """Take over a revision, unless it is older."""
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


async def follow_news(
    source: RevisionSource,
    learner: Learner,
    settings: IdentitySettings,
    *,
    retry_s: float = _RETRY_S,
) -> None:
    """Take over each new identity revision as soon as there is one; ends by cancellation."""

    async def step() -> None:
        revision = await source.changed(learner.revision, settings.revision_wait_s)
        learner.learn_revision(revision)

    await _forever(step, 0.0, retry_s, "Auth")


async def follow_published(kept: Kept, *, retry_s: float = _RETRY_S) -> None:
    """Keep what is published in step with the identity revision, forever; ends by cancellation.

    Looking whether there is something to ask costs nothing; asking happens after a change.
    """
    await _forever(kept.poll, _PUBLISHED_S, retry_s, "Auth")


async def report_uses(last_used: LastUsed, place: Touch, settings: IdentitySettings) -> None:
    """Write down when keys were last used, a batch now and then; ends by cancellation.

    What cannot be written is kept for the next time (identity/last_used.py).
    """
    await _forever(
        lambda: last_used.flush(place), settings.last_used_s, settings.last_used_s, "Auth"
    )


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
