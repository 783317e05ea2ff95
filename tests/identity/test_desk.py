"""The desk over real services on SQLite and PostgreSQL: who reaches what, and what is done once."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from helixflow.crypto.passwords import Passwords
from helixflow.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Refusal,
    Refused,
    Unauthenticated,
)
from helixflow.identity.desk import Desk
from helixflow.identity.events import EventName
from helixflow.identity.login import FREE_FAILURES
from helixflow.identity.permissions import Role, permissions_of
from helixflow.identity.quotas import Tiers
from helixflow.identity.signing_keys import SigningKeys
from helixflow.ids import KeyId
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.settings import LimitsSettings, TokenSettings
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.counter import RING, SOURCE, Counter, open_counter
from helixflow.testing.store import add_tenant

PASSWORD = "correct horse battery staple"
FORBID = "forbid (principal, action, resource);"


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
async def counter(stores: Stores) -> Counter:
    return await open_counter(stores)


async def test_a_project_lives_from_its_making_to_its_archiving(counter: Counter) -> None:
    made = await counter.answer("project.create", name="one")
    project = json.loads(made.body)
    where = {"project_id": project["id"]}
    assert (project["object"], project["status"]) == ("organization.project", "active")
    assert await counter.answer("project.read", **where) == made
    with pytest.raises(PreconditionFailed):
        await counter.ask("project.update", name="two", match='"x"', **where)
    changed = await counter.answer("project.update", name="two", match=made.etag, **where)
    assert changed.etag != made.etag
    assert (await counter.ask("project.archive", **where))["status"] == "archived"
    with pytest.raises(Conflict):
        await counter.ask("api_key.create", name="late", **where)
    listed = await counter.ask("project.list", limit=1)
    assert listed["has_more"]
    rest = await counter.ask("project.list", after=listed["last_id"])
    assert [one["id"] for one in rest["data"]] == [project["id"]]


async def test_the_same_change_under_the_same_key_happens_once(counter: Counter) -> None:
    where = {"project_id": counter.begun.project}
    answers = await asyncio.gather(
        *(counter.answer("api_key.create", key="k", name="app", **where) for _ in range(3))
    )
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].etag
    assert "value" in json.loads(answers[0].body)
    assert len((await counter.ask("api_key.list", **where))["data"]) == 2
    with pytest.raises(Conflict, match="another request"):
        await counter.ask("api_key.create", key="k", name="other", **where)


async def test_a_keys_text_is_in_its_first_answer_alone(counter: Counter) -> None:
    where = {"project_id": counter.begun.project}
    made = await counter.ask("api_key.create", name="app", **where)
    rotated = await counter.ask("api_key.rotate", key_id=made["id"], overlap_s=60, **where)
    account = await counter.ask("service_account.create", name="robot", **where)
    second = await counter.ask(
        "api_key.create", name="second", service_account_id=account["id"], **where
    )
    admin = await counter.ask("admin_api_key.create", name="ops")
    texts = {
        made["value"], rotated["value"], account["api_key"]["value"], second["value"],
        admin["value"],
    }  # fmt: skip
    assert len(texts) == 5
    shown = [
        await counter.answer("api_key.list", **where),
        await counter.answer("api_key.read", key_id=second["id"], **where),
        await counter.answer("admin_api_key.list"),
        await counter.answer("admin_api_key.read", key_id=admin["id"]),
        await counter.answer("service_account.list", **where),
        await counter.answer("service_account.read", service_account_id=account["id"], **where),
    ]
    for answer in shown:
        assert b'"value"' not in answer.body
        assert not [text for text in texts if text.encode() in answer.body]
    assert second["owner"] == {"type": "service_account", "id": account["id"]}


async def test_a_key_is_changed_in_what_is_given_alone(counter: Counter) -> None:
    where: dict[str, Any] = {"project_id": counter.begun.project}
    made = await counter.answer(
        "api_key.create", name="app", allowed_models=["m"], allowed_cidrs=["10.0.0.0/8"], **where
    )
    where["key_id"] = json.loads(made.body)["id"]
    changed = await counter.ask("api_key.update", match=made.etag, name="renamed", **where)
    assert (changed["name"], changed["allowed_models"]) == ("renamed", ["m"])
    changed = await counter.ask("api_key.update", allowed_models=None, **where)
    assert (changed["allowed_models"], changed["allowed_cidrs"]) == (None, ["10.0.0.0/8"])
    assert (await counter.ask("api_key.delete", **where))["deleted"]
    with pytest.raises(Conflict):
        await counter.ask("api_key.update", name="again", **where)


async def test_accounts_and_admin_keys_are_ended(counter: Counter) -> None:
    where = {"project_id": counter.begun.project}
    account = await counter.ask("service_account.create", name="robot", **where)
    one = {"service_account_id": account["id"], **where}
    assert (await counter.ask("service_account.delete", **one))["id"] == account["id"]
    assert (await counter.ask("service_account.read", **one))["disabled_at"]
    admin = await counter.ask("admin_api_key.create", name="ops", scopes=["user:read"])
    assert admin["scopes"] == ["user:read"]
    assert (await counter.ask("admin_api_key.delete", key_id=admin["id"]))["deleted"]


async def test_nobody_makes_an_admin_key_that_may_do_more_than_its_maker(
    counter: Counter,
) -> None:
    small = replace(counter.admin, permissions=frozenset({"organization:update", "user:read"}))
    made = await counter.ask("admin_api_key.create", small, name="ops")
    assert made["scopes"] == ["organization:update", "user:read"]
    with pytest.raises(Forbidden):
        await counter.ask("admin_api_key.create", small, name="ops", scopes=["user:create"])
    with pytest.raises(InvalidRequest):
        await counter.ask("admin_api_key.create", small, name="ops", scopes=["model:invoke"])
    for role in (Role.ADMIN, Role.DEVELOPER):
        person = await counter.user(role)
        with pytest.raises(Forbidden):
            await counter.ask("admin_api_key.create", person, name="mine")


async def test_a_role_in_one_project_reaches_no_further(counter: Counter) -> None:
    guest = await counter.user(Role.VIEWER)
    project = (await counter.ask("project.create", name="theirs"))["id"]
    member = await counter.ask(
        "project_user.create", user_id=guest.key, role="admin", project_id=project
    )
    assert member["role"] == "admin"
    there = counter.caller(guest.key, permissions_of([Role.ADMIN]), project)
    assert await counter.ask("api_key.create", there, name="k", project_id=project)
    for operation, arguments in (
        ("project.create", {"name": "more"}),
        ("user.create", {"email": "x@example.org", "role": "viewer"}),
        ("api_key.create", {"name": "k", "project_id": counter.begun.project}),
        ("policy.create", {"name": "p", "source": FORBID}),
    ):
        with pytest.raises(Forbidden):
            await counter.ask(operation, there, **arguments)
    outside = replace(there, key=KeyId("oidc_1"))
    assert await counter.ask("api_key.list", outside, project_id=project)
    with pytest.raises(Forbidden):
        await counter.ask("api_key.list", outside, project_id=counter.begun.project)
    with pytest.raises(Forbidden):
        await counter.ask("project.list", outside)


async def test_a_permission_that_was_taken_away_is_gone_at_once(counter: Counter) -> None:
    person = await counter.user(Role.ADMIN)
    await counter.ask("project.create", person, name="one")
    await counter.ask("user.update", user_id=person.key, role="viewer")
    with pytest.raises(Forbidden):
        await counter.ask("project.create", person, name="two")


async def test_members_come_and_go(counter: Counter) -> None:
    where: dict[str, Any] = {"project_id": counter.begun.project}
    people = [await counter.user(role) for role in (Role.VIEWER, Role.DEVELOPER)]
    for person in people:
        counter.clock.advance(1)
        await counter.ask("project_user.create", user_id=person.key, role="viewer", **where)
    with pytest.raises(Conflict):
        await counter.ask("project_user.create", user_id=people[0].key, role="viewer", **where)
    first = await counter.ask("project_user.list", limit=1, **where)
    assert (first["last_id"], first["has_more"]) == (people[0].key, True)
    rest = await counter.ask("project_user.list", after=people[0].key, **where)
    assert [one["id"] for one in rest["data"]] == [people[1].key]
    where["user_id"] = people[0].key
    seen = await counter.answer("project_user.read", **where)
    changed = await counter.ask("project_user.update", role="developer", match=seen.etag, **where)
    assert changed["role"] == "developer"
    with pytest.raises(PreconditionFailed):
        await counter.ask("project_user.update", role="admin", match=seen.etag, **where)
    await counter.ask("project_user.delete", **where)
    for operation in ("project_user.read", "project_user.delete"):
        with pytest.raises(NotFound):
            await counter.ask(operation, **where)
    with pytest.raises(NotFound):
        await counter.ask("project_user.list", after="user_x", project_id=counter.begun.project)


async def test_people_are_changed_and_switched_off(counter: Counter) -> None:
    person = await counter.user(Role.DEVELOPER, password=PASSWORD)
    seen = await counter.answer("user.read", user_id=person.key)
    changed = await counter.ask(
        "user.update", user_id=person.key, name="Ada", role="viewer", match=seen.etag
    )
    assert (changed["name"], changed["role"]) == ("Ada", "viewer")
    with pytest.raises(PreconditionFailed):
        await counter.ask("user.update", user_id=person.key, name="Eve", match=seen.etag)
    with pytest.raises(InvalidRequest):
        await counter.ask("user.update", user_id=person.key, password="short")
    assert (await counter.ask("user.delete", user_id=person.key))["deleted"]
    assert (await counter.ask("user.read", user_id=person.key))["disabled_at"]
    assert len((await counter.ask("user.list"))["data"]) == 2
    with pytest.raises(Conflict):
        await counter.user(Role.DEVELOPER)


async def test_an_admin_does_nothing_to_an_owner(counter: Counter) -> None:
    admin = await counter.user(Role.ADMIN)
    owner = (await counter.ask("user.list"))["data"][0]["id"]
    await counter.user(Role.OWNER)
    for operation, arguments in (
        ("user.update", {"password": PASSWORD}),
        ("user.update", {"role": "viewer"}),
        ("user.delete", {}),
        ("invite.delete", {}),
    ):
        named = (
            {"user_id": owner}
            if operation.startswith("user")
            else {"invite_id": owner.replace("user_", "invite_")}
        )
        with pytest.raises(Forbidden):
            await counter.ask(operation, admin, **named, **arguments)


async def test_another_password_ends_what_was_begun_with_the_first(counter: Counter) -> None:
    person = await counter.user(Role.DEVELOPER, password=PASSWORD)
    email = (await counter.ask("user.read", user_id=person.key))["email"]
    sign_in = {"grant_type": "password", "username": email}
    granted = await counter.ask("token.grant", **sign_in, password=PASSWORD)
    other = PASSWORD + "!"
    await counter.ask("user.update", user_id=person.key, password=other)
    for arguments in (
        {**sign_in, "password": PASSWORD},
        {"grant_type": "refresh_token", "refresh_token": granted["refresh_token"]},
    ):
        with pytest.raises(Unauthenticated):
            await counter.ask("token.grant", **arguments)
    granted = await counter.ask("token.grant", **sign_in, password=other, scope="model:list")
    assert granted["scope"] == "model:list"
    again = await counter.ask(
        "token.grant", grant_type="refresh_token", refresh_token=granted["refresh_token"]
    )
    assert await counter.ask("token.revoke", token=again["refresh_token"]) == {}


async def test_what_happens_at_the_open_doors_says_where_it_came_from(counter: Counter) -> None:
    person = await counter.user(Role.VIEWER, password=PASSWORD)
    sign_in = {"grant_type": "password", "username": "viewer-None@example.org"}
    granted = await counter.ask("token.grant", **sign_in, password=PASSWORD)
    await counter.ask("token.revoke", token=granted["refresh_token"])
    for _ in range(FREE_FAILURES):
        with pytest.raises(Unauthenticated):
            await counter.ask("token.grant", **sign_in, password="not the right one")
    told = {
        outgoing.event.name: dict(outgoing.event.detail)
        for outgoing in await counter.stores.outbox.head(100)
        if outgoing.event.actor == person.key
    }
    now = int(counter.clock.now())
    where = {"request_id": "req_1", "source": SOURCE}
    assert told.pop(EventName.TOKEN_GRANT).items() >= {
        "expires_at.after": str(now + granted["expires_in"]),
        "grant_type.after": "password",
        "scopes.after": granted["scope"].replace(" ", ", "),
        **where,
    }.items()  # fmt: skip
    assert told == {
        EventName.TOKEN_REVOKE: {"revoked_at.after": str(now), **where},
        EventName.USER_LOCK: {
            "failures.before": str(FREE_FAILURES - 1),
            "failures.after": str(FREE_FAILURES),
            "locked_until.after": str(now + 1),
            **where,
        },
    }


async def test_an_invited_person_chooses_a_password_once(counter: Counter) -> None:
    made = await counter.ask("invite.create", email="ada@example.org", role="developer")
    named = {"invite_id": made["id"]}
    assert "value" not in await counter.ask("invite.read", **named)
    assert [one["status"] for one in (await counter.ask("invite.list"))["data"]] == ["pending"] * 2
    accept = {"invitation": made["value"], "password": PASSWORD}
    assert (await counter.ask("invite.accept", **accept))["id"] == made["user_id"]
    with pytest.raises(Unauthenticated):
        await counter.ask("invite.accept", **accept)
    with pytest.raises(NotFound):
        await counter.ask("invite.read", **named)
    granted = await counter.ask(
        "token.grant", grant_type="password", username="ada@example.org", password=PASSWORD
    )
    assert granted["token_type"] == "Bearer"


async def test_an_invitation_ends(counter: Counter) -> None:
    made = await counter.ask("invite.create", email="ada@example.org", role="developer")
    late = await counter.ask("invite.create", email="eve@example.org", role="developer")
    rest = await counter.ask("invite.list", after=made["id"], limit=1)
    assert rest["object"] == "list"
    assert (await counter.ask("invite.delete", invite_id=made["id"]))["deleted"]
    counter.clock.advance(8 * 86_400)
    assert (await counter.ask("invite.read", invite_id=late["id"]))["status"] == "expired"
    for text in (made["value"], late["value"], "hx-inv-AAAA", "nonsense", "é", ""):
        with pytest.raises(Unauthenticated):
            await counter.ask("invite.accept", invitation=text, password=PASSWORD)
    with pytest.raises(NotFound):
        await counter.ask("invite.delete", invite_id="nothing")


async def test_policies_are_kept_and_explained(counter: Counter) -> None:
    made = await counter.answer("policy.create", name="none", source=FORBID)
    policy = json.loads(made.body)
    asked = {"project_id": counter.begun.project, "action": "model:invoke", "model": "big"}
    judged = await counter.ask("policy.explain", **asked, attributes={"region": "eu"})
    assert (judged["allowed"], judged["because"]) == (False, [policy["id"]])
    changed = await counter.ask(
        "policy.update", policy_id=policy["id"], enabled=False, match=made.etag
    )
    assert not changed["enabled"]
    assert (await counter.ask("policy.explain", **asked))["allowed"]
    for wrong in ({"object": "x"}, {"action": "key:read"}, {"attributes": {"nope": "x"}}):
        with pytest.raises(InvalidRequest):
            await counter.ask("policy.explain", **{**asked, **wrong})
    assert len((await counter.ask("policy.list"))["data"]) == 1
    assert (await counter.ask("policy.read", policy_id=policy["id"]))["source"] == FORBID
    assert (await counter.ask("policy.delete", policy_id=policy["id"]))["deleted"]


async def test_policies_narrow_administration_but_lock_nobody_out_of_mending_them(
    counter: Counter,
) -> None:
    source = 'forbid (principal, action == Action::"key:create", resource);'
    policy = await counter.ask("policy.create", name="freeze", source=source)
    where = {"project_id": counter.begun.project}
    for _ in range(2):
        with pytest.raises(Forbidden, match=policy["id"]):
            await counter.ask("api_key.create", name="k", **where)
    assert await counter.ask("api_key.list", **where)
    await counter.ask("policy.update", policy_id=policy["id"], source=FORBID)
    await counter.ask("policy.delete", policy_id=policy["id"])
    assert await counter.ask("api_key.create", name="k", **where)


async def test_signing_keys_belong_to_the_platform(counter: Counter) -> None:
    first = (await counter.ask("signing_key.list"))["data"][0]
    assert first["state"] == "signing"
    fresh = await counter.ask("signing_key.rotate", key="once")
    assert await counter.ask("signing_key.rotate", key="once") == fresh
    assert (await counter.ask("signing_key.revoke", kid=fresh["id"]))["state"] == "revoked"
    published = await counter.ask("jwks.read")
    assert [key["kid"] for key in published["keys"]] == [first["id"]]
    await counter.ask("signing_key.revoke", kid=first["id"])
    assert len((await counter.ask("jwks.read"))["keys"]) == 1
    with pytest.raises(NotFound):
        await counter.ask("signing_key.revoke", kid="nothing")
    counter.clock.advance(400 * 86_400)
    states = [one["state"] for one in (await counter.ask("signing_key.list"))["data"]]
    assert sorted(states) == ["expired", "revoked", "revoked"]
    organization, _ = await add_tenant(counter.stores.units)
    stranger = replace(counter.admin, organization=organization.id)
    assert await counter.ask("signing_key.list", stranger)
    with pytest.raises(Forbidden):
        await counter.ask("signing_key.rotate", stranger)


async def test_what_is_published_names_the_endpoints_and_the_roles(counter: Counter) -> None:
    told = await counter.ask("openid.read")
    assert told["jwks_uri"] == told["issuer"] + "/.well-known/jwks.json"
    roles = (await counter.ask("role.list"))["data"]
    assert [role["id"] for role in roles] == sorted(Role)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, Refusal.MISSING_PARAMETER),
        ({"grant_type": "client_credentials"}, Refusal.MISSING_PARAMETER),
        ({"grant_type": "implicit"}, Refusal.UNSUPPORTED_PARAMETER),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, Refusal.INVALID_API_KEY),
        (
            {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"},
            Refusal.INVALID_API_KEY,
        ),
        (
            {
                "grant_type": "password", "username": "x", "password": "y",
                "organization": "org_x", "project": "proj_x",
            },
            Refusal.INVALID_API_KEY,
        ),
    ],
)  # fmt: skip
async def test_a_request_for_a_token_that_does_not_do_is_refused(
    counter: Counter, arguments: dict[str, str], reason: Refusal
) -> None:
    with pytest.raises(Refused) as caught:
        await counter.ask("token.grant", **arguments)
    assert caught.value.reason is reason


async def test_a_key_gets_a_token(counter: Counter) -> None:
    account = await counter.ask(
        "service_account.create", name="robot", project_id=counter.begun.project
    )
    granted = await counter.ask(
        "token.grant",
        grant_type="client_credentials",
        client_id=account["id"],
        client_secret=account["api_key"]["value"],
    )
    assert granted["scope"] == "model:invoke model:list model:read"
    assert await counter.ask("token.revoke", token=granted["access_token"]) == {}


async def test_another_tenants_things_look_like_missing_ones(counter: Counter) -> None:
    organization, _ = await add_tenant(counter.stores.units)
    stranger = replace(counter.admin, organization=organization.id)
    for project in (counter.begun.project, "proj_nothing", "\x00", "x" * 300):
        with pytest.raises(NotFound) as caught:
            await counter.ask("api_key.list", stranger, project_id=project)
        assert caught.value.message == "There is no such project."


async def test_what_is_no_call_is_refused(counter: Counter) -> None:
    with pytest.raises(NotFound):
        await counter.ask("nothing.at_all")
    with pytest.raises(InvalidRequest):
        await counter.ask("project.create", name="x", organization="org_other")


class Faulty(SigningKeys):
    """Signing keys that break."""

    async def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """See `SigningKeys.jwks`."""
        raise ZeroDivisionError("a secret detail")


async def test_a_fault_of_ours_is_logged_and_told_to_nobody(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    desk = Desk(
        store=stores.units,
        keys=stores.keys,
        ring=RING,
        settings=TokenSettings(),
        clock=clock,
        tiers=Tiers(LimitsSettings()),
        signing=Faulty(stores.units, RING, TokenSettings(), clock),
        passwords=Passwords(),
    )
    call = DeskCall("jwks.read", None, request_id="req_7")
    with caplog.at_level(logging.ERROR):
        wire = await desk.handle(call.to_wire())
    with pytest.raises(Refused, match="req_7") as caught:
        DeskAnswer.from_wire(wire)
    assert caught.value.reason is Refusal.INTERNAL_ERROR
    assert "secret detail" not in caught.value.message
    assert "req_7" in caplog.text
