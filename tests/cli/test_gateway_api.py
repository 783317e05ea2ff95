from __future__ import annotations

from http.server import ThreadingHTTPServer

import pytest

from helixflow.cli.failure import CommandFailed
from helixflow.cli.gateway_api import ChatStream, GatewayApi, Measured, ModelReadiness, Readiness

from .fake_platform import ECHO, KEY, REAL, Platform, url

HELLO = [{"role": "user", "content": "Hello"}]


class Ticking:
    """A clock that goes on by one second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def api(gateway: ThreadingHTTPServer) -> GatewayApi:
    return GatewayApi(url(gateway), KEY, monotonic=Ticking())


def chat(api: GatewayApi, tokens_max: int | None = None) -> ChatStream:
    return api.chat(REAL, HELLO, tokens_max=tokens_max, timeout_s=5)


def test_the_text_comes_piece_by_piece_and_is_measured(api: GatewayApi, platform: Platform) -> None:
    stream = chat(api, 16)
    assert list(stream) == platform.words
    measured = stream.measured
    assert (measured.tokens, measured.prompt_tokens) == (7, 3)
    assert measured.first_token_s == 1.0
    assert measured.tokens_per_s == 6 / (measured.seconds - 1.0)
    assert platform.asked[0]["max_tokens"] == 16
    assert platform.asked[0]["stream_options"] == {"include_usage": True}


def test_without_a_bound_none_is_sent(api: GatewayApi, platform: Platform) -> None:
    list(chat(api))
    assert "max_tokens" not in platform.asked[0]


def test_an_empty_answer_has_no_first_token(api: GatewayApi, platform: Platform) -> None:
    platform.words = [""]
    stream = chat(api)
    assert list(stream) == []
    assert stream.measured.first_token_s is None


def test_the_pace_of_a_single_token_is_its_average() -> None:
    assert Measured(first_token_s=0.5, seconds=0.5, tokens=1).tokens_per_s == 2.0
    assert Measured().tokens_per_s == 0.0


def test_an_error_inside_a_stream_is_told(api: GatewayApi, platform: Platform) -> None:
    platform.error_in_stream = True
    with pytest.raises(CommandFailed, match="the engine died"):
        list(chat(api))


def test_a_stream_that_is_cut_is_told(api: GatewayApi, platform: Platform) -> None:
    platform.cut_stream = True
    with pytest.raises(CommandFailed, match="broke off"):
        list(chat(api))


def test_a_refusal_is_told_in_the_platforms_words(gateway: ThreadingHTTPServer) -> None:
    stranger = GatewayApi(url(gateway), "wrong")
    assert not stranger.accepts_key()
    with pytest.raises(CommandFailed, match="401: no such key"):
        stranger.models()
    with pytest.raises(CommandFailed, match="401: no such key"):
        list(chat(stranger))


def test_an_answer_that_is_not_ours_is_told_as_it_is(gateway: ThreadingHTTPServer) -> None:
    with pytest.raises(CommandFailed, match="404: <html>"):
        GatewayApi(url(gateway) + "/nowhere", KEY).models()


def test_a_valid_key_is_accepted_and_lists_the_models(api: GatewayApi) -> None:
    assert api.accepts_key()
    assert [model["id"] for model in api.models()] == [REAL, ECHO]


def test_readiness_tells_each_models_state(api: GatewayApi, platform: Platform) -> None:
    platform.states[REAL] = "failed"
    readiness = api.readiness()
    assert readiness is not None
    assert readiness.ready
    assert readiness.settled
    assert readiness.models[0] == ModelReadiness(REAL, "failed")


def test_a_model_that_still_loads_is_not_settled() -> None:
    assert not Readiness(True, (), (ModelReadiness("a", "ready"), ModelReadiness("b", "x"))).settled
    assert not Readiness(True).settled


def test_a_front_that_is_not_ours_tells_no_readiness(gateway: ThreadingHTTPServer) -> None:
    assert GatewayApi(url(gateway) + "/nowhere").readiness() is None


def test_nobody_tells_no_readiness_and_accepts_no_key() -> None:
    nobody = GatewayApi("http://127.0.0.1:9", KEY)
    assert nobody.readiness() is None
    assert not nobody.accepts_key()
