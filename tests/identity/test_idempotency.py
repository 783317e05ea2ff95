from __future__ import annotations

import asyncio

import pytest

from helixflow.crypto.master_key import MasterKey
from helixflow.errors import Conflict, InvalidRequest
from helixflow.identity.api_keys import ApiKeys, KeyWish
from helixflow.identity.events import Actor
from helixflow.identity.idempotency import Answer, Once
from helixflow.identity.ports import Store
from helixflow.identity.projects import Projects
from helixflow.storage.prepare import Stores
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import PEPPER
from helixflow.testing.store import add_tenant

RING = MasterKey(b"m" * 32)
CLOCK = ManualClock()


async def setting(stores: Stores) -> tuple[Once, Actor]:
    organization, _ = await add_tenant(stores.units)
    return Once(stores.units, RING, CLOCK), Actor(organization.id, "key_1")


async def test_a_repeated_request_gets_the_same_answer_and_changes_nothing(
    stores: Stores,
) -> None:
    once, actor = await setting(stores)

    async def create(store: Store) -> Answer:
        project = await Projects(store, CLOCK).create(actor, "one")
        return Answer(201, project.id.encode())

    answers = await asyncio.gather(*(once.run(actor, "k", b"POST", create) for _ in range(4)))
    assert len({answer.body for answer in answers}) == 1
    assert sorted(answer.repeated for answer in answers) == [False, True, True, True]
    assert len((await Projects(stores.units, CLOCK).page(actor)).items) == 2
    assert await stores.keys.revision() == 1


async def test_a_key_belongs_to_one_request_and_one_caller(stores: Stores) -> None:
    once, actor = await setting(stores)

    async def answer(store: Store) -> Answer:
        return Answer(200, b"first")

    async def other(store: Store) -> Answer:
        return Answer(200, b"second")

    await once.run(actor, "k", b"one", answer)
    with pytest.raises(Conflict, match="another request"):
        await once.run(actor, "k", b"two", answer)
    colleague = Actor(actor.organization, "key_2")
    assert (await once.run(colleague, "k", b"two", other)).body == b"second"
    _, stranger = await setting(stores)
    assert (await once.run(stranger, "k", b"two", other)).body == b"second"
    for key in ("", "x" * 256):
        with pytest.raises(InvalidRequest):
            await once.run(actor, key, b"one", answer)
    assert not (await once.run(actor, "\ud800\x00", b"one", answer)).repeated


async def test_a_change_that_fails_is_not_remembered(stores: Stores) -> None:
    once, actor = await setting(stores)
    attempts = 0

    async def flaky(store: Store) -> Answer:
        nonlocal attempts
        attempts += 1
        project = await Projects(store, CLOCK).create(actor, f"try {attempts}")
        await Projects(store, CLOCK).create(actor, "" if attempts == 1 else "second")
        return Answer(201, project.id.encode())

    with pytest.raises(InvalidRequest):
        await once.run(actor, "k", b"POST", flaky)
    await once.run(actor, "k", b"POST", flaky)
    names = [project.name for project in (await Projects(stores.units, CLOCK).page(actor)).items]
    assert set(names) == {"a test's tenant", "try 2", "second"}


async def test_a_remembered_secret_is_sealed(stores: Stores) -> None:
    once, actor = await setting(stores)

    async def create(store: Store) -> Answer:
        issued = await ApiKeys(store, PEPPER, CLOCK).create(actor, None, KeyWish("ops"))
        return Answer(200, issued.secret.reveal().encode())

    answer = await once.run(actor, "k", b"POST", create)
    (held,) = await stores.units.read(lambda unit: unit.answered.where(actor.organization))
    assert answer.body not in held.body
    assert (await once.run(actor, "k", b"POST", create)).body == answer.body
