from __future__ import annotations

from helixflow.identity.keys import KeyKind, mint
from helixflow.identity.last_used import LastUsed
from helixflow.ids import KeyId, mint_organization_id, mint_project_id
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import MemoryKeyStore, some_key


async def test_the_latest_use_is_written() -> None:
    clock, store = ManualClock(), MemoryKeyStore()
    key = some_key(mint_organization_id(), mint_project_id(), mint(KeyKind.PROJECT))
    store.put(key)
    uses = LastUsed(clock)
    uses.note(key.id)
    clock.advance(5)
    uses.note(key.id)
    uses.note(KeyId("key_that_is_gone"))
    await uses.flush(store)
    assert store.keys[key.id].last_used_at == clock.now()
    assert len(uses) == 0


async def test_what_could_not_be_written_is_kept() -> None:
    store = MemoryKeyStore()
    uses = LastUsed(ManualClock())
    for number in range(700):
        uses.note(KeyId(f"key_{number}"))
    store.away = True
    await uses.flush(store)
    assert len(uses) == 700
    store.away = False
    await uses.flush(store)
    assert len(uses) == 0


def test_the_notes_are_bounded_and_the_oldest_go() -> None:
    uses = LastUsed(ManualClock())
    for number in range(10_100):
        uses.note(KeyId(f"key_{number}"))
    assert len(uses) == 10_000


def test_tokens_of_people_leave_no_notes() -> None:
    uses = LastUsed(ManualClock())
    for name in ("user_1", "oidc_1", ""):
        uses.note(KeyId(name))
    assert len(uses) == 0
