"""The checks that every store of the audit log, and of its persons' keys, must pass."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from helixflow.errors import NotFound
from helixflow.telemetry.audit.chain import Head, beginning, link
from helixflow.telemetry.audit.ports import (
    AuditStore,
    Change,
    Erasure,
    Filters,
    Forked,
    Held,
    Mark,
    PersonRow,
    PersonStore,
    Placed,
)
from helixflow.telemetry.audit.record import PLATFORM, Kind, Part, Record
from helixflow.telemetry.audit.verify import verify
from helixflow.testing.audit import ORGANIZATION, AuditParts, admin_event, denial, failure

_FAR = 10**9
_AT = 1_800_000_000.0
_DAY_S = 86_400.0


async def check_appends(store: AuditStore) -> None:
    """Each event once, in its chain, with the mark. Raises `AssertionError`."""
    parts = AuditParts(store)
    expect(await store.high_water("source") == 0, "nothing is held of an unknown source")
    expect(await store.chain(ORGANIZATION) is None, "nor any chain")
    await parts.sink.write("source", 3, [admin_event(1), denial(2), failure(3)])
    expect(await store.high_water("source") == 3, "the mark comes with the records")
    await parts.sink.write("source", 3, [admin_event(9)])
    await parts.sink.write("another", 2, [admin_event(1), denial(2)])
    expect(await store.high_water("another") == 2, "a mark goes on where nothing is new")
    await parts.sink.write("source", 5, [])
    expect(await store.high_water("source") == 5, "and where there is nothing at all")
    states = {state.chain: state for state in await store.chains("", 10)}
    expect(set(states) == {ORGANIZATION, PLATFORM}, "each event is in its chain")
    state = states[ORGANIZATION]
    expect(state.head.sequence == 2, "and there once")
    expect(state.begin == beginning(ORGANIZATION), "which begins at its beginning")
    expect(state.sealed == -1, "and is not sealed yet")
    expect(await store.chain(ORGANIZATION) == state, "one chain is as it is among all")
    expect([one.chain for one in await store.chains(ORGANIZATION, 10)] == [PLATFORM], "in order")
    first, second = await store.span(ORGANIZATION, 0, 10)
    expect((first.sequence, second.sequence) == (1, 2), "records come in their order")
    expect(second.hash == state.head.hash, "and end at the head")
    expect(await store.at(ORGANIZATION, 2) == second, "one is found by its number")
    expect(await store.at(ORGANIZATION, 3) is None, "where there is one")
    expect(await store.span(ORGANIZATION, 0, 1) == [first], "not more than are asked for")
    expect(await store.span(ORGANIZATION, 1, 10) == [second], "from where is asked for")


async def check_forks(store: AuditStore) -> None:
    """A chain grows at its end alone. Raises `AssertionError`."""
    parts = AuditParts(store)
    await parts.sink.write("source", 1, [admin_event(1)])
    head = (await parts.store.chains("", 1))[0].head
    stale = Head(0, beginning(ORGANIZATION).hash)
    for before, number in ((stale, 1), (stale, 2), (head, 3), (Head(1, b"x" * 32), 2)):
        record = Record(
            "project:key:create", Part(id="system"), chain=ORGANIZATION, id=f"other_{number}",
            sequence=number,
        )  # fmt: skip
        linked = link(replace(before, sequence=number - 1), b"{}")

        def work(_: Held, placed: Placed = Placed(record, linked)) -> Change:  # noqa: B008
            return Change([placed])

        try:
            await store.append([ORGANIZATION], [], work, Mark("fork", 7))
        except Forked:
            pass
        else:
            raise AssertionError("what does not follow from the head is refused")
    expect(await store.high_water("fork") == 0, "and leaves no mark")
    state = await store.chain(ORGANIZATION)
    expect(state is not None and state.head == head, "and no record")
    await asyncio.gather(
        *(parts.sink.write(f"s{n}", 1, [admin_event(n + 10)]) for n in range(6)),
        *(AuditParts(store, parts.rows).sink.write(f"t{n}", 1, [denial(n)]) for n in range(6)),
    )
    report = verify(await parts.exported())
    expect(report.records == 13, "many writers at once leave one chain")


async def check_finds(store: AuditStore) -> None:
    """Filters and pages. Raises `AssertionError`."""
    parts = AuditParts(store)
    events = [admin_event(n, at=_AT + n, project="proj_1" if n % 2 else "") for n in range(1, 7)]
    await parts.sink.write("source", 8, [*events, denial(7, at=_AT + 7), denial(8, at=_AT + 8)])
    await parts.sink.write("other", 1, [admin_event(1, organization="org_other")])
    ada = await parts.persons.find(ORGANIZATION, "user_ada")
    if ada is None:
        raise AssertionError("who acts has a key")

    async def found(limit: int = 100, **filters: object) -> list[int]:
        chosen = Filters(**filters)  # type: ignore[arg-type]
        return [one.sequence for one in await store.find(ORGANIZATION, chosen, limit)]

    expect(await found() == [8, 7, 6, 5, 4, 3, 2, 1], "all, the newest first")
    expect(await found(3) == [8, 7, 6], "not more than are asked for")
    expect(await found(actors=(ada.index,)) == [6, 5, 4, 3, 2, 1], "by the index of an actor")
    expect(await found(targets=("key_2", "key_4")) == [4, 2], "by targets")
    expect(await found(projects=("proj_1",)) == [8, 7, 5, 3, 1], "by project")
    expect(await found(outcomes=("denied",)) == [8, 7], "by outcome")
    expect(await found(actions=("organization:key:create",)) == [6, 4, 2], "by action")
    either = await found(actions=("organization:key:create",), kinds=(Kind.AUTHORIZATION,))
    expect(either == [8, 7, 6, 4, 2], "by action or kind")
    since, until = int((_AT + 3) * 1000), int((_AT + 6) * 1000)
    expect(await found(since_ms=since, until_ms=until) == [5, 4, 3], "by time")
    ids = [record.id for record in await parts.records()]
    expect(await found(3, after=ids[5]) == [5, 4, 3], "those after one, which are older")
    expect(await found(3, before=ids[2]) == [6, 5, 4], "the next ones before one, newer ones")
    expect(await found(after=ids[0]) == [], "nothing is older than the oldest")
    for wrong in ("audit_none", "a\x00b", "audit_" + "x" * 300):
        for filters in (Filters(after=wrong), Filters(before=wrong)):
            try:
                await store.find(ORGANIZATION, filters, 1)
            except NotFound as refused:
                expect(refused.param in ("after", "before"), "what is no place is named")
            else:
                raise AssertionError("there is no place after what is not there")
    expect(await store.first_since(ORGANIZATION, since) == 3, "the first since a time")
    expect(await store.first_since(ORGANIZATION, _FAR * 10_000) is None, "of which none may be")


async def check_retention(store: AuditStore) -> None:
    """What has served its time goes, and the rest is proven as before. Raises `AssertionError`."""
    parts = AuditParts(
        store, administration_days=3, authentication_days=1, authorization_days=1, seals_days=1
    )
    parts.clock.set_wall(_AT)
    await parts.sink.write("a", 4, [admin_event(1), denial(2), denial(3), admin_event(4)])
    await parts.log.seal(ORGANIZATION)
    held = await store.seals(ORGANIZATION, 0, _FAR, 10)
    parts.clock.advance(2 * _DAY_S)
    await parts.sink.write("b", 1, [denial(5, at=parts.clock.now())])
    expect(await parts.retention.run(parts.clock.now()) == 2, "the contents of old denials go")
    report = verify(await parts.exported(), held)
    expect((report.records, report.dropped, report.held) == (6, 2, 1), "under a checkpoint")
    gone = await store.at(ORGANIZATION, 3)
    expect(gone is not None and not gone.data and gone.checkpoint == 6, "which they name")
    expect(await store.find(ORGANIZATION, Filters(outcomes=("denied",)), 9) != [], "others stay")
    await parts.sink.write("c", 2, [denial(2), denial(3)])
    expect((await parts.records())[-1].action == "organization:audit:prune", "known by their ids")
    expect(await parts.retention.run(parts.clock.now()) == 0, "and nothing twice")
    try:
        await store.append([ORGANIZATION], [], lambda _: Change(dropped={ORGANIZATION: ([3], 7)}))
    except Forked:
        pass
    else:
        raise AssertionError("what is gone cannot be dropped")
    parts.clock.advance(2 * _DAY_S)
    await parts.retention.run(parts.clock.now())
    state = await store.chain(ORGANIZATION)
    expect(state is not None and state.begin.sequence == 4, "the oldest go altogether")
    file = await parts.exported()
    report = verify(file, held)
    expect((report.first, report.held) == (5, 1), "the rest begins where they ended")
    parts.clock.advance(9 * _DAY_S)
    before = len(await store.seals(ORGANIZATION, 0, _FAR, 100))
    await parts.retention.run(parts.clock.now())
    expect(before >= len(await store.seals(ORGANIZATION, 0, _FAR, 100)), "seals are thinned")
    verify(await parts.exported())


async def check_seals(store: AuditStore) -> None:
    """Seals and the ledger. Raises `AssertionError`."""
    parts = AuditParts(store)
    for number in range(1, 6):
        await parts.sink.write("source", number, [admin_event(number)])
        expect(await parts.log.seal_all() == 1, "what grew is sealed")
        parts.clock.advance(3600)
    expect(await parts.log.seal_all() == 0, "once")
    state = await store.chain(ORGANIZATION)
    expect(state is not None and state.sealed == 5, "up to its head")

    async def numbers(after: int = 0, until: int = _FAR, limit: int = 100) -> list[int]:
        seals = await store.seals(ORGANIZATION, after, until, limit)
        return [seal.statement.sequence for seal in seals]

    expect(await numbers() == [1, 2, 3, 4, 5], "seals are in the order of what they are over")
    expect(await numbers(1, 3) == [2, 3], "after this and up to that")
    expect(await numbers(limit=2) == [1, 2], "not more than are asked for")
    expect(await store.thin_seals(0) == 0, "recent ones all stay")
    expect(await store.thin_seals(_FAR * 10_000) > 0, "of old ones some go")
    expect(await store.thin_seals(_FAR * 10_000) == 0, "and one for each day stays")
    expect((await numbers())[-1] == 5, "the last one of it")
    ledger = [Erasure(ORGANIZATION, f"{n:032x}", n) for n in range(5)]
    await store.append([ORGANIZATION], [], lambda _: Change(erasures=ledger))
    await store.append([ORGANIZATION], [], lambda _: Change(erasures=ledger[:1]))
    expect(await store.erasures(("", ""), 3) == ledger[:3], "the ledger is read in its order")
    rest = await store.erasures((ORGANIZATION, ledger[2].index), 9)
    expect(rest == ledger[3:], "and from a place on")


async def check_persons(store: PersonStore) -> None:
    """Keys of persons. Raises `AssertionError`."""
    rows = [PersonRow(bytes([n]) * 32, f"{n:032x}", b"wrapped", float(n)) for n in range(1, 6)]
    await store.add(rows[:3])
    await store.add([replace(rows[0], wrapped=b"other", index="f" * 32), *rows[3:]])
    tags = [row.tag for row in rows]
    held = sorted(await store.of([*tags, b"x" * 32]), key=lambda row: row.tag)
    expect(held == rows, "the first key of a person stays")
    expect(await store.of([]) == [], "nothing is found for nothing")
    called = await store.called([rows[1].index, "e" * 32])
    expect(called == [rows[1]], "a key is found by its index")
    await store.touch(tags[:2], 9.0)
    expect([row.used_at for row in await store.of(tags[:1])] == [9.0], "uses are noted")
    expect(await store.erase([rows[0].index, "e" * 32]) == 1, "keys are deleted")
    expect(await store.of(tags[:1]) == [], "and gone")
    expect(await store.erase([rows[0].index]) == 0, "once")
    expect(await store.purge(4.0, 1) == 1, "old ones go, not more than are asked for")
    expect(await store.purge(5.0, 9) == 1, "those that were used before")
    expect(len(await store.of(tags)) == 2, "and no others")


def expect(truth: bool, what: str) -> None:
    """Raise `AssertionError` where it is not so."""
    if not truth:
        raise AssertionError(what)
