from __future__ import annotations

import io

import pytest
from rich.console import Console

from helixflow.cli.steps import Steps, bar


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def steps(live: bool | None = None) -> tuple[Steps, io.StringIO]:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=live)
    return Steps(console, monotonic=Clock()), file


def test_without_a_terminal_every_change_is_a_line() -> None:
    shown, file = steps()
    with shown.shown(), shown.step("Ray") as step:
        shown.say(step, ["a", "b"])
        shown.say(step, ["a", "b"])
        shown.say(step, ["a", "c"])
    assert file.getvalue().splitlines() == ["Ray ...", "  a", "  b", "  c", "Ray: done in 0.5 s"]


def test_on_a_terminal_the_steps_are_drawn_with_their_times() -> None:
    shown, file = steps(live=True)
    with shown.shown():
        with shown.step("Ray"):
            pass
        with shown.step("Models") as step:
            shown.say(step, ["reading weights"])
            shown.console.print(shown.render())
    assert "Ray" in file.getvalue()
    assert "reading weights" in file.getvalue()
    assert "Ray ..." not in file.getvalue()


def test_a_step_that_fails_is_marked_and_the_error_goes_on() -> None:
    shown, file = steps()
    with pytest.raises(ValueError, match="no"), shown.shown(), shown.step("Ray"):
        raise ValueError("no")
    assert shown.steps[0].failed
    shown.console.print(shown.render())
    assert "✗" in file.getvalue()
    assert "done" not in file.getvalue()


@pytest.mark.parametrize(
    ("done", "text"),
    [(-1, "░" * 20 + "   0%"), (0.5, "█" * 10 + "░" * 10 + "  50%"), (2, "█" * 20 + " 100%")],
)
def test_a_bar_is_full_at_one(done: float, text: str) -> None:
    assert bar(done) == text
