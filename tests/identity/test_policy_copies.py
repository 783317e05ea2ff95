from __future__ import annotations

import asyncio

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.identity.cedar import Circumstances, CompiledPolicies, Target
from helixflow.identity.permissions import Allow, Deny
from helixflow.identity.policy_copies import PolicyCopies, decision
from helixflow.identity.policy_texts import policy_set
from helixflow.identity.ports import PolicySet
from helixflow.ids import OrganizationId, ProjectId
from helixflow.testing.identity import StaticPolicies, some_principal

NO_BIG = 'forbid (principal, action, resource) when { resource.name == "big" };'
NO_SMALL = 'forbid (principal, action, resource) when { resource.name == "small" };'
OVERFLOW = "context.time.epoch + 9223372036854775807"
NOW = Circumstances(0.0)


def allowed(policies: CompiledPolicies, model: str) -> bool:
    caller = some_principal()
    return policies.decide(caller, "model:invoke", Target("Model", model), NOW).allowed


class SlowPolicies(StaticPolicies):
    """Answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def policies(self, organization: OrganizationId, project: ProjectId) -> PolicySet:
        told = await super().policies(organization, project)
        await self.go.wait()
        return told


async def test_who_has_no_policies_is_never_asked_about() -> None:
    source = StaticPolicies()
    held = PolicyCopies(source, 2).held(some_principal())
    assert held is not None
    assert allowed(held, "big")
    assert source.asked == 0


async def test_policies_are_fetched_once_and_shared_by_all_who_are_under_them() -> None:
    source = StaticPolicies()
    copies = PolicyCopies(source, 2)
    one = source.put(some_principal(), p=NO_BIG)
    twin = source.put(some_principal(), p=NO_BIG)
    assert copies.held(one) is None
    fetched = await copies.fetch(one)
    assert not allowed(fetched, "big")
    assert copies.held(one) is copies.held(twin) is fetched
    assert source.asked == 1


async def test_those_who_need_the_same_at_once_ask_once() -> None:
    source = SlowPolicies()
    copies = PolicyCopies(source, 2)
    caller = source.put(some_principal(), p=NO_BIG)
    waiting = [asyncio.create_task(copies.fetch(caller)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.go.set()
    one, two = await asyncio.gather(*waiting[1:])
    assert one is two
    assert source.asked == 1


async def test_a_later_set_holds_and_is_not_kept_under_the_earlier_name() -> None:
    source = StaticPolicies()
    copies = PolicyCopies(source, 2)
    before = source.put(some_principal(), p=NO_BIG)
    source.put(before, p=NO_SMALL)
    fetched = await copies.fetch(before)
    assert (allowed(fetched, "big"), allowed(fetched, "small")) == (True, False)
    assert copies.held(before) is None
    await copies.fetch(before)
    assert len(copies) == 1


async def test_the_copies_are_bounded_and_the_least_used_goes() -> None:
    source = StaticPolicies()
    copies = PolicyCopies(source, 2)
    callers = [source.put(some_principal(), p=NO_BIG + " " * number) for number in range(3)]
    for caller in callers[:2]:
        await copies.fetch(caller)
    copies.held(callers[0])
    await copies.fetch(callers[2])
    assert [copies.held(caller) is not None for caller in callers] == [True, False, True]


async def test_what_cannot_be_asked_is_not_permitted_and_what_is_here_goes_on() -> None:
    source = StaticPolicies()
    copies = PolicyCopies(source, 2)
    known = source.put(some_principal(), p=NO_BIG)
    other = source.put(some_principal(), p=NO_SMALL)
    await copies.fetch(known)
    source.away = True
    assert copies.held(known) is not None
    with pytest.raises(Unavailable) as caught:
        await copies.fetch(other)
    assert caught.value.retry_after_s == 1.0


async def test_an_answer_that_takes_too_long_is_none() -> None:
    source = SlowPolicies()
    caller = source.put(some_principal(), p=NO_BIG)
    with pytest.raises(Unavailable) as caught:
        await PolicyCopies(source, 2, call_s=0.001).fetch(caller)
    assert caught.value.reason is Refusal.AUTH_UNAVAILABLE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (NO_BIG, "(pol_1)"),
        ('permit (principal, action, resource == Model::"small");', "(no policy permits it)"),
        (
            f"forbid (principal, action, resource) when {{ {OVERFLOW} > 0 }};",
            "(a policy could not be evaluated)",
        ),
    ],
)
def test_a_denial_is_a_value_that_says_why(text: str, why: str) -> None:
    caller, policies = some_principal(), CompiledPolicies({"pol_1": text})
    now = Circumstances(1_700_000_000.0)
    denied = decision(policies, caller, "model:invoke", Target("Model", "big"), now)
    assert denied == Deny(
        Refusal.PERMISSION_DENIED,
        f"The policies of your organization do not permit model:invoke on 'big' {why}.",
    )


def test_what_policies_leave_alone_is_allowed() -> None:
    policies = CompiledPolicies({"pol_1": NO_BIG})
    assert (
        decision(policies, some_principal(), "model:invoke", Target("Model", "small"), NOW)
        == Allow()
    )


def test_the_same_texts_have_the_same_fingerprint_and_travel_as_they_are() -> None:
    one, two = policy_set({"a": NO_BIG, "b": NO_SMALL}), policy_set({"b": NO_SMALL, "a": NO_BIG})
    assert one == two
    assert one.fingerprint != policy_set({"a": NO_SMALL, "b": NO_BIG}).fingerprint
    assert PolicySet.from_wire(one.to_wire()) == one
    assert policy_set({}) == PolicySet()
