from __future__ import annotations

from http.server import ThreadingHTTPServer

import pytest

from helixflow.cli.failure import CommandFailed
from helixflow.cli.http import Unreachable
from helixflow.cli.serve_api import ServeApi, serve_schema
from helixflow.settings import Settings

from .fake_platform import Platform, url

SCHEMA = {"applications": [{"name": "helixflow"}]}


@pytest.fixture
def api(dashboard: ThreadingHTTPServer) -> ServeApi:
    return ServeApi(url(dashboard), "token")


def test_nothing_is_deployed_at_first(api: ServeApi) -> None:
    assert api.alive()
    assert api.applications() == []


def test_what_is_deployed_is_told_with_its_replicas(api: ServeApi) -> None:
    api.deploy(SCHEMA)
    (application,) = api.applications()
    assert (application.name, application.status, application.route) == (
        "helixflow",
        "RUNNING",
        "/",
    )
    assert not application.failed
    (deployment,) = application.deployments
    assert (deployment.name, deployment.running, len(deployment.replicas)) == ("Ingress", 1, 2)


def test_an_application_that_cannot_be_built_has_failed(api: ServeApi, platform: Platform) -> None:
    platform.mode = "broken"
    api.deploy(SCHEMA)
    (application,) = api.applications()
    assert application.failed


def test_serves_refusal_is_told_in_its_words(api: ServeApi, platform: Platform) -> None:
    platform.mode = "refuse"
    with pytest.raises(CommandFailed, match="no module named deployments"):
        api.deploy(SCHEMA)


def test_a_busy_controller_is_unreachable(api: ServeApi, platform: Platform) -> None:
    platform.mode = "busy"
    with pytest.raises(Unreachable, match="503"):
        api.applications()


def test_shutting_down_asks_the_dashboard(api: ServeApi, platform: Platform) -> None:
    assert api.shut_down(1.0)
    assert platform.deleted


def test_no_dashboard_is_neither_alive_nor_shut_down() -> None:
    nobody = ServeApi("http://127.0.0.1:9", "token")
    assert not nobody.alive()
    assert not nobody.shut_down(1.0)


def test_the_same_settings_give_the_same_schema_and_others_another() -> None:
    plain = serve_schema(Settings())
    assert plain == serve_schema(Settings())
    assert plain != serve_schema(Settings.of({"gateway": {"request_s": 1}}))
    (application,) = plain["applications"]
    assert Settings.of(application["args"]["settings"]) == Settings()
    assert (application["route_prefix"], plain["http_options"]["port"]) == ("/", 8000)
