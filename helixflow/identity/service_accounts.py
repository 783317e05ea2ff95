"""Service accounts: programs with keys of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from helixflow.clock import Clock
from helixflow.errors import Conflict, Refusal
from helixflow.identity import inputs
from helixflow.identity.api_keys import ApiKeys, Issued, KeyWish
from helixflow.identity.events import Actor, Event, EventName
from helixflow.identity.keys import KeyKind
from helixflow.identity.ports import Page, Store, Unit
from helixflow.identity.projects import open_project_of, project_of
from helixflow.identity.records import ServiceAccount
from helixflow.ids import ProjectId, mint_service_account_id


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A service account that was just made, with its first key."""

    account: ServiceAccount
    issued: Issued


class ServiceAccounts:
    """The service accounts of a project."""

    def __init__(self, store: Store, keys: ApiKeys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def create(
        self, actor: Actor, project: ProjectId, name: str, wish: KeyWish | None = None
    ) -> NewAccount:
        """An account and its first key, both or neither."""
        account = ServiceAccount(
            mint_service_account_id(),
            actor.organization,
            project,
            inputs.name(name),
            self._clock.now(),
        )
        issued = self._issue(actor, account, wish or KeyWish(name))

        async def work(unit: Unit) -> NewAccount:
            await open_project_of(unit, actor.organization, project)
            await unit.service_accounts.add(account)
            self._record(unit, EventName.SERVICE_ACCOUNT_CREATE, actor, account)
            return NewAccount(account, await self._keys.add(unit, actor, issued))

        return await self._store.write(work)

    async def create_key(
        self, actor: Actor, project: ProjectId, account: str, wish: KeyWish
    ) -> Issued:
        """Another key for an account."""

        async def work(unit: Unit) -> Issued:
            held = await self._find(unit, actor, project, account)
            if held.disabled_at is not None:
                raise Conflict(Refusal.CONFLICT, "The service account is disabled.")
            return await self._keys.add(unit, actor, self._issue(actor, held, wish))

        return await self._store.write(work)

    async def get(self, actor: Actor, project: ProjectId, account: str) -> ServiceAccount:
        """One account."""
        return await self._store.read(lambda unit: self._find(unit, actor, project, account))

    async def page(
        self, actor: Actor, project: ProjectId, after: str | None = None, limit: int = 20
    ) -> Page[ServiceAccount]:
        """The accounts, oldest first."""
        size = inputs.page_size(limit)

        async def work(unit: Unit) -> Page[ServiceAccount]:
            await project_of(unit, actor.organization, project)
            return await unit.service_accounts.page(project, after, size)

        return await self._store.read(work)

    async def disable(self, actor: Actor, project: ProjectId, account: str) -> ServiceAccount:
        """Switch an account off: its keys and tokens are refused. Twice is harmless."""

        async def work(unit: Unit) -> ServiceAccount:
            held = await self._find(unit, actor, project, account)
            if held.disabled_at is not None:
                return held
            disabled = replace(held, disabled_at=self._clock.now())
            await unit.service_accounts.put(disabled)
            self._record(unit, EventName.SERVICE_ACCOUNT_DISABLE, actor, disabled)
            return disabled

        return await self._store.write(work)

    def _issue(self, actor: Actor, account: ServiceAccount, wish: KeyWish) -> Issued:
        return self._keys.issue(actor, account.project, KeyKind.SERVICE, wish, account.id)

    async def _find(
        self, unit: Unit, actor: Actor, project: ProjectId, account: str
    ) -> ServiceAccount:
        await project_of(unit, actor.organization, project)
        held = await unit.service_accounts.get(project, account)
        return inputs.found(held, "service account")

    def _record(self, unit: Unit, name: EventName, actor: Actor, account: ServiceAccount) -> None:
        now = self._clock.now()
        unit.record(Event(name, actor.organization, account.project, actor.id, account.id, now))
