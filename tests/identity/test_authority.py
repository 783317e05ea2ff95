from __future__ import annotations

from dataclasses import replace

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.identity.authority import KeyAuthority, judge
from helixflow.identity.keys import KeyKind, digest, mint
from helixflow.identity.ports import Found, StoredKey, Verdict
from helixflow.ids import mint_organization_id, mint_project_id
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import PEPPER, MemoryKeyStore, some_key

MADE = mint(KeyKind.PROJECT)
KEY = some_key(mint_organization_id(), mint_project_id(), MADE)


async def verdict_on(
    key: StoredKey, clock: ManualClock | None = None, *, disabled: bool = False
) -> Verdict:
    store = MemoryKeyStore()
    store.put(key)
    if disabled:
        store.disabled.add(key.id)
    authority = KeyAuthority(store, PEPPER, clock or ManualClock())
    return await authority.verify(MADE.digest)


async def test_a_valid_key_is_its_project_with_its_permissions() -> None:
    verdict = await verdict_on(replace(KEY, models=frozenset({"a"})))
    assert verdict.refused is None
    assert verdict.revision == 1
    assert verdict.expires_at is None
    caller = verdict.principal
    assert caller is not None
    assert (caller.organization, caller.project, caller.key, caller.name) == (
        KEY.organization, KEY.project, KEY.id, KEY.name,
    )  # fmt: skip
    assert caller.permissions == KEY.permissions
    assert caller.models == {"a"}


async def test_an_admin_key_has_no_project() -> None:
    verdict = await verdict_on(replace(KEY, kind=KeyKind.ADMIN, project=None))
    assert verdict.principal is not None
    assert verdict.principal.project == ""


async def test_unknown_revoked_and_disabled_keys_look_alike() -> None:
    clock = ManualClock()
    revoked = await verdict_on(replace(KEY, revoked_at=clock.now() - 1))
    both = await verdict_on(replace(KEY, revoked_at=clock.now() - 1, expires_at=clock.now() - 2))
    disabled = await verdict_on(KEY, disabled=True)
    unknown = await KeyAuthority(MemoryKeyStore(), PEPPER, clock).verify(digest("other"))
    wires = {
        verdict.refused.to_wire()
        for verdict in (revoked, both, disabled, unknown)
        if verdict.refused is not None and verdict.principal is None
    }
    assert len(wires) == 1
    assert wires.pop()[0] == Refusal.INVALID_API_KEY


async def test_a_key_is_good_until_it_expires_and_says_when() -> None:
    clock = ManualClock()
    expiring = replace(KEY, expires_at=clock.now() + 10)
    before = await verdict_on(expiring, clock)
    assert before.principal is not None
    assert before.expires_at == clock.now() + 10
    clock.advance(10)
    after = await verdict_on(expiring, clock)
    assert after.principal is None
    assert after.refused is not None
    assert after.refused.reason is Refusal.EXPIRED_API_KEY


def test_a_store_that_answers_with_another_key_is_not_believed() -> None:
    verdict = judge(Found(KEY, 1), b"w" * 32, 0.0)
    assert verdict.principal is None


async def test_a_store_that_is_away_is_not_an_invalid_key() -> None:
    store = MemoryKeyStore()
    store.away = True
    authority = KeyAuthority(store, PEPPER, ManualClock())
    with pytest.raises(Unavailable):
        await authority.verify(MADE.digest)
    with pytest.raises(Unavailable):
        await authority.revision()
    store.away = False
    assert await authority.revision() == 0


async def test_another_pepper_finds_nothing() -> None:
    store = MemoryKeyStore()
    store.put(KEY)
    verdict = await KeyAuthority(store, b"another", ManualClock()).verify(MADE.digest)
    assert verdict.principal is None


async def test_a_verdict_survives_the_wire() -> None:
    for verdict in (await verdict_on(KEY), await verdict_on(KEY, disabled=True)):
        again = Verdict.from_wire(verdict.to_wire())
        assert again.principal == verdict.principal
        assert again.revision == verdict.revision
        assert (again.refused is None) == (verdict.refused is None)
