from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from helixflow.crypto.master_key import MasterKey
from helixflow.crypto.passwords import Passwords
from helixflow.crypto.rsa import new_private_key, public_jwk
from helixflow.crypto.secret import Secret
from helixflow.errors import Forbidden, InvalidRequest, NotFound, Refusal, Unauthenticated
from helixflow.identity.access_tokens import sign
from helixflow.identity.api_keys import ApiKeys, KeyWish
from helixflow.identity.authenticator import Authenticator
from helixflow.identity.events import Actor, EventName
from helixflow.identity.grants import Grants
from helixflow.identity.issuers import OutsideAuthority, OutsideIssuer
from helixflow.identity.login import Login
from helixflow.identity.permissions import INFERENCE, ROLE_PERMISSIONS, Role
from helixflow.identity.ports import Verdict
from helixflow.identity.projects import Projects
from helixflow.identity.service_accounts import NewAccount, ServiceAccounts
from helixflow.identity.signing_keys import Signer, SigningKeys
from helixflow.identity.token_authority import TokenAuthority
from helixflow.identity.tokens import Tokens
from helixflow.identity.users import Users
from helixflow.settings import IdentitySettings, TokenSettings
from helixflow.signals import NullSignals
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import PEPPER, StaticAuthority
from helixflow.testing.store import add_tenant

RING = MasterKey(b"m" * 32)
SETTINGS = TokenSettings(issuer="https://helix.example", audience="helix")
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = Secret("correct horse battery")
STRANGER = new_private_key()


class Office:
    """A tenant with tokens."""

    def __init__(self, stores: Stores, actor: Actor, project: Any) -> None:
        self.stores, self.actor, self.project = stores, actor, project
        self.clock = ManualClock()
        self.keys = ApiKeys(stores.units, PEPPER, self.clock)
        self.accounts = ServiceAccounts(stores.units, self.keys, self.clock)
        self.users = Users(stores.units, self.clock)
        self.signing = SigningKeys(stores.units, RING, SETTINGS, self.clock)
        self.passwords = Passwords(hasher=CHEAP)
        self.login = Login(stores.units, self.passwords, self.clock)
        self.grants = Grants(
            stores.units, stores.keys, self.signing, self.login, PEPPER, SETTINGS, self.clock
        )
        self.authority = TokenAuthority(stores.units, self.signing, SETTINGS, self.clock)

    async def robot(self, wish: KeyWish | None = None) -> NewAccount:
        return await self.accounts.create(self.actor, self.project, "robot", wish)

    async def robot_token(self, made: NewAccount) -> str:
        granted = await self.grants.client_credentials(made.account.id, made.issued.secret)
        return granted.access.reveal()

    async def ada(self, role: Role = Role.DEVELOPER) -> str:
        hashed = await self.passwords.hash(PASSWORD)
        user = await self.users.create(self.actor, "ada@example.org", "Ada", role, hashed)
        return user.id

    async def sign_in(self, scopes: list[str] | None = None) -> Any:
        return await self.grants.password(
            self.actor.organization, self.project, "Ada@example.org", PASSWORD, scopes
        )

    async def reason(self, token: str) -> Refusal | None:
        refused = (await self.authority.verify(token)).refused
        return None if refused is None else refused.reason

    async def events(self) -> list[EventName]:
        return [outgoing.event.name for outgoing in await self.stores.outbox.head(100)]


@pytest.fixture
async def office(stores: Stores) -> Office:
    organization, project = await add_tenant(stores.units)
    actor = Actor(organization.id, "user_owner", ROLE_PERMISSIONS[Role.OWNER])
    office = Office(stores, actor, project.id)
    await office.signing.ensure(actor)
    return office


async def test_a_service_accounts_token_is_the_account_within_its_keys_limits(
    office: Office,
) -> None:
    end = office.clock.now() + 100
    made = await office.robot(KeyWish("k", models=["a"], cidrs=["10.0.0.0/8"], expires_at=end))
    granted = await office.grants.client_credentials(
        made.account.id, made.issued.secret, ["model:invoke"]
    )
    assert granted.refresh is None
    assert granted.expires_in_s == 900
    verdict = await office.authority.verify(granted.access.reveal())
    caller = verdict.principal
    assert caller is not None
    assert (caller.project, caller.key) == (office.project, made.issued.key.id)
    assert (caller.permissions, caller.models) == ({"model:invoke"}, {"a"})
    assert (verdict.cidrs, verdict.expires_at) == (("10.0.0.0/8",), end)
    office.clock.advance(100)
    assert await office.reason(granted.access.reveal()) is Refusal.EXPIRED_API_KEY


async def test_a_token_is_what_other_libraries_expect(office: Office) -> None:
    text = await office.robot_token(await office.robot())
    header = jwt.get_unverified_header(text)
    (jwk,) = (await office.signing.jwks())["keys"]
    assert header == {"alg": "RS256", "typ": "at+jwt", "kid": jwk["kid"]}
    claims = jwt.decode(
        text,
        jwt.PyJWK(jwk),
        algorithms=["RS256"],
        audience="helix",
        issuer="https://helix.example",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert {"iss", "aud", "sub", "org", "project", "scope", "jti", "iat", "exp"} <= set(claims)
    assert claims["exp"] - claims["iat"] == 900
    assert "d" not in jwk


@pytest.mark.parametrize("how", ["revoke", "disable", "archive"])
async def test_a_token_ends_with_what_it_stands_on(office: Office, how: str) -> None:
    made = await office.robot()
    token = await office.robot_token(made)
    before = (await office.authority.verify(token)).revision
    if how == "revoke":
        await office.keys.revoke(office.actor, office.project, made.issued.key.id)
    elif how == "disable":
        await office.accounts.disable(office.actor, office.project, made.account.id)
    else:
        await Projects(office.stores.units, office.clock).archive(office.actor, office.project)
    verdict = await office.authority.verify(token)
    assert verdict.principal is None
    assert verdict.revision == before + 1
    with pytest.raises(Unauthenticated):
        await office.robot_token(made)


async def test_client_credentials_that_do_not_fit_are_refused(office: Office) -> None:
    made, other = await office.robot(), await office.robot()
    admin = await office.keys.create(office.actor, None, KeyWish("admin"))
    for client, secret in (
        (other.account.id, made.issued.secret),
        (made.account.id, Secret("hx-svc-wrong")),
        ("", made.issued.secret),
        (admin.key.id, admin.secret),
    ):
        with pytest.raises(Unauthenticated):
            await office.grants.client_credentials(client, secret)
    with pytest.raises(InvalidRequest):
        await office.grants.client_credentials(made.account.id, made.issued.secret, ["key:create"])


async def test_a_users_token_has_what_the_roles_give_today(office: Office) -> None:
    ada = await office.ada()
    token = (await office.sign_in()).access.reveal()
    caller = (await office.authority.verify(token)).principal
    assert caller is not None
    assert caller.permissions == ROLE_PERMISSIONS[Role.DEVELOPER]
    await office.users.set_role(office.actor, ada, None, Role.VIEWER)
    caller = (await office.authority.verify(token)).principal
    assert caller is not None
    assert caller.permissions == (ROLE_PERMISSIONS[Role.VIEWER] & ROLE_PERMISSIONS[Role.DEVELOPER])
    await office.users.disable(office.actor, ada)
    assert await office.reason(token) is Refusal.INVALID_API_KEY


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(office: Office) -> None:
    await office.ada()
    first = await office.sign_in(["model:invoke"])
    assert first.refresh is not None
    second = await office.grants.refresh(first.refresh)
    assert second.refresh is not None
    assert second.scopes == {"model:invoke"}
    third = await office.grants.refresh(second.refresh)
    assert third.refresh is not None
    with pytest.raises(Unauthenticated):
        await office.grants.refresh(second.refresh)
    with pytest.raises(Unauthenticated):
        await office.grants.refresh(third.refresh)
    for granted in (first, second, third):
        assert await office.reason(granted.access.reveal()) is Refusal.INVALID_API_KEY
    assert (await office.events()).count(EventName.TOKEN_REUSE) == 1


async def test_a_family_does_not_outlive_its_first_token(office: Office) -> None:
    await office.ada()
    first = await office.sign_in()
    office.clock.advance(SETTINGS.refresh_s - 1)
    await office.signing.ensure(office.actor)
    second = await office.grants.refresh(first.refresh)
    office.clock.advance(1)
    with pytest.raises(Unauthenticated):
        await office.grants.refresh(second.refresh)


async def test_a_disabled_user_gets_no_further_token(office: Office) -> None:
    ada = await office.ada()
    first = await office.sign_in()
    await office.users.disable(office.actor, ada)
    with pytest.raises(Unauthenticated):
        await office.grants.refresh(first.refresh)
    with pytest.raises(Unauthenticated):
        await office.sign_in()


async def test_tokens_can_be_revoked_and_unknown_ones_are_no_error(office: Office) -> None:
    await office.ada()
    granted = await office.sign_in()
    robot = await office.robot_token(await office.robot())
    for token in (granted.refresh, Secret(robot), Secret(robot), Secret("x"), Secret("ey.a.b")):
        await office.grants.revoke(token)
    assert await office.reason(granted.access.reveal()) is Refusal.INVALID_API_KEY
    assert await office.reason(robot) is Refusal.INVALID_API_KEY
    assert (await office.events()).count(EventName.TOKEN_REVOKE) == 2


async def test_a_sign_in_without_a_role_in_the_project_is_forbidden(office: Office) -> None:
    ada = await office.ada()
    await office.users.leave(office.actor, ada, None)
    with pytest.raises(Forbidden):
        await office.sign_in()


async def test_an_expired_or_a_future_token_is_refused_beyond_the_leeway(office: Office) -> None:
    token = await office.robot_token(await office.robot())
    office.clock.advance(900 + 29)
    assert await office.reason(token) is None
    office.clock.advance(1)
    assert await office.reason(token) is Refusal.EXPIRED_API_KEY
    office.clock.set_wall(1_700_000_000.0 - 31)
    assert await office.reason(token) is Refusal.INVALID_API_KEY


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def _forgeries(office: Office) -> dict[str, str]:
    token = await office.robot_token(await office.robot())
    header, payload, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    (jwk,) = (await office.signing.jwks())["keys"]
    kid = jwk["kid"]
    stranger = Signer(kid, STRANGER)
    now = office.clock.now()
    signer = await office.signing.signer()

    def headed(**changes: Any) -> str:
        return jwt.encode(claims, STRANGER, "RS256", {"kid": kid, **changes})

    def ours(**changes: Any) -> str:
        return jwt.encode({**claims, **changes}, signer.key, "RS256", {"kid": kid})

    none = _b64(json.dumps({"alg": "none", "kid": kid}).encode())
    public_pem = jwt.PyJWK(jwk).key.public_bytes(*_spki())
    hs = _b64(json.dumps({"alg": "HS256", "kid": kid}).encode())
    confused = f"{hs}.{payload}"
    mac = hmac.new(public_pem, confused.encode(), hashlib.sha256).digest()
    return {
        "alg none": f"{none}.{payload}.",
        "alg none with a signature": f"{none}.{payload}.{signature}",
        "a public key as an HMAC secret": f"{confused}.{_b64(mac)}",
        "no signature": f"{header}.{payload}.",
        "a changed payload": f"{header}.{_b64(json.dumps({**claims, 'org': 'x'}).encode())}.{signature}",
        "a stranger's key": sign(stranger, claims, SETTINGS, now),
        "a key that it brings along": headed(jwk=public_jwk(STRANGER)),
        "a key set elsewhere": headed(jku="https://evil.example/jwks.json"),
        "a kid that is a path": headed(kid="../../../../dev/null"),
        "a kid that is SQL": headed(kid="' OR '1'='1"),
        "a kid that is too long": headed(kid="k" * 300),
        "an unknown kid": headed(kid="unknown"),
        "a critical extension": headed(crit=["exp"], exp=1),
        "RS512": jwt.encode(claims, signer.key, "RS512", {"kid": kid}),
        "another issuer": ours(iss="https://evil.example"),
        "another audience": ours(aud="other"),
        "no audience": ours(aud=None),
        "a list of audiences without ours": ours(aud=["a", "b"]),
        "no expiry": ours(exp=None),
        "an expiry that is text": ours(exp="9999999999"),
        "an expiry that is true": ours(exp=True),
        "an endless expiry": ours(exp=1e300),
        "not before tomorrow": ours(nbf=now + 86_400),
        "a subject that is a list": ours(sub=["a"]),
        "a scope that is a list": ours(scope=["model:invoke"]),
        "another organization": ours(org="org_other"),
        "an organization with a NUL": ours(org="\x00"),
        "another key": ours(key="key_other"),
        "no key and no family": ours(key="", family=""),
        "dots": "ey..",
        "nonsense": "ey!.ey!.!",
        "deep nesting": "ey" + _b64(b'{"a":' * 3000) + ".e30.",
    }


def _spki() -> tuple[Any, Any]:
    return Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


async def test_no_forgery_is_accepted(office: Office) -> None:
    for what, token in (await _forgeries(office)).items():
        verdict = await office.authority.verify(token)
        assert verdict.principal is None, what
        assert verdict.refused is not None
        assert verdict.refused.message == "The access token is not valid.", what


async def test_rotation_overlaps_and_revocation_does_not(office: Office) -> None:
    made = await office.robot()
    old = await office.robot_token(made)
    office.clock.advance(1)
    fresh = await office.signing.rotate(office.actor)
    new = await office.robot_token(made)
    assert jwt.get_unverified_header(new)["kid"] == fresh.id
    assert await office.reason(old) is None
    old_kid = jwt.get_unverified_header(old)["kid"]
    await office.signing.revoke(office.actor, old_kid)
    await office.signing.revoke(office.actor, old_kid)
    assert await office.reason(old) is Refusal.INVALID_API_KEY
    assert await office.reason(new) is None
    assert [jwk["kid"] for jwk in (await office.signing.jwks())["keys"]] == [fresh.id]
    with pytest.raises(NotFound):
        await office.signing.revoke(office.actor, "unknown")


async def test_the_next_key_is_published_before_it_signs_and_the_last_after(
    office: Office,
) -> None:
    clock, signing = office.clock, office.signing
    first = (await signing.signer()).kid
    clock.advance(SETTINGS.signing_key_s - 2 * SETTINGS.signing_ahead_s)
    for _ in range(3):
        await signing.ensure(office.actor)
    assert len((await signing.jwks())["keys"]) == 2
    assert (await signing.signer()).kid == first
    clock.advance(SETTINGS.signing_ahead_s)
    assert (await signing.signer()).kid != first
    clock.advance(SETTINGS.signing_ahead_s + SETTINGS.access_s)
    assert len((await signing.jwks())["keys"]) == 2
    clock.advance(SETTINGS.leeway_s)
    assert len((await signing.jwks())["keys"]) == 1


async def test_a_private_key_is_sealed_to_its_row(office: Office) -> None:
    keys = await office.stores.units.read(lambda unit: unit.signing_keys.where(None))
    (key,) = keys
    assert b"PRIVATE" not in key.private
    assert b"PRIVATE" in RING.unseal("signing-key", key.private, key.id.encode())
    assert "PRIVATE" not in repr(await office.signing.signer())


async def test_without_a_signing_key_no_token_is_made(office: Office) -> None:
    (jwk,) = (await office.signing.jwks())["keys"]
    await office.signing.revoke(office.actor, jwk["kid"])
    with pytest.raises(NotFound):
        await office.robot_token(await office.robot())
    await office.signing.ensure(office.actor)
    assert await office.robot_token(await office.robot())


async def test_an_ingress_knows_tokens_and_keys_alike(office: Office) -> None:
    asked = 0

    async def ask(token: str) -> Verdict:
        nonlocal asked
        asked += 1
        return await office.authority.verify(token)

    subject = Authenticator(
        StaticAuthority(), IdentitySettings(), office.clock, NullSignals(), 5.0, ask
    )
    token = await office.robot_token(await office.robot())
    caller = await subject.authenticate(token)
    assert caller.permissions == INFERENCE
    assert subject.cached(token) == caller
    assert await subject.authenticate(token) == caller
    assert asked == 1
    for refused in (token[:-4] + "AAAA", "ey.a", "ey" + "." * 3, "ey.." + "x" * 9000):
        with pytest.raises(Unauthenticated):
            await subject.authenticate(refused)
    assert asked == 2


async def test_a_password_must_be_right_and_a_lock_out_grows(office: Office) -> None:
    ada = await office.ada()
    organization = office.actor.organization
    wrong = Secret("wrong horse battery")
    messages = set()
    for email, password in (
        ("ada@example.org", wrong),
        ("nobody@example.org", PASSWORD),
        ("é@example.org", PASSWORD),
        ("ada@example.org", Secret("x" * 5000)),
    ):
        with pytest.raises(Unauthenticated) as caught:
            await office.login.check(organization, email, password)
        messages.add(caught.value.message)
    assert len(messages) == 1
    assert (await office.login.check(organization, "ada@example.org", PASSWORD)).failures == 0
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await office.login.check(organization, "ada@example.org", wrong)
    with pytest.raises(Unauthenticated):
        await office.login.check(organization, "ada@example.org", PASSWORD)
    assert (await office.events()).count(EventName.USER_LOCK) == 1
    office.clock.advance(1)
    with pytest.raises(Unauthenticated):
        await office.login.check(organization, "ada@example.org", wrong)
    office.clock.advance(1)
    with pytest.raises(Unauthenticated):
        await office.login.check(organization, "ada@example.org", PASSWORD)
    office.clock.advance(1)
    user = await office.login.check(organization, "ada@example.org", PASSWORD)
    assert (user.id, user.failures, user.locked_until) == (ada, 0, None)


async def test_an_attempt_that_a_lock_overtook_does_not_count_as_right(office: Office) -> None:
    """The password is right, but by the time that is known the user is locked."""
    user_id = await office.ada()
    organization = office.actor.organization
    held = await office.stores.units.read(lambda unit: unit.users.get(organization, user_id))
    assert held is not None
    locked = replace(held, locked_until=office.clock.now() + 60)

    class Overtaken(Passwords):
        async def verify(self, hashed: str | None, password: Secret) -> bool:
            await office.stores.units.write(lambda unit: unit.users.put(locked))
            return await super().verify(hashed, password)

    login = Login(office.stores.units, Overtaken(hasher=CHEAP), office.clock)
    with pytest.raises(Unauthenticated):
        await login.check(organization, "ada@example.org", PASSWORD)


async def test_a_token_goes_to_the_authority_that_it_names(office: Office) -> None:
    asked: list[str] = []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return json.dumps({"keys": [public_jwk(STRANGER) | {"kid": "k"}]}).encode()

    outside = OutsideIssuer(
        "https://other.example",
        "helix",
        "https://other.example/jwks",
        office.actor.organization,
        office.project,
        default_roles=frozenset({Role.DEVELOPER}),
    )
    tokens = Tokens(
        SETTINGS.issuer,
        office.authority,
        OutsideAuthority(office.stores.units, [outside], fetch, office.clock),
    )
    assert (await tokens.verify(await office.robot_token(await office.robot()))).principal
    assert (await tokens.verify("ey.no.token")).principal is None
    assert asked == []
    claims = {
        "iss": "https://other.example", "aud": "helix", "sub": "ada",
        "iat": office.clock.now(), "exp": office.clock.now() + 60,
    }  # fmt: skip
    theirs = jwt.encode(claims, STRANGER, "RS256", {"kid": "k"})
    assert (await tokens.verify(theirs)).principal is not None
    assert asked == ["https://other.example/jwks"]
