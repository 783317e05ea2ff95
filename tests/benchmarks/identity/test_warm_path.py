from __future__ import annotations

import pytest

from benchmarks.identity.warm_path import (
    HOUR_AND_ADDRESS,
    NO_CONTEXT,
    NO_POLICY,
    SECOND_AND_ADDRESS,
    SECOND_OF_ADDRESS,
    Callers,
    PacedClock,
    WarmIngress,
    added_us,
    nothing,
)
from helixflow.errors import Forbidden
from helixflow.identity.cedar_schema import check_source


@pytest.mark.parametrize(
    "policies", [NO_CONTEXT, HOUR_AND_ADDRESS, SECOND_AND_ADDRESS, SECOND_OF_ADDRESS]
)
def test_the_measured_policies_are_valid(policies: dict[str, str]) -> None:
    for source in policies.values():
        check_source(source)


@pytest.mark.parametrize(
    "policies", [NO_POLICY, NO_CONTEXT, HOUR_AND_ADDRESS, SECOND_AND_ADDRESS, SECOND_OF_ADDRESS]
)
async def test_every_caller_is_admitted_once_it_is_warm(policies: dict[str, str]) -> None:
    callers = Callers(3, policies)
    ingress = WarmIngress(callers, PacedClock())
    await ingress.warm()
    for credential, address in zip(callers.credentials, callers.addresses, strict=True):
        await ingress.request(credential, address)


async def test_the_policies_are_really_asked() -> None:
    callers = Callers(1, HOUR_AND_ADDRESS)
    ingress = WarmIngress(callers, PacedClock())
    await ingress.warm()
    with pytest.raises(Forbidden):
        await ingress.request(callers.credentials[0], "192.0.2.1")


async def test_a_caller_that_is_not_warm_stops_the_measurement() -> None:
    ingress = WarmIngress(Callers(1, NO_POLICY), PacedClock())
    with pytest.raises(RuntimeError):
        await ingress.request("hx-proj-unknown", "")


async def test_a_block_gives_one_figure_by_turns() -> None:
    seen: list[str] = []

    async def step(credential: str, address: str) -> None:
        seen.append(credential)

    assert len(await added_us(step, [[("a", "")], [("b", ""), ("c", "")]])) == 2
    assert seen == ["a", "b", "c"]
    await nothing("", "")
