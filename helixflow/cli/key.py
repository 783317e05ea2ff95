"""The key of this installation: in the database as a hash, in the home's `env` file as text."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from helixflow.cli.failure import CommandFailed
from helixflow.clock import SystemClock
from helixflow.settings import Settings
from helixflow.storage.prepare import prepare


def prepare_key(settings: Settings, environ: Mapping[str, str]) -> str:
    """Bring the database up to date and return a valid key, minted if there is none yet."""
    return asyncio.run(_prepare(settings, environ))


async def _prepare(settings: Settings, environ: Mapping[str, str]) -> str:
    ready = await prepare(
        settings.storage, settings.home_path, SystemClock(), environ, need_key=True
    )
    await ready.stores.database.close()
    if ready.key is None:
        raise CommandFailed("the database gave no key")
    return ready.key.reveal()
