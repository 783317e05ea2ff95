"""Talking to a model from the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

from helixflow.cli.failure import CommandFailed
from helixflow.cli.gateway_api import GatewayApi, Measured

_TIMEOUT_S = 600.0
_LEAVE = frozenset({"/exit", "/quit"})


def default_model(api: GatewayApi) -> str:
    """The first model that is not an echo, else the first. Raises CommandFailed without any."""
    names = [str(model["id"]) for model in api.models()]
    if not names:
        raise CommandFailed("the platform serves no model that this key may see")
    return next((name for name in names if "echo" not in name.lower()), names[0])


class Conversation:
    """A conversation with one model; it grows with every answer."""

    def __init__(self, api: GatewayApi, model: str, tokens_max: int | None = None) -> None:
        self._api = api
        self._model = model
        self._tokens_max = tokens_max
        self._messages: list[dict[str, str]] = []

    def ask(self, question: str, write: Callable[[str], None]) -> Measured:
        """Ask, and write the answer as it comes. A question that failed is forgotten."""
        asked = [*self._messages, {"role": "user", "content": question}]
        stream = self._api.chat(
            self._model, asked, tokens_max=self._tokens_max, timeout_s=_TIMEOUT_S
        )
        answer = ""
        for piece in stream:
            answer += piece
            write(piece)
        self._messages = [*asked, {"role": "assistant", "content": answer}]
        return stream.measured

    def forget(self) -> None:
        """Begin anew."""
        self._messages = []


def talk(conversation: Conversation, console: Console, read: Callable[[], str]) -> None:
    """Questions and answers until the end of input, `/exit` or `/quit`; `/new` begins anew."""
    while True:
        try:
            question = read().strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if question in _LEAVE:
            return
        if question == "/new":
            conversation.forget()
        elif question:
            _answer(conversation, question, console)


def _answer(conversation: Conversation, question: str, console: Console) -> None:
    try:
        measured = conversation.ask(question, write_to(console))
        console.print(f"\n[dim]{pace(measured)}[/dim]\n")
    except KeyboardInterrupt:
        console.print("\n[dim](stopped)[/dim]\n")
    except CommandFailed as error:
        console.print(f"\n{error}\n", style="red", markup=False)


def write_to(console: Console) -> Callable[[str], None]:
    """Prints pieces of text as they are."""
    return lambda piece: console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)


def pace(measured: Measured) -> str:
    """How fast an answer came, in words."""
    first = measured.first_token_s
    parts = [f"{measured.tokens} tokens", f"{measured.tokens_per_s:.0f} tokens/s"]
    if first is not None:
        parts.append(f"first token after {first * 1000:.0f} ms")
    return ", ".join(parts)
