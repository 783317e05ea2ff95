"""What a request changed is told with its events: fields before and after, and where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from helixflow.identity.events import EventName
from helixflow.storage.prepare import Stores
from helixflow.testing.counter import Counter, open_counter

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def counter(stores: Stores) -> Counter:
    return await open_counter(stores)


async def details(stores: Stores, name: EventName) -> Mapping[str, str]:
    """Of the last event of this name."""
    events = [outgoing.event for outgoing in await stores.outbox.head(100)]
    return [event.detail for event in events if event.name is name][-1]


async def test_a_change_tells_the_fields_that_differ(counter: Counter, stores: Stores) -> None:
    project = await counter.ask("project.create", name="one")
    created = await details(stores, EventName.PROJECT_CREATE)
    assert created["name.after"] == "one"
    await counter.ask("project.update", project_id=project["id"], name="two")
    told = await details(stores, EventName.PROJECT_UPDATE)
    assert {name: told[name] for name in told if "." in name} == {
        "name.before": "one", "name.after": "two",
    }  # fmt: skip
    await counter.ask("project.archive", project_id=project["id"])
    archived = await details(stores, EventName.PROJECT_ARCHIVE)
    assert archived["archived_at.after"].isdigit()
    assert "archived_at.before" not in archived


async def test_a_role_is_told_with_the_member_and_a_name_with_the_person(
    counter: Counter, stores: Stores
) -> None:
    person = await counter.ask("user.create", email="ada@x.test", name="Ada", role="viewer")
    assert (await details(stores, EventName.USER_CREATE))["email.after"] == "ada@x.test"
    joined = await details(stores, EventName.MEMBER_CREATE)
    assert (joined["role.after"], "email.after" in joined) == ("viewer", False)
    await counter.ask("user.update", user_id=person["id"], role="developer")
    told = await details(stores, EventName.MEMBER_UPDATE)
    assert (told["role.before"], told["role.after"]) == ("viewer", "developer")
    await counter.ask("user.update", user_id=person["id"], name="Ada L.")
    told = await details(stores, EventName.USER_UPDATE)
    assert (told["name.before"], told["name.after"]) == ("Ada", "Ada L.")


async def test_who_is_removed_is_told_as_it_was(counter: Counter, stores: Stores) -> None:
    invited = await counter.ask("invite.create", email="eve@x.test", name="Eve", role="viewer")
    await counter.ask("invite.delete", invite_id=invited["id"])
    told = await details(stores, EventName.USER_DISABLE)
    assert told["email.before"] == "eve@x.test"
    assert "email.after" not in told


async def test_no_secret_is_told(counter: Counter, stores: Stores) -> None:
    where = {"project_id": counter.begun.project}
    person = await counter.ask(
        "user.create", email="ada@x.test", name="Ada", role="viewer", password=PASSWORD
    )
    await counter.ask("user.update", user_id=person["id"], password=PASSWORD + "!")
    made = await counter.ask("api_key.create", name="app", allowed_cidrs=["10.0.0.0/8"], **where)
    await counter.ask("api_key.rotate", key_id=made["id"], overlap_s=60, **where)
    await counter.ask("signing_key.rotate")
    assert (await details(stores, EventName.USER_UPDATE))["password.after"] == "changed"
    created = await details(stores, EventName.KEY_CREATE)
    assert created["cidrs.after"] == "10.0.0.0/8"
    assert created["permissions.after"] == "model:invoke, model:list, model:read"
    assert (await details(stores, EventName.KEY_ROTATE))["expires_at.after"].isdigit()
    told = json.dumps([dict(out.event.detail) for out in await stores.outbox.head(100)])
    for secret in (PASSWORD, made["value"], made["value"][:12], "argon2", "mac.", "BEGIN", "hint"):
        assert secret not in told


async def test_what_is_long_is_told_by_its_hash(counter: Counter, stores: Stores) -> None:
    source = "// " + "x" * 3000 + "\nforbid (principal, action, resource);"
    await counter.ask("policy.create", name="long", source=source)
    told = await details(stores, EventName.POLICY_CREATE)
    assert told["source.after"].startswith("sha256:")
    assert told["enabled.after"] == "true"


async def test_a_request_says_where_it_came_from(counter: Counter, stores: Stores) -> None:
    await counter.ask("project.create", name="one")
    told = await details(stores, EventName.PROJECT_CREATE)
    circumstances = {name for name in told if "." not in name}
    assert circumstances <= {"request_id", "source", "subject"}
    assert told["request_id"].startswith("req_")
    assert told["source"]


async def test_a_change_under_an_idempotency_key_is_told_the_same(
    counter: Counter, stores: Stores
) -> None:
    await counter.answer("project.create", key="k", name="one")
    told = await details(stores, EventName.PROJECT_CREATE)
    assert told["name.after"] == "one"
    assert all("answered" not in name and "body" not in name for name in told)
