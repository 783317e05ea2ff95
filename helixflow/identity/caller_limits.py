"""The limits that a verdict carries for its caller.

They are read at the verdict's own revision or at a later one; so whatever drops the verdict drops
them with it, and a change of a limit is in force wherever its revision is known.

What holds for everybody of a project is read once for each revision; only where keys or users have
limits of their own does a verdict take a look-up more. Organizations without anything of their own
have the default tier, and take none.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, replace

from helixflow.identity.ports import Store, Unit
from helixflow.identity.quotas import Tier, Tiers, resolve, share_of
from helixflow.identity.records import StoredQuota
from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.principal import Principal
from helixflow.inference.quota import Quota, Scope, Share

_log = logging.getLogger(__name__)

_KEPT_MAX = 1024


@dataclass(frozen=True, slots=True)
class _Place:
    """What holds for everybody of a project, as of a revision.

    Attributes:
        quotas: resolved from `tier` and `shared`.
        personal: whether some key or user of the organization has limits of its own.
    """

    revision: int
    tier: Tier
    share: Share
    shared: tuple[StoredQuota, ...]
    quotas: tuple[Quota, ...]
    personal: bool


class CallerLimits:
    """Reads limits, and keeps what it read until the identity revision passes it."""

    def __init__(self, store: Store, tiers: Tiers, kept_max: int = _KEPT_MAX) -> None:
        self._store = store
        self._tiers = tiers
        self._plain = resolve(tiers.of(None), ())
        self._kept_max = kept_max
        self._kept: OrderedDict[tuple[str, str], _Place] = OrderedDict()
        self._missed: set[str] = set()

    async def of(self, who: Principal, revision: int, *, own: bool = True) -> Principal:
        """The caller with its limits and its share, at this revision or a later one.

        Args:
            own: whether its organization has a tier, a share or limits of its own.
        """
        if not who.project:
            return who  # administers, and never infers
        if not own:
            return replace(who, quotas=self._plain, share=self._tiers.of(None).share)
        place = await self._place(who.organization, who.project, revision)
        quotas = place.quotas
        if place.personal and (rows := await self._about(who)):
            quotas = resolve(place.tier, (*place.shared, *rows))
        return replace(who, quotas=quotas, share=place.share)

    def forget(self) -> None:
        """The store went back to an older state: what was read may never have been."""
        self._kept.clear()

    async def _about(self, who: Principal) -> list[StoredQuota]:
        """What is about this caller alone."""
        entities = [(Scope.KEY, who.key), (Scope.USER, who.subject)]
        return await self._store.read(lambda unit: unit.quotas_about(who.organization, entities))

    async def _place(
        self, organization: OrganizationId, project: ProjectId, revision: int
    ) -> _Place:
        name = (organization, project)
        kept = self._kept.get(name)
        if kept is not None and kept.revision >= revision:
            self._kept.move_to_end(name)
            return kept
        read = await self._store.read(lambda unit: self._read(unit, organization, project))
        self._kept[name] = read
        while len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)
        return read

    async def _read(self, unit: Unit, organization: OrganizationId, project: ProjectId) -> _Place:
        tenant = await unit.organizations.get(organization, organization)
        entities = [
            (Scope.ORGANIZATION, organization), (Scope.MODEL, None), (Scope.PROJECT, project),
        ]  # fmt: skip
        shared = tuple(await unit.quotas_about(organization, entities))
        personal = await unit.has_quotas_about(organization, (Scope.KEY, Scope.USER))
        named = None if tenant is None else tenant.tier
        tier = self._tiers.of(named)
        self._note(named)
        return _Place(
            await unit.revision(),
            tier,
            tier.share if tenant is None else share_of(tier, tenant),
            shared,
            resolve(tier, shared),
            personal,
        )

    def _note(self, tier: str | None) -> None:
        """Say once of a tier that it is none any more: its organizations have the default one."""
        if tier is None or tier in self._tiers.names or tier in self._missed:
            return
        if len(self._missed) < self._kept_max:
            self._missed.add(tier)
            _log.warning("the configuration has no tier %r; the default tier holds instead", tier)
