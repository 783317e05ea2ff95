from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher

from helixflow.crypto.master_key import MasterKey
from helixflow.crypto.passwords import Passwords
from helixflow.crypto.rsa import load_private_key, new_private_key, public_jwk
from helixflow.errors import ConfigError, InvalidRequest, Refusal, Unauthenticated, Unavailable
from helixflow.identity.api_keys import ApiKeys, KeyWish
from helixflow.identity.authenticator import Authenticator
from helixflow.identity.bootstrap import FirstKeys, ensure_bootstrap
from helixflow.identity.events import Actor, EventName
from helixflow.identity.keys import PEPPER_PURPOSE, digest
from helixflow.identity.limit_wish import LimitWish
from helixflow.identity.limits import Limits
from helixflow.identity.office import Office
from helixflow.identity.permissions import ROLE_PERMISSIONS, Role
from helixflow.identity.policies import Policies
from helixflow.identity.ports import Store, Unit, Verdict
from helixflow.identity.projects import Projects
from helixflow.identity.quotas import Tiers
from helixflow.identity.service_accounts import ServiceAccounts
from helixflow.inference.desk import DeskCall
from helixflow.inference.principal import Keeping, Principal
from helixflow.inference.quota import LimitName, Scope, Share
from helixflow.settings import IdentitySettings, LimitsSettings
from helixflow.signals import Metric, NullSignals
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import some_principal
from helixflow.testing.signals import RecordingSignals

RING = MasterKey(b"m" * 32)
CHEAP = Passwords(hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
SETTINGS = IdentitySettings(revision_poll_s=0.001, revision_wait_s=5.0, duties_s=0.001)
NOTHING = "forbid (principal, action, resource);"
OUTSIDE = new_private_key()


@dataclass
class House:
    """A store after its first start, and the ways into it."""

    stores: Stores
    clock: ManualClock
    first: FirstKeys
    caller: Principal

    @property
    def owner(self) -> Actor:
        return Actor(self.caller.organization, "user_owner", ROLE_PERMISSIONS[Role.OWNER])

    def office(self, settings: IdentitySettings = SETTINGS, **changes: Any) -> Office:
        parts: dict[str, Any] = {
            "store": self.stores.units,
            "keys": self.stores.keys,
            "purge": self.stores.purge,
            "ring": RING,
            "settings": settings,
            "clock": self.clock,
            "passwords": CHEAP,
        }
        return Office(**parts | changes)

    def keys(self, store: Store) -> ApiKeys:
        return ApiKeys(store, RING.derive(PEPPER_PURPOSE), self.clock)

    @property
    def digest(self) -> bytes:
        return digest(self.first.project.reveal())


@pytest.fixture
async def house(stores: Stores) -> House:
    clock = ManualClock()
    first = await ensure_bootstrap(stores.units, RING, clock)
    assert first is not None
    house = House(stores, clock, first, some_principal())
    house.caller = _who(await house.office().verify(house.digest))
    return house


def _who(verdict: Verdict) -> Principal:
    assert verdict.principal is not None
    return verdict.principal


@asynccontextmanager
async def at_work(*offices: Office) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(office.run()) for office in offices]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for office in offices:
            office.stop()
        await asyncio.gather(*tasks)


async def events(stores: Stores, name: EventName) -> int:
    return sum(out.event.name is name for out in await stores.outbox.head(100))


class TestStart:
    async def test_it_sees_to_a_signing_key_and_several_offices_to_one(self, house: House) -> None:
        offices = [house.office() for _ in range(3)]
        await asyncio.gather(*(office.start() for office in offices))
        assert await events(house.stores, EventName.SIGNING_KEY_CREATE) == 1

    async def test_a_store_without_an_installation_is_refused(self, stores: Stores) -> None:
        office = House(stores, ManualClock(), None, None).office()  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="no installation"):
            await office.start()


class TestVerdicts:
    async def test_a_key_is_verified_and_its_end_is_final(self, house: House) -> None:
        office = house.office()
        assert house.caller.policies == ""
        assert (await office.verify(digest("hx-proj-unknown"))).principal is None
        await house.keys(office.store).revoke(house.owner, house.caller.project, house.caller.key)
        refused = (await office.verify(house.digest)).refused
        assert isinstance(refused, Unauthenticated)

    async def test_a_verdict_names_the_policies_of_its_callers_project(self, house: House) -> None:
        office = house.office()
        policies = Policies(office.store, house.clock)
        made = await policies.create(house.owner, "none", NOTHING)
        verdict = await office.verify(house.digest)
        told = await office.policies(house.caller.organization, house.caller.project)
        assert told.texts == ((made.id, NOTHING),)
        assert _who(verdict).policies == told.fingerprint != ""
        other = await Projects(office.store, house.clock).create(house.owner, "other")
        await policies.create(house.owner, "there", NOTHING, other.id)
        assert _who(await office.verify(house.digest)).policies == told.fingerprint
        await policies.delete(house.owner, made.id)
        assert _who(await office.verify(house.digest)).policies == ""

    async def test_a_verdict_says_whether_content_is_kept_within_what_the_platform_allows(
        self, house: House
    ) -> None:
        offices = {most: house.office(content_days_max=most) for most in (0, 7, 90)}
        projects = Projects(house.stores.units, house.clock, content_days_max=90)

        async def keepings() -> dict[int, Keeping | None]:
            return {
                most: _who(await office.verify(house.digest)).keeping
                for most, office in offices.items()
            }

        assert set((await keepings()).values()) == {None}
        place = house.owner, house.caller.project
        await projects.update(*place, content_days=30)
        assert await keepings() == {0: None, 7: Keeping(7, 1), 90: Keeping(30, 1)}
        await projects.update(*place, content_days=40)
        await projects.erase_content(*place)
        assert (await keepings())[90] == Keeping(40, 2)
        await projects.update(*place, content_days="none")
        assert set((await keepings()).values()) == {None}
        await projects.update(*place, content_days=1)
        assert (await keepings())[90] == Keeping(1, 3)
        with pytest.raises(InvalidRequest):
            await projects.update(*place, content_days=91)
        with pytest.raises(InvalidRequest, match="keeps no content"):
            await Projects(house.stores.units, house.clock).update(*place, content_days=1)

    async def test_a_token_of_an_outside_issuer_is_accepted_in_the_default_project(
        self, house: House
    ) -> None:
        jwk = public_jwk(OUTSIDE) | {"kid": "k1", "use": "sig", "alg": "RS256"}

        async def fetch(url: str) -> bytes:
            assert url == "https://id.example/keys"
            return json.dumps({"keys": [jwk]}).encode()

        issuer = {
            "issuer": "https://id.example",
            "audience": "hx",
            "jwks_url": "https://id.example/keys",
            "role_claim": "groups",
            "roles": {"ml": "developer"},
        }
        settings = IdentitySettings.model_validate({"issuers": [issuer]})
        office = house.office(settings, fetch=fetch)
        await office.start()
        await Policies(office.store, house.clock).create(house.owner, "none", NOTHING)
        now = int(house.clock.now())
        claims = {"iss": "https://id.example", "aud": "hx", "sub": "ada", "iat": now}
        claims |= {"exp": now + 60, "groups": ["ml", "all"], "email_verified": True}
        key = load_private_key(OUTSIDE)
        caller = _who(
            await office.verify_token(jwt.encode(claims, key, "RS256", headers={"kid": "k1"}))
        )
        assert (caller.organization, caller.project) == (
            house.caller.organization, house.caller.project,
        )  # fmt: skip
        assert "model:invoke" in caller.permissions
        assert caller.subject == caller.key
        assert caller.policies
        assert caller.claims == {
            "aud=hx", "email_verified=true", "groups=all", "groups=ml",
            "iss=https://id.example", "sub=ada",
        }  # fmt: skip

    async def test_every_verdict_names_who_it_is_about_and_its_limits(self, house: House) -> None:
        limit = {"name": "requests_per_minute", "per": ["key"], "amount": 10}
        tree = {"tiers": {"tin": {"limits": [limit], "weight": 2}}, "default_tier": "tin"}
        office = house.office(limits=LimitsSettings.model_validate(tree))
        await office.start()
        caller = _who(await office.verify(house.digest))
        assert [quota.amount for quota in caller.quotas] == [10]
        assert (caller.share, caller.subject) == (Share(2.0), "")
        robots = ServiceAccounts(office.store, house.keys(office.store), house.clock)
        made = await robots.create(house.owner, caller.project, "robot", KeyWish("robot"))
        wire = made.issued.secret.reveal()
        robot = _who(await office.verify(digest(wire)))
        assert robot.subject == made.account.id
        limits = Limits(office.store, Tiers(LimitsSettings.model_validate(tree)), house.clock)
        wish = LimitWish(Scope.USER, robot.subject, LimitName.REQUESTS_PER_MINUTE, 50, ("key",))
        row = await limits.create(house.owner, wish)
        assert [quota.amount for quota in _who(await office.verify(digest(wire))).quotas] == [50]
        grant = {"grant_type": "client_credentials", "client_id": robot.subject}
        token = await self._token(office, {**grant, "client_secret": wire})
        by_token = _who(await office.verify_token(token))
        assert (by_token.subject, by_token.key) == (robot.subject, robot.key)
        assert [quota.amount for quota in by_token.quotas] == [50]
        assert by_token.share == Share(2.0)
        await limits.delete(house.owner, row.id)
        assert [quota.amount for quota in _who(await office.verify_token(token)).quotas] == [10]

    async def _token(self, office: Office, grant: dict[str, str]) -> str:
        call = DeskCall("token.grant", None, json.dumps(grant).encode())
        token: str = json.loads((await office.desk.answer(call)).body)["access_token"]
        return token

    async def test_with_the_store_away_every_question_says_so(self, house: House) -> None:
        class Away:
            async def find(self, mac: bytes) -> None:
                raise Unavailable(Refusal.AUTH_UNAVAILABLE, "Away.")

            async def revision(self) -> int:
                raise Unavailable(Refusal.AUTH_UNAVAILABLE, "Away.")

        office = house.office(keys=Away())
        with pytest.raises(Unavailable):
            await office.verify(house.digest)
        with pytest.raises(Unavailable):
            await office.revision()


class TestNews:
    async def test_a_limit_is_in_force_at_every_ingress_once_it_learns_of_it(
        self, house: House
    ) -> None:
        one, two = house.office(), house.office()
        limits = Limits(one.store, Tiers(LimitsSettings()), house.clock)
        text = house.first.project.reveal()
        async with at_work(one, two):
            ingresses = [
                (Authenticator(office, SETTINGS, house.clock, NullSignals()), office)
                for office in (one, two)
            ]
            for ingress, _ in ingresses:
                assert (await ingress.authenticate(text)).quotas == ()
            wish = LimitWish(Scope.ORGANIZATION, None, LimitName.CONCURRENT_REQUESTS, 8)
            row = await limits.create(house.owner, wish)
            for ingress, office in ingresses:
                ingress.learn_revision(await office.changed(ingress.revision, 5.0))
                assert ingress.cached(text) is None
                assert (await ingress.authenticate(text)).quotas == (row.quota,)

    async def test_a_revoked_key_is_refused_by_every_ingress_once_it_learns_of_it(
        self, house: House
    ) -> None:
        one, two = house.office(), house.office()
        async with at_work(one, two):
            ingresses = [
                Authenticator(office, SETTINGS, house.clock, NullSignals()) for office in (one, two)
            ]
            text = house.first.project.reveal()
            for ingress in ingresses:
                assert await ingress.authenticate(text)
                assert ingress.cached(text)
            await house.keys(one.store).revoke(house.owner, house.caller.project, house.caller.key)
            for ingress, office in zip(ingresses, (one, two), strict=True):
                ingress.learn_revision(await office.changed(ingress.revision, 5.0))
                assert ingress.cached(text) is None
                with pytest.raises(Unauthenticated):
                    await ingress.authenticate(text)

    async def test_a_store_that_went_back_is_noticed(self, house: House) -> None:
        class Going:
            def __init__(self) -> None:
                self.revisions = [5, 3]

            async def revision(self) -> int:
                return self.revisions.pop(0)

        office = house.office(keys=Going())
        assert await office.revision() == 5
        assert await office.revision() == 3


class TestDuties:
    async def test_signing_keys_are_made_in_time_by_one_office(self, house: House) -> None:
        offices = [house.office(), house.office()]
        for office in offices:
            await office.start()
        house.clock.advance(SETTINGS.tokens.signing_key_s - 1)
        await asyncio.gather(*(office.duties() for office in offices))
        assert await events(house.stores, EventName.SIGNING_KEY_CREATE) == 2

    async def test_they_are_done_again_and_again_and_their_failures_are_logged(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        failures: list[Exception] = [
            Unavailable(Refusal.AUTH_UNAVAILABLE, "Away."),
            ZeroDivisionError("a bug"),
        ]
        done = asyncio.Event()

        class Purge:
            async def run(self, now: float) -> int:
                assert now == house.clock.now()
                if failures:
                    raise failures.pop(0)
                done.set()
                return 0

        office = house.office(purge=Purge())
        await office.start()
        with caplog.at_level(logging.WARNING):
            async with at_work(office), asyncio.timeout(5.0):
                await done.wait()
        assert "the identity store's upkeep waits: Away." in caplog.messages
        assert "ZeroDivisionError" in caplog.text

    async def test_last_uses_are_written_down(self, house: House) -> None:
        await house.office().touch({house.caller.key: house.clock.now()})

        async def look(unit: Unit) -> float | None:
            found = (await unit.key(house.caller.organization, house.caller.key)).key
            return None if found is None else found.last_used_at

        assert await house.stores.units.read(look) == house.clock.now()


async def test_since_when_the_signing_key_signs_is_told(house: House) -> None:
    signals = RecordingSignals()
    office = house.office(signals=signals)
    await office.start()
    assert signals.gauges[Metric.SIGNING_KEY_SINCE, ()] == house.clock.now()
