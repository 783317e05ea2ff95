"""The checks that every store of limits must pass, whatever keeps its counters.

Each of `CHECKS` takes a `Stage`: a fresh or a used store, and what lets its time pass. It works in
organizations and with holders of its own, so that all may run against one store. Time may also pass
by itself, as on a real server: the checks leave half a slot of room. They raise `AssertionError`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from helixflow.limits.ports import Ask, End, Grant
from helixflow.testing.limit_tenant import LIFE_S, Stage, Tenant, expect

WINDOWS_S = {
    "requests_per_minute": 60.0,
    "tokens_per_minute": 60.0,
    "requests_per_hour": 3600.0,
    "tokens_per_day": 86_400.0,
    "spend_per_month": 30 * 86_400.0,
}
"""A limit of each length, and the seconds that its window spans."""

SLOTS = 60
PAST_LIFE_S = 30.0
"""Longer than a lease of `LIFE_S` and any store's margin."""

EXACT_MAX = 2**53 - 1

Check: TypeAlias = Callable[[Stage], Awaitable[None]]


async def check_grants_never_pass_the_limit(stage: Stage) -> None:
    """Of each window exactly the limit is granted, to one holder or to two."""
    for name in WINDOWS_S:
        for want in (1, 7, 1000):
            mine = Tenant(stage.store)
            theirs = mine.beside()
            counter = mine.counter(name)
            given = 0
            for asked, tenant in enumerate(itertools.cycle((mine, theirs))):
                _, grant = await tenant.take(counter, 40, 1, want)
                if grant.amount == 0:
                    break
                expect(1 <= grant.amount <= want, "from what is needed to what is wanted")
                expect(0 < grant.life_s <= LIFE_S, "no longer than asked")
                given += grant.amount
                expect(grant.remaining == 40 - given, "what is left beside all leases")
                expect(asked < 40, "a grant gives something")
            expect(given == 40, f"{name}: all of the limit and no more, not {given}")
            expect(grant.retry_after_s > 0, "a refusal says when to come again")
            expect(grant.reset_s > 0, "and when nothing is used")


async def check_exchanges_at_once(stage: Stage) -> None:
    """Holders that ask at the same time get the limit between them."""
    first = Tenant(stage.store)
    counter = first.counter()
    tenants = [first, *(first.beside() for _ in range(7))]

    async def drain(tenant: Tenant) -> int:
        given = 0
        while (got := (await tenant.take(counter, 50, 1, 3))[1].amount) > 0:
            given += got
        return given

    given = await asyncio.gather(*(drain(tenant) for tenant in tenants))
    expect(sum(given) == 50, f"together the limit, not {sum(given)}")


async def check_groups_are_all_or_none(stage: Stage) -> None:
    """Where one need is not met, no lease of the group begins; its ends are booked."""
    tenant = Tenant(stage.store)
    wide, narrow = tenant.counter(), tenant.counter("tokens_per_day", "key=k")
    level = tenant.counter("concurrent_requests")
    lease, _ = await tenant.take(wide, 10, 4)
    await tenant.spend(narrow, 10, 9)
    await tenant.level(level, 5, 2)
    group = (
        tenant.ask(wide, 10, 1, 1, End(lease, 3)),
        Ask(level, 5, need=3, want=3, used=2),
        tenant.ask(narrow, 10, 2),
    )
    grants = await tenant.exchange(*group)
    expect([grant.amount for grant in grants] == [0, 0, 0], "none begins")
    expect(grants[0].remaining == 7, "the end is booked")
    expect(grants[1].remaining == 3, "the level is as it was")
    expect(grants[2].retry_after_s > 0, "the need that was not met says when to come again")
    expect(
        [grant.retry_after_s for grant in grants[:2]] == [0, 0], "those that could be say nothing"
    )
    fits = (
        tenant.ask(wide, 10, 1),
        Ask(level, 5, need=3, want=3, used=2),
        tenant.ask(narrow, 10, 1),
    )
    grants = await tenant.exchange(*fits)
    expect([grant.amount for grant in grants] == [1, 3, 1], "all begin")
    expect([grant.remaining for grant in grants] == [6, 2, 0], "all count")
    over = (tenant.ask(wide, 10, 1), Ask(level, 5, need=6, want=6, used=3))
    grants = await tenant.exchange(*over)
    expect([grant.amount for grant in grants] == [0, 0], "a level refuses the group as well")
    expect([grant.remaining for grant in grants] == [6, 2], "and stays what it was")
    expect(grants[1].retry_after_s > 0, "and says when to come again")


async def check_many_groups(stage: Stage) -> None:
    """Groups of one exchange stand for themselves, answers come in their order."""
    first, second = Tenant(stage.store), Tenant(stage.store)
    used = first.counter()
    await first.spend(used, 3, 3)
    groups = [
        [first.ask(used, 3, 1)],
        [first.ask(second.counter(), 9, 2), first.ask(second.counter(scope="key=a"), 8, 3)],
        [],
        [first.ask(first.counter("requests_per_hour"), 7, 1)],
        [first.ask(first.counter("requests_per_hour"), 7, 2)],
    ]
    answer = await first.say(*groups)
    amounts = [[grant.amount for grant in grants] for grants in answer]
    expect(amounts == [[0], [2, 3], [], [1], [2]], f"each group for itself: {amounts}")
    expect(answer[4][0].remaining == 4, "after those before it")
    expect(await first.say() == [], "no groups, no answers")


async def check_counters_stand_apart(stage: Stage) -> None:
    """Organizations, scopes and names do not share a counter."""
    mine, theirs = Tenant(stage.store), Tenant(stage.store)
    await mine.spend(mine.counter(), 5, 5)
    for free in (
        theirs.counter(),
        mine.counter("tokens_per_minute"),
        mine.counter("requests_per_hour"),
        mine.counter(scope="key=k,model=m:1/x y"),
        mine.counter(scope="key=k"),
    ):
        expect(await mine.left(free, 5) == 5, f"{free} is another counter")


async def check_ends_replace(stage: Stage) -> None:
    """What is said last about a lease counts, however often it is said."""
    tenant = Tenant(stage.store)
    counter = tenant.counter()
    lease, grant = await tenant.take(counter, 20, 8)
    expect(grant.remaining == 12, "a lease counts whole")
    for spent in (3, 3, 5, 0, 8):
        grant = await tenant.end(counter, 20, End(lease, spent))
        expect(grant.remaining == 20 - spent, f"{spent} of it were spent, in all")
    grant = await tenant.end(counter, 20, End(lease, 31))
    expect(grant.remaining == 0, "more than the limit leaves nothing, and not less")
    _, refused = await tenant.take(counter, 20, 1)
    expect(refused.amount == 0, "and a debt is no room")
    grant = await tenant.end(counter, 20, End(lease, 2), End(lease, 19))
    expect(grant.remaining == 1, "a debt can be corrected too")
    (grant,) = await tenant.beside().exchange(Ask(counter, 20, ends=(End(lease, 1),)))
    expect(grant.remaining == 0, "another holder's lease of that number is another lease")


async def check_debts(stage: Stage) -> None:
    """What was spent beyond a lease counts for a window from when it became known."""
    tenant = Tenant(stage.store)
    counter = tenant.counter()
    lease = await tenant.spend(counter, 20, 3)
    stage.advance(30)
    grant = await tenant.end(counter, 20, End(lease, 8))
    expect(grant.remaining == 12, "it counts whole")
    stage.advance(32)
    expect(await tenant.left(counter, 20) == 15, "the lease has left the window, its debt has not")
    grant = await tenant.end(counter, 20, End(lease, 6))
    expect(grant.remaining == 17, "what is taken back is taken from the debt first")
    grant = await tenant.end(counter, 20, End(lease, 1))
    expect(grant.remaining == 20, "and what has left the window is not taken from others")
    stage.advance(32)
    grant = await tenant.end(counter, 20, End(lease, 5))
    expect(grant.remaining == 16, "a debt can be made when nothing else counts any more")


async def check_last_words(stage: Stage) -> None:
    """A lease is remembered until the holder knows that its last word was heard."""
    tenant = Tenant(stage.store)
    counter = tenant.counter()
    first, _ = await tenant.take(counter, 20, 4)
    second, _ = await tenant.take(counter, 20, 4)
    ends = (Ask(counter, 20, ends=(End(first, 3, last=True), End(second, 2, last=True))),)
    await tenant.say(ends)
    for _ in range(2):
        ((grant,),) = await tenant.say(ends, acked=2)
        expect(grant.remaining == 15, "said again, because the answer was lost, it counts once")
    expect(await tenant.left(counter, 20) == 15, "and goes on to count")
    expect((await tenant.exchange(Ask(counter, 20)))[0].remaining == 15, "once it was heard too")


async def check_ends_nobody_knows(stage: Stage) -> None:
    """A store that does not know a lease takes the holder's word for what was spent of it."""
    tenant = Tenant(stage.store)
    counter = tenant.counter()
    lost = tenant.ask(counter, 10, 4)
    grant = await tenant.end(counter, 10, End(lost.lease, 0))
    expect(grant.remaining == 10, "nothing is nothing")
    for _ in range(2):
        grant = await tenant.end(counter, 10, End(lost.lease, 4))
        expect(grant.remaining == 6, "what was spent counts, once")


async def check_late_exchanges(stage: Stage) -> None:
    """An exchange that a later one has overtaken is passed over."""
    tenant = Tenant(stage.store)
    counter, level = tenant.counter(), tenant.counter("concurrent_requests")
    first, _ = await tenant.take(counter, 100, 5)
    group = (tenant.ask(counter, 100, 3, 3, End(first, 2)), Ask(level, 9, need=2, want=2, used=2))
    grants = await tenant.exchange(*group)
    expect([grant.amount for grant in grants] == [3, 2], "in its time it counts")
    late = (tenant.ask(counter, 100, 7, 7, End(first, 90)), Ask(level, 9))
    for behind in (0, 1):
        (grants,) = await tenant.say_late(behind, late)
        expect(
            [(grant.amount, grant.remaining, grant.retry_after_s) for grant in grants]
            == [(0, 0, 0), (0, 0, 0)],
            "nothing is given",
        )
    expect(await tenant.left(counter, 100) == 95, "nothing is booked")
    expect(await tenant.left(level, 9) == 7, "no level is set")
    grant = await tenant.end(counter, 100, End(group[0].lease, 0), End(late[0].lease, 0))
    expect(grant.remaining == 98, "the holder ends what it may have got")


async def check_renewals(stage: Stage) -> None:
    """One ask ends leases and begins the next one."""
    tenant = Tenant(stage.store)
    counter = tenant.counter()
    first, _ = await tenant.take(counter, 10, 4)
    second, _ = await tenant.take(counter, 10, 6)
    renewed = tenant.ask(counter, 10, 5, 5, End(first, 1), End(second, 4))
    (grant,) = await tenant.exchange(renewed)
    expect((grant.amount, grant.remaining) == (5, 0), "room of the ended is there at once")


async def check_leases_end_by_their_time(stage: Stage) -> None:
    """A lease of which nothing is heard is booked whole, until its holder says better."""
    tenant = Tenant(stage.store)
    counter = tenant.counter("requests_per_hour")
    lease, grant = await tenant.take(counter, 10, 6)
    await tenant.spend(counter, 10, 1)
    stage.advance(PAST_LIFE_S)
    expect(await tenant.left(counter, 10) == 3, "it is booked whole")
    expect((await tenant.beside().take(counter, 10, 4))[1].amount == 0, "and is no room")
    for spent in (2, 2, 4):
        grant = await tenant.end(counter, 10, End(lease, spent))
        expect(grant.remaining == 9 - spent, "the holder knows better")
    forever, _ = await tenant.take(counter, 10, 5)
    stage.advance(WINDOWS_S["requests_per_hour"] * 1.1)
    expect(await tenant.left(counter, 10) == 10, "what ended by its time leaves the window")
    grant = await tenant.end(counter, 10, End(forever, 0))
    expect(grant.remaining == 10, "a late word about it takes nothing from others")


async def check_small_needs(stage: Stage) -> None:
    """An ask that needs nothing takes what is easy to have, and refuses nobody."""
    tenant = Tenant(stage.store)
    empty, full = tenant.counter(), tenant.counter("tokens_per_minute")
    lease = await tenant.spend(full, 5, 5)
    for spent in (5, 9):
        await tenant.end(full, 5, End(lease, spent))
        grants = await tenant.exchange(tenant.ask(empty, 10_000, 0, 10), tenant.ask(full, 5, 0, 10))
        expect(1 <= grants[0].amount <= 10, "far from the limit it gets something")
        expect((grants[1].amount, grants[1].retry_after_s) == (0, 0), "at the limit nothing")
    looked = await tenant.exchange(Ask(empty, 10_000), Ask(full, 5))
    expect([grant.amount for grant in looked] == [0, 0], "who asks for no lease gets none")


async def check_limits_change(stage: Stage) -> None:
    """A lowered limit holds with the next ask, a raised one too."""
    tenant = Tenant(stage.store)
    counter = tenant.counter()
    await tenant.spend(counter, 10, 3)
    lease, _ = await tenant.take(counter, 10, 3)
    _, refused = await tenant.take(counter, 4, 1)
    expect((refused.amount, refused.remaining) == (0, 0), "nothing is left of a lowered limit")
    grant = await tenant.end(counter, 4, End(lease, 0))
    expect(grant.remaining == 1, "what was not spent of a lease comes back")
    _, none = await tenant.take(counter, 0, 1)
    expect((none.amount, none.remaining) == (0, 0), "a limit of nothing gives nothing")
    _, raised = await tenant.take(counter, 12, 9)
    expect((raised.amount, raised.remaining) == (9, 0), "a raised limit gives more")


async def check_windows_slide(stage: Stage) -> None:
    """What was spent counts for a whole window after it, and no longer than a slot more."""
    for name, window_s in WINDOWS_S.items():
        slot_s = window_s / SLOTS
        tenant = Tenant(stage.store)
        counter = tenant.counter(name)
        await tenant.spend(counter, 10, 7)
        stage.advance(window_s / 2)
        await tenant.spend(counter, 10, 3)
        stage.advance(window_s / 2 - slot_s / 2)
        (refused,) = await tenant.exchange(tenant.ask(counter, 10, 1))
        expect((refused.amount, refused.remaining) == (0, 0), f"{name}: it counts a whole window")
        expect(0 < refused.retry_after_s <= 2 * slot_s, f"{name}: the oldest leaves within a slot")
        expect(
            window_s / 2 - slot_s < refused.reset_s <= window_s / 2 + 2 * slot_s,
            f"{name}: the youngest half a window later",
        )
        stage.advance(refused.retry_after_s + 0.001)
        lease, grant = await tenant.take(counter, 10, 7)
        expect(grant.amount == 7, f"{name}: it can be when it was said")
        await tenant.end(counter, 10, End(lease, 0))
        stage.advance(window_s / 2 + slot_s)
        (free,) = await tenant.exchange(Ask(counter, 10))
        expect((free.remaining, free.reset_s) == (10, 0.0), f"{name}: nothing is used any more")


async def check_levels(stage: Stage) -> None:
    """Requests in flight: each holder's level replaces what it had, and never ends by itself."""
    mine = Tenant(stage.store)
    theirs = mine.beside()
    counter = mine.counter("concurrent_requests")
    for _ in range(2):
        grant = await mine.level(counter, 10, 4)
        expect((grant.amount, grant.remaining) == (4, 6), "a level counts, once")
    grant = await theirs.level(counter, 10, 0, 7)
    expect((grant.amount, grant.remaining) == (0, 6), "beside the others'")
    expect(grant.retry_after_s > 0, "a refusal says when to come again")
    grant = await theirs.level(counter, 10, 0, 1, 100)
    expect(1 <= grant.amount <= 6, "from what is needed to what is free")
    expect(grant.remaining == 6 - grant.amount, "beside all levels")
    grant = await theirs.level(counter, 10, 0, 6)
    expect((grant.amount, grant.remaining) == (6, 0), "up to all that is free")
    stage.advance(3600)
    grant = await mine.level(counter, 10, 4, 5)
    expect((grant.amount, grant.remaining) == (0, 0), "levels last, and a refused one stays")
    grant = await theirs.level(counter, 10, 2)
    expect((grant.amount, grant.remaining) == (2, 4), "a level goes down as well")
    grant = await theirs.level(counter, 10, 0)
    expect((grant.amount, grant.remaining) == (0, 6), "nothing in flight is nothing held")


async def check_levels_are_facts(stage: Stage) -> None:
    """What a holder runs is counted, whatever the limit says; it keeps what it does not give up."""
    mine = Tenant(stage.store)
    theirs = mine.beside()
    counter = mine.counter("concurrent_requests")
    grant = await mine.level(counter, 3, 5)
    expect((grant.amount, grant.remaining) == (0, 0), "what cannot be had is refused")
    expect(await mine.left(counter, 9) == 4, "what runs is counted")
    grant = await theirs.level(counter, 9, 0, 5)
    expect(grant.amount == 0, "and is no room for others")
    grant = await mine.level(counter, 3, 2, 9, 9)
    expect(grant.amount == 0, "too much again")
    expect(await mine.left(counter, 9) == 4, "who wants to keep its level keeps it")
    grant = await mine.level(counter, 3, 2, 9, 9)
    expect(await mine.left(counter, 9) == 4, "however much of it runs")
    grant = await mine.level(counter, 9, 1, 1, 3)
    expect(1 <= grant.amount <= 3, "who wants less gives the rest up")
    expect(await mine.left(counter, 9) == 6, "and is counted for what it wants")
    grant = await mine.level(counter, 9, 1)
    expect((grant.amount, grant.remaining) == (1, 8), "until it wants less")


async def check_silent_holders(stage: Stage) -> None:
    """A holder with levels that says nothing is found, and its levels are freed with it."""
    quiet = Tenant(stage.store)
    alive, idle = quiet.beside(), quiet.beside()
    counter = quiet.counter("concurrent_requests")
    second = quiet.counter("concurrent_requests", "key=k")
    await quiet.level(counter, 9, 4)
    await quiet.level(second, 9, 2)
    await alive.level(counter, 9, 3)
    await idle.level(counter, 9, 1)
    await idle.level(counter, 9, 0)
    await quiet.take(quiet.counter(), 9, 2)
    ours = {quiet.holder, alive.holder, idle.holder}
    expect(ours.isdisjoint(await stage.store.silent(4)), "nobody is silent yet")
    stage.advance(6)
    await alive.say()
    expect(ours & set(await stage.store.silent(4)) == {quiet.holder}, "an exchange is a sign")
    await stage.store.bury(quiet.holder)
    expect(ours.isdisjoint(await stage.store.silent(4)), "who is buried is not looked for")
    expect(await quiet.left(counter, 9) == 6, "its levels are free")
    expect(await quiet.left(second, 9) == 9, "all of them")
    expect(await quiet.left(quiet.counter(), 9) == 7, "its leases are not")
    await stage.store.bury(quiet.holder)
    grant = await quiet.level(counter, 9, 2)
    expect((grant.amount, grant.remaining) == (2, 4), "who comes back begins anew")
    grant = await idle.level(second, 9, 0, 0, 5)
    expect(grant.amount > 0, "where there is much, it may have what it does not need")
    stage.advance(6)
    expect(ours & set(await stage.store.silent(4)) == ours, "and counts again")
    for holder in ours:
        await stage.store.bury(holder)
    expect(ours.isdisjoint(await stage.store.silent(4)), "until it is buried")


async def check_those_who_wait(stage: Stage) -> None:
    """What is waited for is given as far as it is there; what is wanted beside it is a share."""
    tenant = Tenant(stage.store)
    counter, level = tenant.counter(), tenant.counter("concurrent_requests")
    for waiting, there in ((30, 30), (400, 70), (5, 0)):
        need = Ask(counter, 100, tenant.ask(counter, 100, 1).lease, 1, 400, LIFE_S, waiting=waiting)
        (grant,) = await tenant.exchange(need)
        expect(grant.amount == there, f"{waiting} wait: {there} and not {grant.amount}")
    for waiting, there in ((6, 6), (40, 20)):
        (grant,) = await tenant.exchange(Ask(level, 20, need=1, want=40, waiting=waiting))
        expect(there <= grant.amount <= there + 2, f"a level for {waiting}: {grant.amount}")


async def check_another_life(stage: Stage) -> None:
    """A lease that lives is given another life far from the limit, to its holder alone."""
    tenant = Tenant(stage.store)
    counter = tenant.counter("requests_per_hour")

    async def renew(who: Tenant, lease: int) -> Grant:
        (grant,) = await who.exchange(Ask(counter, 100, life_s=LIFE_S, renews=lease))
        expect(grant.retry_after_s == 0, "nothing is needed, so nothing is refused")
        return grant

    lease, _ = await tenant.take(counter, 100, 5)
    for _ in range(3):
        stage.advance(LIFE_S * 0.8)
        grant = await renew(tenant, lease)
        expect(grant.amount == 5, "it lives on with what it is")
        expect(0 < grant.life_s <= LIFE_S, "for no longer than asked")
        expect(grant.remaining == 95, "and counts once")
    expect((await renew(tenant.beside(), lease)).amount == 0, "it is nobody else's")
    expect((await renew(tenant, lease + 1)).amount == 0, "nobody knows of such a lease")
    _, grant = await tenant.beside().take(counter, 100, 80)
    expect(grant.amount == 80, "the limit comes near")
    expect((await renew(tenant, lease)).amount == 0, "near it leases are short")
    grant = await tenant.end(counter, 100, End(lease, 2, last=True))
    expect(grant.remaining == 18, "it lived until then")
    expect((await renew(tenant, lease)).amount == 0, "what ended is over")
    short, _ = await tenant.take(counter, 1_000, 5)
    stage.advance(PAST_LIFE_S)
    expect((await renew(tenant, short)).amount == 0, "also by its time")


async def check_recalls(stage: Stage) -> None:
    """Whoever holds something of a counter that was refused to another is told so, once."""
    holder = Tenant(stage.store)
    other, third = holder.beside(), holder.beside()
    counter, level = holder.counter(), holder.counter("concurrent_requests")
    lease, _ = await holder.take(counter, 10, 6)
    await holder.level(level, 4, 1, 3, 3)
    expect(holder.recalled == (), "nobody needs it")
    _, grant = await other.take(counter, 10, 5)
    expect(0 < grant.retry_after_s <= 5, "it may be back soon")
    await third.level(level, 4, 0, 2)
    await other.say()
    expect(other.recalled == (), "it has nothing")
    await holder.say()
    expect(set(holder.recalled) == {counter, level}, f"recalled: {holder.recalled}")
    await holder.end(counter, 10, End(lease, 2, last=True))
    expect(holder.recalled == (), "once")
    await other.take(counter, 10, 11)
    _, grant = await other.take(counter, 10, 5)
    expect(grant.amount == 5, "what was not used is there")
    await holder.say()
    expect(holder.recalled == (), "what can never be had is not recalled")


async def check_large_numbers(stage: Stage) -> None:
    """Amounts are exact up to 2^53 - 1 (billionths of a US dollar)."""
    tenant = Tenant(stage.store)
    counter = tenant.counter("spend_per_month")
    await tenant.spend(counter, EXACT_MAX, EXACT_MAX - 2)
    lease, grant = await tenant.take(counter, EXACT_MAX, 1)
    expect((grant.amount, grant.remaining) == (1, 1), "to the last billionth")
    grant = await tenant.end(counter, EXACT_MAX, End(lease, 2))
    expect(grant.remaining == 0, "and no further")


CHECKS: tuple[Check, ...] = (
    check_another_life,
    check_counters_stand_apart,
    check_debts,
    check_ends_nobody_knows,
    check_ends_replace,
    check_exchanges_at_once,
    check_grants_never_pass_the_limit,
    check_groups_are_all_or_none,
    check_large_numbers,
    check_last_words,
    check_late_exchanges,
    check_leases_end_by_their_time,
    check_levels,
    check_levels_are_facts,
    check_limits_change,
    check_many_groups,
    check_renewals,
    check_recalls,
    check_silent_holders,
    check_small_needs,
    check_those_who_wait,
    check_windows_slide,
)
"""All checks, for a parametrized test."""
