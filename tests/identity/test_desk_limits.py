"""The desk's operations on limits and on the organization, over real services on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from helixflow.errors import Conflict, Forbidden, InvalidRequest, NotFound, PreconditionFailed
from helixflow.identity.permissions import Role, permissions_of
from helixflow.settings import LimitsSettings
from helixflow.storage.prepare import Stores
from helixflow.testing.counter import Counter, open_counter

TIERS = LimitsSettings.model_validate(
    {
        "tiers": {
            "tin": {"limits": [{"name": "spend_per_day", "amount": 2.5}]},
            "gold": {"weight": 4, "service_class": "interactive"},
        },
        "default_tier": "tin",
    }
)


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
async def counter(stores: Stores) -> Counter:
    return await open_counter(stores, TIERS)


async def test_a_limit_lives_from_its_making_to_its_removal(counter: Counter) -> None:
    project = counter.begun.project
    made = await counter.answer(
        "limit.create", entity="project", entity_id=project, name="spend_per_month", amount=9.5,
        per=["model", "key"], model="m", hard=True,
    )  # fmt: skip
    limit = await counter.ask("limit.list", entity="project", entity_id=project)
    (one,) = limit["data"]
    assert one == {
        "object": "organization.limit", "id": one["id"], "entity": "project",
        "entity_id": project, "project_id": project, "name": "spend_per_month",
        "per": ["key", "model"], "amount": 9.5, "hard": True, "model": "m",
        "created_at": one["created_at"], "updated_at": one["created_at"],
    }  # fmt: skip
    where = {"limit_id": one["id"]}
    assert await counter.answer("limit.read", **where) == made
    with pytest.raises(PreconditionFailed):
        await counter.ask("limit.update", match='"x"', amount=1, **where)
    changed = await counter.answer("limit.update", match=made.etag, amount=1, **where)
    assert changed.etag != made.etag
    again = await counter.ask("limit.update", hard=False, **where)
    assert (again["amount"], again["hard"]) == (1, False)
    assert (await counter.ask("limit.delete", **where))["deleted"]
    with pytest.raises(NotFound):
        await counter.ask("limit.read", **where)
    assert (await counter.ask("limit.list"))["data"] == []


async def test_the_same_limit_under_the_same_key_is_made_once(counter: Counter) -> None:
    wish = {"entity": "organization", "name": "requests_per_day", "amount": 5}
    made = await counter.answer("limit.create", key="k", **wish)
    assert await counter.answer("limit.create", key="k", **wish) == made
    with pytest.raises(Conflict, match="another request"):
        await counter.ask("limit.create", key="k", **{**wish, "amount": 6})
    with pytest.raises(Conflict, match="exists already"):
        await counter.ask("limit.create", key="other", **wish)
    assert len((await counter.ask("limit.list"))["data"]) == 1


async def test_lists_of_limits_come_in_pages(counter: Counter) -> None:
    for number in range(3):
        counter.clock.advance(1)
        await counter.ask(
            "limit.create", entity="model", entity_id=f"m{number}", name="tokens_per_day", amount=1
        )
    first = await counter.ask("limit.list", entity="model", limit=2)
    assert [one["model"] for one in first["data"]] == ["m0", "m1"]
    rest = await counter.ask("limit.list", entity="model", after=first["last_id"])
    assert [one["model"] for one in rest["data"]] == ["m2"]
    assert (await counter.ask("limit.list", entity="key"))["data"] == []


async def test_a_project_s_admin_does_not_loosen_the_projects_limits(counter: Counter) -> None:
    user = (await counter.user(Role.VIEWER)).key
    project = counter.begun.project
    await counter.ask("project_user.create", project_id=project, user_id=user, role="admin")
    guest = counter.caller(user, permissions_of([Role.ADMIN]))
    rates = await counter.ask("project_rate_limit.list", guest, project_id=project, models=["m"])
    assert rates["data"][0]["id"] == "rl_m"
    with pytest.raises(Forbidden):
        await counter.ask(
            "project_rate_limit.update", guest, project_id=project, model="m",
            max_requests_per_1_minute=5,
        )  # fmt: skip


async def test_rates_are_listed_for_every_model_and_set_one_by_one(counter: Counter) -> None:
    where: dict[str, Any] = {"project_id": counter.begun.project}
    models = ["c", "a", "b"]
    changed = await counter.ask(
        "project_rate_limit.update", model="b", max_requests_per_1_day=7,
        max_tokens_per_1_minute=70, **where,
    )  # fmt: skip
    assert changed == {
        "object": "project.rate_limit", "id": "rl_b", "model": "b", "max_requests_per_1_day": 7,
        "max_requests_per_1_minute": None, "max_tokens_per_1_minute": 70,
    }  # fmt: skip
    listed = await counter.ask("project_rate_limit.list", models=models, limit=2, **where)
    assert ([one["model"] for one in listed["data"]], listed["has_more"]) == (["a", "b"], True)
    assert listed["data"][1] == changed
    after = await counter.ask("project_rate_limit.list", models=models, after="rl_b", **where)
    assert ([one["model"] for one in after["data"]], after["has_more"]) == (["c"], False)
    with pytest.raises(NotFound):
        await counter.ask("project_rate_limit.list", models=models, after="rl_x", **where)
    with pytest.raises(InvalidRequest):
        await counter.ask("project_rate_limit.list", models=models, limit=1000, **where)


async def test_the_organization_shows_and_takes_what_is_in_force(counter: Counter) -> None:
    read = await counter.answer("organization.read")
    shown = await counter.ask("organization.read")
    assert shown == {
        "object": "organization", "id": counter.begun.organization, "name": "Default",
        "created_at": shown["created_at"], "tier": "tin", "weight": 1.0,
        "service_class": "standard",
        "tier_limits": [
            {"name": "spend_per_day", "per": ["organization"], "amount": 2.5, "hard": False,
             "model": None},
        ],
    }  # fmt: skip
    changed = await counter.ask("organization.update", match=read.etag, tier="gold", weight=9)
    assert (changed["tier"], changed["weight"], changed["service_class"]) == (
        "gold", 9.0, "interactive",
    )  # fmt: skip
    with pytest.raises(PreconditionFailed):
        await counter.ask("organization.update", match=read.etag, name="late")
    back = await counter.ask("organization.update", weight=None, name="Acme")
    assert (back["name"], back["tier"], back["weight"]) == ("Acme", "gold", 4.0)
    auditor = replace(counter.admin, permissions=permissions_of([Role.AUDITOR]))
    assert (await counter.ask("organization.read", auditor))["name"] == "Acme"
    with pytest.raises(Forbidden):
        await counter.ask("organization.update", auditor, name="Mine")
