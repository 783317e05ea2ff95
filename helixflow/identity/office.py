"""Auth, as a plain class: every identity service of one process, on the stores that it is given.

    office = Office(store=stores.units, keys=stores.keys, purge=stores.purge, ring=ring,
                    settings=settings, clock=clock)
    await office.start()
    background = asyncio.create_task(office.run())

Failure behavior: with the database away every question raises `Unavailable` (`auth_unavailable`)
within the store's deadline; duties that fail are tried again at their next turn. Several offices
may share a database: what must happen once is decided again inside the transaction that does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from helixflow.clock import Clock
from helixflow.crypto.master_key import KeyRing
from helixflow.crypto.passwords import Passwords
from helixflow.errors import ConfigError, Refused
from helixflow.identity.authority import judge
from helixflow.identity.bootstrap import SYSTEM
from helixflow.identity.caller_limits import CallerLimits
from helixflow.identity.desk import Desk
from helixflow.identity.events import Actor
from helixflow.identity.fetch import fetch
from helixflow.identity.issuers import Fetch, OutsideAuthority, OutsideIssuer
from helixflow.identity.keys import PEPPER_PURPOSE, mac
from helixflow.identity.permissions import Role
from helixflow.identity.policies import Policies
from helixflow.identity.policy_texts import PolicyTexts
from helixflow.identity.ports import Installation, KeyStore, PolicySet, Store, Unit, Verdict
from helixflow.identity.projects import keeping_of, kept
from helixflow.identity.quotas import Tiers
from helixflow.identity.revisions import Announcing, Revisions
from helixflow.identity.signing_keys import SigningKeys
from helixflow.identity.token_authority import TokenAuthority
from helixflow.identity.tokens import Tokens
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.principal import Keeping, Principal
from helixflow.settings import IdentitySettings, IssuerSettings, LimitsSettings
from helixflow.signals import Metric, NullSignals, Signals

_log = logging.getLogger(__name__)

_JITTER = 0.25


class Purge(Protocol):
    """Deletes what has served its time."""

    async def run(self, now: float) -> int:
        """Delete a bounded part of it; how many rows it were."""
        ...


class Office:
    """Answers the questions of Ingresses (`identity.ports.Authority` and `PolicySource`) and runs
    the administration's desk. For one event loop.

    Args:
        store, keys, purge: the repositories of one database.
        limits: the tiers that organizations may have; without it nobody has limits by default.
        content_days_max: how long a project may keep content at most; 0 lets none keep any.
        signals: where it is told since when the signing key signs.
        passwords: argon2 with other costs, for tests.
        fetch: how an outside issuer's keys are read.

    Attributes:
        desk: the administration.
        store: the repositories as the services use them: changes made through it are announced.
    """

    def __init__(
        self,
        *,
        store: Store,
        keys: KeyStore,
        purge: Purge,
        ring: KeyRing,
        settings: IdentitySettings,
        clock: Clock,
        limits: LimitsSettings | None = None,
        content_days_max: int = 0,
        signals: Signals | None = None,
        passwords: Passwords | None = None,
        fetch: Fetch = fetch,
    ) -> None:
        self._keys = keys
        self._purge = purge
        self._settings = settings
        self._content_days_max = content_days_max
        self._clock = clock
        self._fetch = fetch
        self._signals: Signals = signals or NullSignals()
        self._pepper = ring.derive(PEPPER_PURPOSE)
        self._revisions = Revisions(self.revision, settings.revision_poll_s)
        self._newest = -1
        self._stopping = asyncio.Event()
        self.store: Store = Announcing(store, self._revisions.wake)
        self._signing = SigningKeys(self.store, ring, settings.tokens, clock)
        self._texts = PolicyTexts(Policies(self.store, clock))
        tiers = Tiers(limits or LimitsSettings())
        self._limits = CallerLimits(self.store, tiers)
        self._ours = TokenAuthority(self.store, self._signing, settings.tokens, clock)
        self._tokens = self._all_tokens(())
        self._system = Actor(OrganizationId(""), SYSTEM)
        self.desk = Desk(
            store=self.store,
            keys=keys,
            ring=ring,
            settings=settings.tokens,
            clock=clock,
            tiers=tiers,
            signing=self._signing,
            passwords=passwords or Passwords(),
            content_days_max=content_days_max,
        )

    async def start(self) -> None:
        """Find the tenant that everybody begins with, and see to a key that signs.

        Raises ConfigError where nothing was installed (`prepare` does that).
        """
        begun = await self.store.read(_installation)
        if begun is None:
            raise ConfigError("the database holds no installation; run `helixflow up` first")
        self._system = Actor(begun.organization, SYSTEM)
        outside = [_issuer(told, begun) for told in self._settings.issuers]
        self._tokens = self._all_tokens(outside)
        await self._see_to_signing()

    async def verify(self, digest: bytes) -> Verdict:
        """See `Authority.verify`."""
        wanted = mac(self._pepper, digest)
        found = await self._keys.find(wanted)
        verdict = self._keeping(judge(found, wanted, self._clock.now()), found.keeping)
        if found.policies:
            verdict = await self._under_policies(verdict)
        return await self._under_limits(verdict, own=found.limits)

    async def verify_token(self, token: str) -> Verdict:
        """The verdict about an access token, ours or an outside issuer's. Raises `Unavailable`."""
        verdict = await self._under_policies(await self._tokens.verify(token))
        verdict = self._keeping(verdict, await self._wanted(verdict.principal))
        return await self._under_limits(verdict, own=True)

    async def revision(self) -> int:
        """See `Authority.revision`; always as the store has it."""
        revision = await self._keys.revision()
        if revision < self._newest:
            self._texts.forget()
            self._limits.forget()
        self._newest = revision
        return revision

    async def changed(self, known: int, wait_s: float) -> int:
        """The newest revision, as soon as it is above `known` or when `wait_s` is over."""
        return await self._revisions.next(known, wait_s)

    async def policies(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        """See `PolicySource.policies`."""
        return await self._texts.fresh(organization, project)

    async def touch(self, used: Mapping[KeyId, float]) -> None:
        """See `Touch.touch`."""
        await self._keys.touch(used)

    async def run(self) -> None:
        """Look for news and do the duties, until `stop`."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            group.create_task(self._do_duties())

    def stop(self) -> None:
        """Let `run` end after the step that it is at, with nothing half asked of the store."""
        self._stopping.set()
        self._revisions.wake()

    async def duties(self) -> None:
        """One turn: a signing key in time, and a bounded purge.

        A due signing key is decided on again in the transaction that adds it, which the store runs
        alone: of several offices one adds it.
        """
        await self._see_to_signing()
        await self._purge.run(self._clock.now())

    async def _see_to_signing(self) -> None:
        await self._signing.ensure(self._system)
        since = await self._signing.since()
        if since is not None:
            self._signals.gauge(Metric.SIGNING_KEY_SINCE, since)

    async def _look(self) -> None:
        while not self._stopping.is_set():
            await self._revisions.step()

    async def _do_duties(self) -> None:
        while True:
            # Several offices that started together do not keep in step.
            share = 1 + random.uniform(-_JITTER, _JITTER)  # noqa: S311 (no secret)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.duties_s * share):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            try:
                await self.duties()
            except Refused as refused:
                _log.warning("the identity store's upkeep waits: %s", refused.message)
            except Exception:
                _log.exception("the identity store's upkeep failed; it is tried again")

    async def _under_policies(self, verdict: Verdict) -> Verdict:
        """The verdict with the policies that hold for its caller."""
        who = verdict.principal
        if who is None:
            return verdict
        told = await self._texts.of(who.organization, who.project, verdict.revision)
        return replace(verdict, principal=replace(who, policies=told.fingerprint))

    async def _under_limits(self, verdict: Verdict, *, own: bool) -> Verdict:
        """The verdict with the limits that hold for its caller."""
        who = verdict.principal
        if who is None:
            return verdict
        return replace(verdict, principal=await self._limits.of(who, verdict.revision, own=own))

    async def _wanted(self, who: Principal | None) -> Keeping | None:
        """Whether a caller's project wants content to be kept."""
        if who is None or not who.project:
            return None
        organization, name = who.organization, who.project
        project = await self.store.read(lambda unit: unit.projects.get(organization, name))
        return None if project is None else keeping_of(project)

    def _keeping(self, verdict: Verdict, wanted: Keeping | None) -> Verdict:
        """The verdict with whether its caller's project keeps content."""
        if verdict.principal is None or wanted is None:
            return verdict
        keeping = kept(wanted, self._content_days_max)
        return replace(verdict, principal=replace(verdict.principal, keeping=keeping))

    def _all_tokens(self, issuers: list[OutsideIssuer] | tuple[()]) -> Tokens:
        settings = self._settings.tokens
        outside = OutsideAuthority(self.store, issuers, self._fetch, self._clock, settings.leeway_s)
        return Tokens(settings.issuer, self._ours, outside)


def _issuer(told: IssuerSettings, begun: Installation) -> OutsideIssuer:
    return OutsideIssuer(
        issuer=told.issuer,
        audience=told.audience,
        jwks_url=told.jwks_url,
        organization=OrganizationId(told.organization) or begun.organization,
        project=ProjectId(told.project) or begun.project,
        role_claim=told.role_claim,
        roles={value: Role(role) for value, role in told.roles.items()},
        default_roles=frozenset(Role(role) for role in told.default_roles),
    )


async def _installation(unit: Unit) -> Installation | None:
    return await unit.installation()
