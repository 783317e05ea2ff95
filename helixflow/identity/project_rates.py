"""What a project may use of each model in a minute or a day, as OpenAI's administration shows it.

A view of the limits per model and project, and a way to write those that name a project and a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from helixflow.identity.events import Actor
from helixflow.identity.limit_wish import LimitWish, canonical, whole_units
from helixflow.identity.limits import Limits
from helixflow.identity.ports import Store, Unit
from helixflow.identity.projects import project_of
from helixflow.identity.quotas import resolve
from helixflow.identity.records import StoredQuota
from helixflow.ids import OrganizationId, ProjectId
from helixflow.inference.quota import LimitName, Quota, Scope, holding

NAMES = (
    LimitName.REQUESTS_PER_DAY,
    LimitName.REQUESTS_PER_MINUTE,
    LimitName.TOKENS_PER_MINUTE,
)
_PER = (Scope.MODEL, Scope.PROJECT)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a project may use of a model; a name that is missing is not limited so."""

    model: str
    amounts: Mapping[LimitName, int]


class ProjectRates:
    """The limits of the caller's projects per model."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def of(self, actor: Actor, project: ProjectId, models: Iterable[str]) -> list[Rates]:
        """What holds in a project for each of these models."""

        async def work(unit: Unit) -> list[Rates]:
            await project_of(unit, actor.organization, project)
            quotas = await self._quotas(unit, actor.organization, project)
            return [_rates(quotas, model) for model in models]

        return await self._store.read(work)

    async def update(
        self,
        actor: Actor,
        project: ProjectId,
        model: str,
        amounts: Mapping[LimitName, int | None],
    ) -> Rates:
        """Set what is given; None takes away what was set here."""

        async def work(unit: Unit) -> Rates:
            await project_of(unit, actor.organization, project)
            rows = await unit.quotas_about(actor.organization, [(Scope.PROJECT, project)])
            for name, amount in amounts.items():
                await self._set(
                    unit, actor, _row_of(rows, name, model), project, name, amount, model
                )
            return _rates(await self._quotas(unit, actor.organization, project), model)

        return await self._store.write(work)

    async def _set(
        self,
        unit: Unit,
        actor: Actor,
        held: StoredQuota | None,
        project: ProjectId,
        name: LimitName,
        amount: int | None,
        model: str,
    ) -> None:
        if amount is None:
            if held is not None:
                await self._limits.drop(unit, actor, held)
            return
        per = tuple(scope.value for scope in _PER)
        wish = LimitWish(Scope.PROJECT, project, name, amount, per, model=model)
        wanted = canonical(wish, actor.organization)
        if held is None:
            await self._limits.add(unit, actor, wanted, project)
        else:
            units = whole_units(name, amount)
            await self._limits.change(unit, actor, held, replace(held, amount=units))

    async def _quotas(
        self, unit: Unit, organization: OrganizationId, project: ProjectId
    ) -> tuple[Quota, ...]:
        """What holds for a caller that has nothing of its own."""
        entities = [
            (Scope.ORGANIZATION, organization), (Scope.MODEL, None), (Scope.PROJECT, project),
        ]  # fmt: skip
        rows = await unit.quotas_about(organization, entities)
        return resolve(await self._limits.tier(unit, organization), rows)


def _rates(quotas: Iterable[Quota], model: str) -> Rates:
    held = holding(quotas, model)
    return Rates(
        model,
        {
            quota.name: quota.amount
            for quota in held
            if quota.scopes == _PER and quota.name in NAMES
        },
    )


def _row_of(rows: Iterable[StoredQuota], name: LimitName, model: str) -> StoredQuota | None:
    for row in rows:
        if (row.name, row.quota.scopes, row.model) == (name, _PER, model):
            return row
    return None
