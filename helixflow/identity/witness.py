"""What an administrative request changed, as its events tell it to the audit log.

A unit of work is watched while a service does its work in it: what records were before, what they
are after. Each event gets the fields of its target that differ, and where the request came from:

    name.before, name.after     a field that changed; a side on which there is nothing is left out
    request_id, source, subject the request, the client's address, the user or account that acts

No secret is told: of a password only that it changed. Names and e-mail addresses of people are told
to the audit log, which seals them; the outbox has them only until it was shipped.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

from helixflow.identity.events import Event
from helixflow.identity.ports import Page, Store, Unit
from helixflow.identity.records import Membership

T = TypeVar("T")

TEXT_LENGTH_MAX = 1024
_MEMBER = "member:"
_CHANGED = "changed"
_NOT_TOLD = frozenset(
    {
        "body", "created_at", "failures", "hint", "id", "last_used_at", "locked_until", "mac",
        "organization", "private", "public", "request", "updated_at", "user",
    }
)  # fmt: skip
_SECRET = frozenset({"password"})


class Witnessed:
    """A `Store` whose units are watched; `circumstances` go into every event.

    For one request: what a unit saw, the next unit of the same request knows.
    """

    def __init__(self, store: Store, circumstances: Mapping[str, str]) -> None:
        self._store = store
        self._circumstances = {name: text for name, text in circumstances.items() if text}
        self._notes = _Notes()

    async def read(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.read`."""
        return await self._store.read(lambda unit: work(self._watched(unit)))

    async def write(self, work: Callable[[Unit], Awaitable[T]]) -> T:
        """See `Store.write`."""
        return await self._store.write(lambda unit: work(self._watched(unit)))

    def _watched(self, unit: Unit) -> Unit:
        return cast("Unit", _Unit(unit, self._circumstances, self._notes))


class _Notes:
    """Records as they were seen first, and as they were left."""

    def __init__(self) -> None:
        self._seen: dict[tuple[type, str], Any] = {}
        self._left: dict[tuple[type, str], Any] = {}

    def see(self, record: Any) -> None:
        if record is not None:
            self._seen.setdefault((type(record), record.id), record)

    def leave(self, record: Any, after: Any) -> None:
        self._left[type(record), record.id] = after

    def about(self, event: Event) -> dict[str, str]:
        """The fields that differ of what an event is about."""
        told: dict[str, str] = {}
        for place, after in self._left.items():
            before = self._seen.get(place)
            if _concerns(event, after if before is None else before):
                told |= _differences(_plain(before), _plain(after))
        return told


class _Unit:
    """A `Unit` that notes what happens to records."""

    def __init__(self, unit: Unit, circumstances: Mapping[str, str], notes: _Notes) -> None:
        self._unit = unit
        self._circumstances = circumstances
        self._notes = notes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._unit, name)
        return _Records(found, self._notes) if hasattr(found, "put") else found

    def record(self, event: Event) -> None:
        """See `Unit.record`."""
        detail = {**self._notes.about(event), **event.detail, **self._circumstances}
        self._unit.record(dataclasses.replace(event, detail=detail))


class _Records:
    """`Records` that are noted."""

    def __init__(self, records: Any, notes: _Notes) -> None:
        self._records = records
        self._notes = notes

    async def get(self, scope: Any, record_id: str) -> Any:
        """See `Records.get`."""
        found = await self._records.get(scope, record_id)
        self._notes.see(found)
        return found

    async def page(self, *place: Any, **fields: Any) -> Page[Any]:
        """See `Records.page`."""
        page: Page[Any] = await self._records.page(*place, **fields)
        return page

    async def where(self, scope: Any, **fields: object) -> list[Any]:
        """See `Records.where`."""
        found: list[Any] = await self._records.where(scope, **fields)
        for record in found:
            self._notes.see(record)
        return found

    async def add(self, record: Any) -> None:
        """See `Records.add`."""
        await self._records.add(record)
        self._notes.leave(record, record)

    async def put(self, record: Any) -> None:
        """See `Records.put`."""
        await self._records.put(record)
        self._notes.leave(record, record)

    async def remove(self, record: Any) -> None:
        """See `Records.remove`."""
        self._notes.see(record)
        await self._records.remove(record)
        self._notes.leave(record, None)


def _concerns(event: Event, record: Any) -> bool:
    if event.name.startswith(_MEMBER):
        if not isinstance(record, Membership):
            return False
        return record.user == event.target and record.project == event.project
    return bool(record.id == event.target)


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    told = {}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        if name in _SECRET:
            told[f"{name}.after"] = _CHANGED
            continue
        for side, fields in (("before", before), ("after", after)):
            if name in fields:
                told[f"{name}.{side}"] = fields[name]
    return told


def _plain(record: Any) -> dict[str, str]:
    """A record's fields as texts, without those that are nobody's business or are not there."""
    if record is None:
        return {}
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {
        name: _text(value)
        for name, value in fields.items()
        if name not in _NOT_TOLD and value is not None
    }


def _text(value: object) -> str:
    """One form of a value; what is long is told by what tells it from any other."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.0f}"
    if isinstance(value, frozenset | set | tuple | list):
        text = ", ".join(sorted(str(one) for one in value))
    else:
        text = str(value)
    if len(text) <= TEXT_LENGTH_MAX:
        return text
    whole = text.encode("utf-8", "replace")
    return f"sha256:{hashlib.sha256(whole).hexdigest()} ({len(whole)} bytes)"
