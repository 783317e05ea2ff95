"""Persons are sealed, found and forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.crypto.master_key import MasterKey, SealBroken
from helixflow.telemetry.audit.canonical import encode
from helixflow.telemetry.audit.entries import entries_of
from helixflow.telemetry.audit.persons import PersonKey, Persons
from helixflow.telemetry.audit.record import Entry, Part, Personal, Record
from helixflow.telemetry.audit.sealing import opened, sealed_record
from helixflow.testing.audit import MemoryPersonStore, admin_event, denial
from helixflow.testing.clock import ManualClock

from .strategies import values

RING = MasterKey(b"k" * 32)
CHAIN = "org_one"
KEYS = {name: PersonKey.of(name.encode().ljust(32, b".")) for name in ("user_ada", "user_bob")}
BY_INDEX = {key.index: key for key in KEYS.values()}


def entry(**facts: object) -> Entry:
    return entries_of([admin_event(**facts)], 9)[0]  # type: ignore[arg-type]


class TestKeys:
    async def test_a_person_has_one_key_in_each_chain(self) -> None:
        store = MemoryPersonStore()
        persons = Persons(store, RING, ManualClock())
        first = await persons.keys(CHAIN, ["user_ada", "user_bob", "user_ada"])
        again = await Persons(store, RING, ManualClock()).keys(CHAIN, ["user_ada"])
        other = await persons.keys("org_other", ["user_ada"])
        indexes = {
            first["user_ada"].index, first["user_bob"].index, other["user_ada"].index,
        }  # fmt: skip
        assert len(indexes) == 3
        assert again["user_ada"].index == first["user_ada"].index

    async def test_the_store_names_nobody_and_holds_no_key_in_clear(self) -> None:
        store = MemoryPersonStore()
        await Persons(store, RING, ManualClock()).keys(CHAIN, ["user_ada"])
        (row,) = store.rows.values()
        assert b"user_ada" not in row.tag + row.wrapped + row.index.encode()
        with pytest.raises(SealBroken):
            await Persons(store, MasterKey(b"x" * 32), ManualClock()).called([row.index])

    async def test_a_wrapped_key_is_good_in_its_own_place_only(self) -> None:
        store = MemoryPersonStore()
        await Persons(store, RING, ManualClock()).keys(CHAIN, ["user_ada", "user_bob"])
        one, two = store.rows.values()
        store.rows[one.tag] = replace(one, wrapped=two.wrapped)
        with pytest.raises(SealBroken):
            await Persons(store, RING, ManualClock()).find(CHAIN, "user_ada")

    async def test_of_two_who_make_a_key_the_first_is_right(self) -> None:
        store = MemoryPersonStore()
        made = await asyncio.gather(
            *(Persons(store, RING, ManualClock()).keys(CHAIN, ["user_ada"]) for _ in range(4))
        )
        assert len({keys["user_ada"].index for keys in made}) == 1

    async def test_uses_are_noted_once_a_day(self) -> None:
        store, clock = MemoryPersonStore(), ManualClock()
        persons = Persons(store, RING, clock)
        for _ in range(3):
            await persons.keys(CHAIN, ["user_ada"])
        assert store.touches == 0
        clock.advance(86_400)
        for _ in range(3):
            await persons.keys(CHAIN, ["user_ada"])
        assert store.touches == 1
        (row,) = store.rows.values()
        assert row.used_at == clock.now() // 86_400 * 86_400
        assert await persons.purge(row.used_at) == 0
        assert await persons.purge(row.used_at + 1) == 1

    async def test_few_keys_are_kept_in_memory(self) -> None:
        persons = Persons(MemoryPersonStore(), RING, ManualClock(), cached_max=2)
        names = [f"user_{n}" for n in range(5)]
        keys = await persons.keys(CHAIN, names)
        assert len(keys) == 5
        for name in names:
            assert await persons.find(CHAIN, name) is not None
        told = await persons.called([key.index for key in keys.values()])
        assert {key.index for key in told.values()} == {key.index for key in keys.values()}

    async def test_who_is_forgotten_is_not_known_by_any_name(self) -> None:
        persons = Persons(MemoryPersonStore(), RING, ManualClock())
        key = (await persons.keys(CHAIN, ["user_ada"]))["user_ada"]
        assert await persons.forget([key.index, "nobody"]) == 1
        assert await persons.find(CHAIN, "user_ada") is None
        assert await persons.called([key.index]) == {}
        fresh = (await persons.keys(CHAIN, ["user_ada"]))["user_ada"]
        assert fresh.index != key.index

    async def test_who_is_forgotten_while_it_is_looked_up_does_not_stay_in_memory(self) -> None:
        class Slow(MemoryPersonStore):
            """Answers with what it knew before the forgetting."""

            async def called(self, indexes: object) -> list[object]:  # type: ignore[override]
                rows = await super().called(indexes)  # type: ignore[arg-type]
                reached.set()
                await go_on.wait()
                return list(rows)

        reached, go_on = asyncio.Event(), asyncio.Event()
        store = Slow()
        persons = Persons(store, RING, ManualClock())
        index = (await Persons(store, RING, ManualClock()).keys(CHAIN, ["user_ada"]))[
            "user_ada"
        ].index
        looking = asyncio.create_task(persons.called([index]))
        await reached.wait()
        await persons.forget([index])
        go_on.set()
        assert index in await looking
        assert await persons.find(CHAIN, "user_ada") is None


class TestSealing:
    def test_nothing_in_a_record_names_the_actor(self) -> None:
        told = entry(after={"name": "Ada's key", "role": "owner", "email": "ada@x.test"})
        data = encode(sealed_record(told, KEYS))
        for word in (b"user_ada", b"Ada's", b"203.0.113", b"x.test"):
            assert word not in data
        assert b'"role":"owner"' in data

    def test_a_record_opens_with_the_keys_of_its_persons(self) -> None:
        told = entry(
            target="user_bob", before={"name": "B", "role": "viewer"}, after={"name": "Bob"}
        )
        seen = opened(sealed_record(told, KEYS), BY_INDEX)
        assert (seen.actor, seen.address, seen.target) == ("user_ada", "203.0.113.7", "user_bob")
        assert seen.before == {"name": "B", "role": "viewer"}
        assert seen.after == {"name": "Bob"}
        assert seen.forgotten == frozenset()

    @pytest.mark.parametrize("forgotten", ["user_ada", "user_bob"])
    def test_who_is_forgotten_takes_what_named_it_along_and_no_more(self, forgotten: str) -> None:
        told = entry(target="user_bob", before={"role": "viewer"}, after={"name": "Bob"})
        keys = {key.index: key for name, key in KEYS.items() if name != forgotten}
        seen = opened(sealed_record(told, KEYS), keys)
        gone = "actor" if forgotten == "user_ada" else "target"
        assert seen.forgotten == {gone}
        assert (seen.actor == "", seen.target == "") == (gone == "actor", gone == "target")
        assert seen.after == ({} if gone == "target" else {"name": "Bob"})
        assert seen.before == {"role": "viewer"}

    def test_what_a_person_wrote_about_a_thing_goes_with_the_person(self) -> None:
        record = sealed_record(entry(after={"name": "Ada's"}), KEYS)
        assert opened(record, {}).after == {}
        assert opened(record, BY_INDEX).after == {"name": "Ada's"}
        assert record.target == Part(id="key_1")

    def test_the_platform_s_own_words_are_in_clear(self) -> None:
        record = sealed_record(entry(actor="system", after={"name": "default"}), {})
        assert (record.actor, record.after) == (Part(id="system"), {"name": "default"})
        assert opened(record, {}).actor == "system"

    def test_a_sealed_part_opens_in_its_own_place_only(self) -> None:
        one, other = (
            sealed_record(entries_of([denial(n, key="user_ada")], 9)[0], KEYS) for n in (1, 2)
        )
        moved = Record(
            one.action, other.actor, chain=one.chain, id=one.id, sequence=1, target=one.target
        )
        assert opened(moved, BY_INDEX).forgotten == {"actor"}
        key = KEYS["user_ada"]
        part = key.seal(Personal("user_ada"), b"here")
        assert key.open(part, b"here") == Personal("user_ada")
        for bad, place in (
            (part, b"there"),
            (Part(index=part.index, sealed="?"), b"here"),
            (Part(index=part.index, sealed=""), b"here"),
            (Part(index=part.index, sealed=part.sealed[4:]), b"here"),
        ):
            with pytest.raises(SealBroken):
                key.open(bad, place)

    @given(
        st.dictionaries(st.sampled_from(["role", "name", "email", "models"]), values, max_size=4),
        st.sampled_from(["user_bob", "key_1", ""]),
        st.sampled_from(["user_ada", "system"]),
    )
    def test_all_that_was_told_is_there_as_long_as_everybody_is_remembered(
        self, fields: dict[str, object], target: str, actor: str
    ) -> None:
        told = replace(entry(target=target, actor=actor), before=fields, after=fields)  # type: ignore[arg-type]
        seen = opened(sealed_record(told, KEYS), BY_INDEX)
        assert (seen.before, seen.after) == (fields, fields)
        assert (seen.actor, seen.target) == (actor, target)
