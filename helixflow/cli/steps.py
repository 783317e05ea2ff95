"""What a long command is doing, how long it has taken, and how far it is.

On a terminal the steps are drawn in place; elsewhere each change is a line of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_BAR_CELLS = 20


@dataclass(slots=True)
class Step:
    """One step; `lines` say what it is doing right now."""

    title: str
    began: float
    lines: tuple[str, ...] = ()
    seconds: float | None = None
    failed: bool = False


@dataclass(slots=True)
class Steps:
    """Shows the steps of a command.

    Args:
        console: where to.
        monotonic: seconds.
        live: draw in place; by default where the console is a terminal.
    """

    console: Console
    monotonic: Callable[[], float] = time.monotonic
    live: bool | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def draws(self) -> bool:
        """Whether steps are drawn in place."""
        return self.console.is_terminal if self.live is None else self.live

    @contextmanager
    def shown(self) -> Iterator[Steps]:
        """Draw while the block runs; what was drawn last stays."""
        if not self.draws:
            yield self
            return
        with Live(console=self.console, get_renderable=self.render, refresh_per_second=8):
            yield self

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step that lasts as long as the block; an error marks it as failed."""
        step = Step(title, self.monotonic())
        self.steps.append(step)
        self._line(f"{title} ...")
        try:
            yield step
        except BaseException:
            step.failed = True
            raise
        finally:
            step.seconds = self.monotonic() - step.began
            if not step.failed:
                self._line(f"{title}: done in {step.seconds:.1f} s")

    def say(self, step: Step, lines: Sequence[str], *, passing: bool = False) -> None:
        """What the step is doing right now; `passing` words are only worth drawing in place."""
        if tuple(lines) != step.lines and not (passing and not self.draws):
            for line in lines:
                if line not in step.lines:
                    self._line(f"  {line}")
            step.lines = tuple(lines)

    def render(self) -> ConsoleRenderable:
        """The steps as they stand."""
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2)
        table.add_column()
        table.add_column(justify="right")
        for step in self.steps:
            seconds = self.monotonic() - step.began if step.seconds is None else step.seconds
            mark: ConsoleRenderable = Text("✓", "green")
            if step.failed:
                mark = Text("✗", "red")
            elif step.seconds is None:
                mark = Spinner("dots", style="cyan")
            what: ConsoleRenderable = Text(step.title)
            if step.lines:
                what = Group(what, *(Text(line, "dim") for line in step.lines))
            table.add_row(mark, what, Text(f"{seconds:.1f} s", "dim"))
        return table

    def _line(self, text: str) -> None:
        if not self.draws:
            self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def bar(done: float) -> str:
    """A bar for 0 to 1, with the percentage."""
    share = min(1.0, max(0.0, done))
    cells = round(share * _BAR_CELLS)
    return f"{'█' * cells}{'░' * (_BAR_CELLS - cells)} {share:4.0%}"
