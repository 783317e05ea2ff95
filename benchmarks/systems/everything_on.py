"""HelixFlow with everything on: policies, five limits, prices, usage and audit.

The limits are in its configuration; the policies are made over the admin API once it answers, as an
administrator would make them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.identity.session import Session
from benchmarks.load.crew import LoadFailed
from benchmarks.settings import EVERYTHING_CONFIG
from benchmarks.systems.helixflow_stack import ADMIN_KEY, HelixFlow
from benchmarks.systems.ports import Running, StartFailed

POLICIES = {
    "nothing confidential elsewhere": (
        'forbid (principal, action == Action::"model:invoke", resource) '
        'when { resource.dataClass == "confidential" && resource.region != "eu" };'
    ),
    "only from here": (
        'forbid (principal, action == Action::"model:invoke", resource) '
        'when { !(context has source && context.source.isInRange(ip("127.0.0.0/8"))) };'
    ),
}
_PATH = "/v1/organization/policies"


class EverythingOn(HelixFlow):
    """Implements `System`."""

    title = "HelixFlow, everything on"

    def __init__(
        self,
        models_dir: Path,
        overrides: Mapping[str, str] | None = None,
        more: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(EVERYTHING_CONFIG, models_dir, overrides, more)

    def start(self, folder: Path) -> Running:
        running = super().start(folder)
        try:
            asyncio.run(_make_policies(running))
        except LoadFailed as error:
            raise StartFailed(f"its policies could not be made: {error}") from None
        running.facts |= {"policies": len(POLICIES), "limits": 5, "usage": True, "audit": True}
        return running


async def _make_policies(running: Running) -> None:
    admin = await Session.connect(running.host, running.port, running.private[ADMIN_KEY])
    try:
        for name, source in POLICIES.items():
            await admin.call("POST", _PATH, {"name": name, "source": source})
    finally:
        await admin.close()
