from __future__ import annotations

import io
from collections.abc import Callable
from http.server import ThreadingHTTPServer

import pytest
from rich.console import Console

from helixflow.cli.chat import Conversation, default_model, pace, talk, write_to
from helixflow.cli.failure import CommandFailed
from helixflow.cli.gateway_api import GatewayApi, Measured

from .fake_platform import ECHO, KEY, REAL, Platform, url


@pytest.fixture
def api(gateway: ThreadingHTTPServer) -> GatewayApi:
    return GatewayApi(url(gateway), KEY)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def typing(*lines: str | type[BaseException]) -> Callable[[], str]:
    rest = iter(lines)

    def read() -> str:
        line = next(rest)
        if isinstance(line, str):
            return line
        raise line

    return read


def test_the_default_model_is_a_real_one(api: GatewayApi, platform: Platform) -> None:
    platform.states = {ECHO: "ready", REAL: "ready"}
    assert default_model(api) == REAL
    del platform.states[REAL]
    assert default_model(api) == ECHO
    del platform.states[ECHO]
    with pytest.raises(CommandFailed, match="no model"):
        default_model(api)


def test_a_conversation_remembers_until_it_is_told_to_begin_anew(
    api: GatewayApi, platform: Platform, console: Console
) -> None:
    conversation = Conversation(api, REAL, 9)
    talk(conversation, console, typing("one", " two ", "", "/new", "three", "/exit"))
    sent = [[message["content"] for message in body["messages"]] for body in platform.asked]
    answer = "".join(platform.words)
    assert sent == [["one"], ["one", answer, "two"], ["three"]]
    assert platform.asked[0]["max_tokens"] == 9
    assert written(console).count("7 tokens, ") == 3


@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_the_end_of_input_ends_the_talk(
    api: GatewayApi, console: Console, end: type[BaseException]
) -> None:
    talk(Conversation(api, REAL), console, typing(end))


def test_a_question_that_failed_is_told_and_forgotten(
    api: GatewayApi, platform: Platform, console: Console
) -> None:
    platform.error_in_stream = True
    conversation = Conversation(api, REAL)
    talk(conversation, console, typing("one", "/quit"))
    platform.error_in_stream = False
    conversation.ask("two", write_to(console))
    assert "the engine died" in written(console)
    assert [message["content"] for message in platform.asked[1]["messages"]] == ["two"]


def test_an_answer_can_be_stopped_without_ending_the_talk(console: Console) -> None:
    class Stopped(GatewayApi):
        def chat(self, *args: object, **options: object) -> object:  # type: ignore[override]
            raise KeyboardInterrupt

    talk(Conversation(Stopped("http://127.0.0.1:9"), REAL), console, typing("one", "/exit"))
    assert "(stopped)" in written(console)


def test_the_pace_is_told_in_words() -> None:
    assert pace(Measured(0.1, 1.1, 11)) == "11 tokens, 10 tokens/s, first token after 100 ms"
    assert pace(Measured()) == "0 tokens, 0 tokens/s"


def test_text_is_written_as_it_is(console: Console) -> None:
    write_to(console)("[bold]x[/bold]")
    assert written(console) == "[bold]x[/bold]"
