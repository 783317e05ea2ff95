"""The log over stores in memory: recording, sealing, forgetting, keeping for a time."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import Conflict, NotFound, Unavailable
from helixflow.settings import AuditSettings
from helixflow.signals import Metric
from helixflow.telemetry.audit.log import new_id
from helixflow.telemetry.audit.ports import Filters
from helixflow.telemetry.audit.record import PLATFORM, Entry, Kind, Outcome
from helixflow.telemetry.audit.retention import horizons
from helixflow.telemetry.audit.shape import shown
from helixflow.telemetry.audit.verify import Broken, verify
from helixflow.telemetry.ports import Closing, Duty, Sink
from helixflow.testing.audit import ORGANIZATION, AuditParts, admin_event, denial, failure

DAY_S = 86_400.0
AT = 1_800_000_000.0


def erasing(actor: str = "user_boss") -> Entry:
    return Entry(
        new_id(), ORGANIZATION, Kind.ADMINISTRATION, "organization:person:erase", Outcome.DONE, 0,
        actor, actor,
    )  # fmt: skip


async def clear(parts: AuditParts) -> list[dict[str, object]]:
    """What an auditor sees, the newest first."""
    found = await parts.store.find(ORGANIZATION, Filters(), 100)
    return await shown(found, parts.persons)


class TestSink:
    async def test_it_is_what_the_hub_drives(self) -> None:
        sink: Sink = AuditParts().sink
        assert sink.name == "audit"
        assert isinstance(sink, Duty)
        assert isinstance(sink, Closing)

    async def test_each_organization_has_its_chain(self) -> None:
        parts = AuditParts()
        await parts.sink.write("s", 3, [admin_event(1), failure(2), admin_event(3)])
        await parts.sink.write("s", 4, [admin_event(4, organization="org_two")])
        for chain, count in ((ORGANIZATION, 2), ("org_two", 1), (PLATFORM, 1)):
            assert verify(await parts.exported(chain)).records == count

    async def test_with_a_store_away_nothing_is_taken_and_all_is_asked_again(self) -> None:
        parts = AuditParts()
        for store in (parts.rows, parts.store):
            store.away = True
            with pytest.raises(Unavailable):
                await parts.sink.write("s", 1, [admin_event()])
            store.away = False
        assert await parts.sink.high_water("s") == 0
        await parts.sink.write("s", 1, [admin_event()])
        assert len(await parts.records()) == 1

    async def test_duties_are_done_when_they_are_due(self) -> None:
        parts = AuditParts(seal_s=60, retention_s=3600, authorization_days=1)
        await parts.sink.write("s", 1, [denial(at=parts.clock.now())])
        await parts.sink.tend()
        state = await parts.store.chain(ORGANIZATION)
        assert state is not None
        assert state.sealed == 1
        sealed_at = (Metric.AUDIT_SEALED_AT.value, (), parts.clock.now())
        assert sealed_at in parts.tally.take().gauges
        await parts.sink.write("s", 2, [denial(2, at=parts.clock.now())])
        await parts.sink.tend()
        assert (await parts.store.chain(ORGANIZATION)).sealed == 1  # type: ignore[union-attr]
        parts.clock.advance(2 * DAY_S)
        await parts.sink.tend()
        assert (await parts.store.chain(ORGANIZATION)).sealed == 2  # type: ignore[union-attr]
        assert verify(await parts.exported()).dropped == 2

    async def test_the_last_seals_are_made_at_the_end(self) -> None:
        parts = AuditParts()
        await parts.sink.write("s", 2, [denial(1), failure(2)])
        await parts.sink.close()
        assert all(one.sealed == one.head.sequence for one in await parts.store.chains("", 9))

    async def test_a_duty_that_fails_is_logged_and_the_others_go_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        parts = AuditParts()
        parts.store.away = True
        await parts.sink.tend()
        failed = {record.getMessage() for record in caplog.records}
        assert failed == {
            f"the audit log's {duty} failed" for duty in ("reconciling", "sealing", "retention")
        }

    async def test_keys_that_are_gone_are_told_of_at_the_start(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        parts = AuditParts()
        await parts.sink.write("s", 1, [admin_event()])
        await _started(parts)
        assert "persons_url" not in caplog.text
        parts.rows.rows.clear()
        parts = AuditParts(parts.store, parts.rows)
        await _started(parts)
        assert "persons_url" in caplog.text

    async def test_who_was_forgotten_is_no_sign_of_lost_keys(self) -> None:
        parts = AuditParts()
        await parts.sink.write("s", 1, [admin_event()])
        await parts.log.erase(ORGANIZATION, "user_ada", erasing("system"))
        assert await parts.log.has_its_keys()


async def _started(parts: AuditParts) -> None:
    running = asyncio.create_task(parts.sink.run())
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})


class TestErasure:
    async def test_who_is_forgotten_cannot_be_read_and_the_chain_still_verifies(self) -> None:
        parts = AuditParts()
        events = [
            admin_event(1, after={"name": "Ada's key", "role": "owner"}),
            admin_event(2, "user:update", actor="user_bob", target="user_ada"),
            denial(3, key="user_ada"),
        ]
        await parts.sink.write("s", 3, events)
        await parts.log.seal(ORGANIZATION)
        held = await parts.store.seals(ORGANIZATION, 0, 99, 9)
        before = verify(await parts.exported(), held)
        erasure = await parts.log.erase(ORGANIZATION, "user_ada", erasing())
        report = verify(await parts.exported(), held)
        assert (report.records, report.held) == (before.records + 1, 1)
        erased, denied, updated, created = await clear(parts)
        assert created["actor"] == {"type": "forgotten", "index": erasure.index}
        assert created["api_key.created"] == {"id": "key_1", "data": {"role": "owner"}}
        assert updated["user.updated"] == {"id": None, "index": erasure.index}
        assert updated["actor"]["session"]["user"]["id"] == "user_bob"  # type: ignore[index]
        assert denied["forgotten"] == ["actor"]
        assert erased["person.erased"] == {"id": erasure.index}
        assert erased["actor"]["session"]["user"]["id"] == "user_boss"  # type: ignore[index]
        assert "user_ada" not in str(await clear(parts))

    async def test_who_comes_again_is_somebody_else_to_the_log(self) -> None:
        parts = AuditParts()
        await parts.sink.write("s", 1, [admin_event(1)])
        await parts.log.erase(ORGANIZATION, "user_ada", erasing())
        await parts.sink.write("s", 2, [admin_event(2)])
        last, _, first = await clear(parts)
        assert (last["forgotten"], first["forgotten"]) == ([], ["actor"])

    async def test_nobody_is_forgotten_who_is_not_known(self) -> None:
        parts = AuditParts()
        await parts.sink.write("s", 1, [admin_event(1)])
        for chain, person in (("org_two", "user_ada"), (ORGANIZATION, "user_eve")):
            with pytest.raises(NotFound):
                await parts.log.erase(chain, person, erasing())
        assert len(await parts.records()) == 1

    async def test_an_erasure_that_broke_off_is_finished(self) -> None:
        parts = AuditParts()
        await parts.sink.write("s", 2, [admin_event(1), admin_event(2, actor="user_bob")])
        rows = dict(parts.rows.rows)
        await parts.log.erase(ORGANIZATION, "user_ada", erasing("system"))
        parts.rows.rows = rows  # a crash, or a backup that should not be
        again = AuditParts(parts.store, parts.rows)
        assert await again.log.reconcile() == 1
        assert await again.log.reconcile() == 0
        assert (await clear(again))[-1]["forgotten"] == ["actor"]
        assert len(parts.rows.rows) == 1

    @given(st.sets(st.sampled_from(["user_ada", "user_bob", "key_robot", "203.0.113.7"])))
    async def test_whoever_is_forgotten_the_chain_verifies(self, people: set[str]) -> None:
        parts = AuditParts()
        events = [
            admin_event(1), admin_event(2, target="user_bob", actor="key_robot"),
            admin_event(3, actor="203.0.113.7"), admin_event(4, actor="user_bob", target="user_ada"),
        ]  # fmt: skip
        await parts.sink.write("s", 4, events)
        await parts.log.seal_all()
        held = await parts.store.seals(ORGANIZATION, 0, 99, 9)
        names = {"203.0.113.7": "address:203.0.113.7"}
        for person in people:
            await parts.log.erase(ORGANIZATION, names.get(person, person), erasing("system"))
        assert verify(await parts.exported(), held).held == 1
        told = str([[one["actor"], *one.values()] for one in (await clear(parts))[len(people) :]])
        for person in {"user_ada", "user_bob", "key_robot"}:
            assert (f"'{person}'" in told) == (person not in people)


class TestRetention:
    def test_each_kind_is_kept_for_a_time_of_its_own(self) -> None:
        settings = AuditSettings(
            administration_days=30, authentication_days=1, authorization_days=2
        )
        kept = horizons(settings, AT)
        day_ms = int(DAY_S * 1000)
        now = int(AT * 1000)
        assert kept.kinds == {
            Kind.ADMINISTRATION: now - 30 * day_ms,
            Kind.AUTHENTICATION: now - day_ms,
            Kind.AUTHORIZATION: now - 2 * day_ms,
        }
        assert kept.records == now - 30 * day_ms

    def test_no_days_are_for_ever(self) -> None:
        kept = horizons(AuditSettings(administration_days=0, authentication_days=1), AT)
        assert (kept.kinds[Kind.ADMINISTRATION], kept.records) == (0, 0)
        assert kept.kinds[Kind.AUTHENTICATION] > 0

    @given(
        st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=20),
        st.lists(st.integers(0, 12), min_size=1, max_size=3),
    )
    async def test_whatever_goes_when_the_rest_verifies_with_every_seal_that_is_held(
        self, events: list[tuple[bool, int]], days: list[int]
    ) -> None:
        parts = AuditParts(administration_days=4, authentication_days=1, authorization_days=1)
        parts.clock.set_wall(AT)
        held = []
        for number, (denied, day) in enumerate(events, 1):
            make = denial if denied else admin_event
            await parts.sink.write("s", number, [make(number, at=AT + day * DAY_S)])
            if number % 3 == 0:
                await parts.log.seal(ORGANIZATION)
                held = await parts.store.seals(ORGANIZATION, 0, 10**9, 99)
        for day in days:
            parts.clock.advance(day * DAY_S)
            await parts.retention.run(parts.clock.now())
            report = verify(await parts.exported(), held)
            assert report.held + report.not_compared == len(held)
            horizon = horizons(parts.settings, parts.clock.now())
            for record in await parts.records():
                assert record.at_ms >= horizon.kinds[record.kind]

    async def test_more_than_one_checkpoint_s_worth_goes_in_one_run(self) -> None:
        parts = AuditParts(authorization_days=1, groups_max=9999)
        await parts.sink.write("s", 2100, [denial(n, at=AT) for n in range(2100)])
        assert await parts.retention.run(AT + 2 * DAY_S) == 2100
        report = verify(await parts.exported())
        assert (report.dropped, report.records) == (2100, 2103)

    async def test_keys_that_no_record_needs_go_as_well(self) -> None:
        parts = AuditParts(administration_days=4, authentication_days=1, authorization_days=1)
        await parts.sink.write("s", 1, [denial(at=parts.clock.now())])
        await parts.retention.run(parts.clock.now() + 5 * DAY_S)
        assert len(parts.rows.rows) == 1
        await parts.retention.run(parts.clock.now() + 8 * DAY_S)
        assert len(parts.rows.rows) == 0


class TestExport:
    async def test_a_long_chain_comes_in_pages_and_verifies(self) -> None:
        parts = AuditParts()
        for number in range(1, 1300, 100):
            await parts.sink.write("s", number + 99, [admin_event(number + n) for n in range(100)])
            await parts.log.seal(ORGANIZATION)
        report = verify(await parts.exported())
        assert (report.records, report.seals) == (1300, 14)

    async def test_an_empty_chain_is_an_export_as_well(self) -> None:
        report = verify(await AuditParts().exported("org_nothing"))
        assert (report.records, report.chain) == (0, "org_nothing")

    @pytest.mark.parametrize(
        ("since", "until", "first", "last"),
        [(3, None, 3, 6), (None, 3, 1, 2), (3, 5, 3, 4), (99, None, 7, 6), (None, 0, 1, 0),
         (5, 2, 5, 4), (0, 99, 1, 6)],
    )  # fmt: skip
    async def test_a_part_in_time_verifies_by_itself(
        self, since: int | None, until: int | None, first: int, last: int
    ) -> None:
        parts = AuditParts()
        await parts.sink.write("s", 6, [admin_event(n, at=AT + n) for n in range(1, 7)])
        when = {
            name: int((AT + at) * 1000)
            for name, at in (("since_ms", since), ("until_ms", until))
            if at is not None
        }
        report = verify(await parts.exported(**when))
        assert (report.first, report.last) == (first, last)

    async def test_a_part_that_begins_within_a_checkpoint_verifies(self) -> None:
        parts = AuditParts(authorization_days=1)
        for n in range(1, 12):
            await parts.sink.write("s", n, [(denial if n % 2 else admin_event)(n, at=AT + n)])
        parts.clock.set_wall(AT + 2 * DAY_S)
        await parts.retention.run(parts.clock.now())
        for since in range(1, 13):
            report = verify(await parts.exported(since_ms=int((AT + since) * 1000)))
            assert report.first == min(since, 12)
            for until in range(since, 13):
                verify(
                    await parts.exported(
                        since_ms=int((AT + since) * 1000), until_ms=int((AT + until) * 1000)
                    )
                )

    async def test_a_file_that_is_overtaken_by_retention_is_not_finished(self) -> None:
        parts = AuditParts(
            authorization_days=1, administration_days=1, authentication_days=1, groups_max=9999
        )
        await parts.sink.write("s", 900, [denial(n, at=AT) for n in range(900)])
        page = await parts.export.begin(ORGANIZATION)
        assert page.following is not None
        await parts.retention.run(AT + 1.5 * DAY_S)
        with pytest.raises(Conflict):
            await parts.export.go_on(ORGANIZATION, page.following)
        parts.clock.set_wall(AT)
        verify(await parts.exported())

    async def test_a_cut_file_does_not_verify(self) -> None:
        parts = AuditParts(groups_max=9999)
        await parts.sink.write("s", 900, [denial(n, at=AT) for n in range(900)])
        page = await parts.export.begin(ORGANIZATION)
        with pytest.raises(Broken, match="breaks off"):
            verify(page.lines.splitlines(keepends=True))
