from __future__ import annotations

from http.server import ThreadingHTTPServer

import pytest

from helixflow.cli.failure import CommandFailed
from helixflow.cli.gateway_api import GatewayApi, ModelReadiness
from helixflow.cli.serve_api import ServeApi
from helixflow.cli.waiting import describe, wait_until_ready

from .fake_platform import REAL, Platform, url

NOBODY = "http://127.0.0.1:9"


class World:
    """A clock that goes on by a second per sleep, and changes a platform after some."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.later: dict[int, object] = {}

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _seconds: float) -> None:
        self.now += 1.0
        change = self.later.pop(int(self.now), None)
        if callable(change):
            change()

    def say(self, lines: object) -> None:
        self.said.extend(lines)  # type: ignore[arg-type]


def wait(world: World, gateway: GatewayApi, serve: ServeApi, limit_s: float = 5.0) -> object:
    return wait_until_ready(gateway, serve, limit_s, world.say, world.monotonic, world.sleep)


@pytest.fixture
def serve(dashboard: ThreadingHTTPServer, platform: Platform) -> ServeApi:
    platform.deployed = {}
    return ServeApi(url(dashboard), "t")


@pytest.fixture
def front(gateway: ThreadingHTTPServer) -> GatewayApi:
    return GatewayApi(url(gateway))


def test_models_that_are_up_or_failed_end_the_wait(
    front: GatewayApi, serve: ServeApi, platform: Platform
) -> None:
    platform.states[REAL] = "failed"
    world = World()
    wait(world, front, serve)
    assert world.now == 0.0
    assert world.said == [f"{REAL}: failed", "echo-1: ready"]


def test_the_answer_of_the_front_before_a_change_is_not_trusted(
    front: GatewayApi, serve: ServeApi, platform: Platform
) -> None:
    platform.status = "DEPLOYING"
    world = World()
    world.later[2] = lambda: setattr(platform, "status", "RUNNING")
    wait(world, front, serve)
    assert world.now == 2.0


def test_a_platform_without_models_is_ready_when_it_says_so(
    front: GatewayApi, serve: ServeApi, platform: Platform
) -> None:
    platform.states.clear()
    platform.ready = False
    world = World()
    world.later[2] = lambda: setattr(platform, "ready", True)
    wait(world, front, serve)
    assert world.now == 2.0
    assert "Router" in world.said


def test_what_loads_is_shown_until_the_time_is_over(
    front: GatewayApi, serve: ServeApi, platform: Platform
) -> None:
    platform.mode = "slow"
    world = World()
    with pytest.raises(CommandFailed, match="not ready after 3 s"):
        wait(world, front, serve, 3.0)
    assert any("50%" in line and "reading" in line for line in world.said)


def test_the_deployments_are_shown_while_the_front_is_silent(
    serve: ServeApi, platform: Platform
) -> None:
    world = World()
    with pytest.raises(CommandFailed):
        wait(world, GatewayApi(NOBODY), serve, 1.0)
    assert "helixflow/Ingress: healthy, 1 of 2 replicas running" in world.said


def test_a_silent_dashboard_is_waited_for() -> None:
    world = World()
    with pytest.raises(CommandFailed):
        wait(world, GatewayApi(NOBODY), ServeApi(NOBODY, ""), 1.0)
    assert world.said[0] == "building the application"


def test_an_application_that_cannot_be_built_ends_the_wait_with_its_reason(
    serve: ServeApi, platform: Platform
) -> None:
    platform.mode = "broken"
    with pytest.raises(CommandFailed, match="no such thing"):
        wait(World(), GatewayApi(NOBODY), serve)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (ModelReadiness("m", "ready"), "m: ready"),
        (ModelReadiness("m", "failed", "no memory"), "m: failed no memory"),
        (ModelReadiness("m", "pending"), "m: pending"),
        (ModelReadiness("m", "loading", "", 1.0), f"m: {'█' * 20} 100%"),
    ],
)
def test_a_models_state_fits_one_line(model: ModelReadiness, line: str) -> None:
    assert describe(model) == line
