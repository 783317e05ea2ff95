"""How the administration's objects are laid out in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

Columns: TypeAlias = Sequence[tuple[str, str | Callable[[Mapping[str, Any]], object]]]
"""Titles, each with a field's name or with what computes its cell."""

_MAY_BREAK = frozenset({"because of", "case", "email", "name", "permissions"})
_NARROWEST, _WIDEST = 10, 1000
_SECRETS = ("value", "access_token", "refresh_token", "token")
_TIMES = ("_at", "_from", "_until")
_NONE = {"allowed_cidrs": "all", "allowed_models": "all", "expires_at": "never"}
_NESTED = ("api_key", "key")
_UNSAID = frozenset({"object", *_SECRETS})


def table(rows: Iterable[Mapping[str, Any]], columns: Columns) -> Table:
    """One row for each object."""
    laid = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    cells = [[_cell(row, what) for _, what in columns] for row in rows]
    for place, (title, _) in enumerate(columns):
        widest = max(cell_len(title), *(row[place].cell_len for row in cells), 0)
        least = min(widest, _NARROWEST) if title in _MAY_BREAK else widest
        laid.add_column(title, overflow="fold", min_width=least)
    for line in cells:
        laid.add_row(*line)
    return laid


def print_table(laid: Table, console: Console) -> None:
    """At its own width where the terminal is too narrow: an id that is cut is of no use."""
    least = Measurement.get(console, console.options.update(max_width=_WIDEST), laid).minimum
    console.print(laid, width=max(console.width, least), crop=False)


def facts(body: Mapping[str, Any]) -> Table:
    """One object, a line for each field; secrets are left to `Session.show_secret`."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in _flat(body):
        grid.add_row(name.replace("_", " "), Text(words(name, value)))
    return grid


def _flat(body: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in body.items():
        if name in _UNSAID:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name} ")
        else:
            yield before + name, value


def secret_of(body: Mapping[str, Any]) -> str | None:
    """The secret in an answer: a key's or a token's text, or that of the key inside it."""
    for holder in (body, *(body.get(name) for name in _NESTED)):
        if isinstance(holder, Mapping):
            for name in _SECRETS:
                if isinstance(holder.get(name), str):
                    return str(holder[name])
    return None


def words(name: str, value: object) -> str:
    """A field's value for a person."""
    if value is None:
        return _NONE.get(name, "-")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith(_TIMES) and isinstance(value, int | float):
        return moment(value)
    if isinstance(value, list | tuple):
        return ", ".join(words("", one) for one in value) or "-"
    return str(value)


def day(epoch_s: float | None) -> str:
    """A day in UTC, for where there is little room."""
    return "-" if epoch_s is None else moment(epoch_s).split()[0]


def moment(epoch_s: float) -> str:
    """A time in UTC, to the minute."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%MZ")


def _cell(row: Mapping[str, Any], what: str | Callable[[Mapping[str, Any]], object]) -> Text:
    if isinstance(what, str):
        return Text(words(what, row.get(what)))
    made = what(row)
    return made if isinstance(made, Text) else Text(words("", made))
