"""What an Ingress asks of the audit log.

Whether the caller may, for the place in question, the Ingress has asked Auth before; `reach` says
for which place: the projects that the question names, the organization, or the platform. Without it
(`own`) a caller that has a project sees that one alone. Another organization's chain is out of
everybody's reach: the chain is the caller's own, or the platform's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from helixflow.errors import Forbidden, InvalidRequest, Refusal
from helixflow.telemetry.audit.entries import acting_person, person_of, printable
from helixflow.telemetry.audit.event_types import chosen
from helixflow.telemetry.audit.export import Cursor, Export
from helixflow.telemetry.audit.log import AuditLog, new_id
from helixflow.telemetry.audit.persons import Persons
from helixflow.telemetry.audit.ports import AuditStore, Filters
from helixflow.telemetry.audit.record import PLATFORM, Entry, Kind, Outcome, Subject
from helixflow.telemetry.audit.shape import Json, shown
from helixflow.telemetry.desk import Arguments, Operation, Visit

PAGE_MAX = 100
READ, ERASE = "audit:read", "audit:erase"
_SEALS_PAGE = 1000
_FAR = 2**62
_AT_MAX = 1e11
_WORDS_MAX = 100
_LENGTH_MAX = 256

Reach: TypeAlias = Literal["own", "named", "organization", "platform"]


class Reading(Arguments, frozen=True, kw_only=True):
    """Attributes: see the module."""

    reach: Reach = "own"


class Query(Reading, frozen=True, kw_only=True):
    """OpenAI's filters; times are epoch seconds."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None
    event_types: tuple[str, ...] = ()
    actor_ids: tuple[str, ...] = ()
    project_ids: tuple[str, ...] = ()
    resource_ids: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    after: str | None = None
    before: str | None = None
    limit: int = 20


class ExportPage(Reading, frozen=True, kw_only=True):
    """The first part of a file, or the part that comes with `cursor`."""

    since: float | None = None
    until: float | None = None
    cursor: Cursor | None = None


class Seals(Reading, frozen=True, kw_only=True):
    """The seals over records after this number."""

    after: int = 0
    limit: int = PAGE_MAX


class Erase(Reading, frozen=True, kw_only=True):
    """`person`: a user's, key's or service account's id, or an address."""

    person: str


class AuditDesk:
    """The operations."""

    def __init__(self, store: AuditStore, log: AuditLog, persons: Persons, export: Export) -> None:
        self._store = store
        self._log = log
        self._persons = persons
        self._export = export

    def operations(self) -> tuple[Operation, ...]:
        """For `telemetry.desk.Desk`."""
        return (
            Operation("audit.query", READ, Query, self._query),
            Operation("audit.export", READ, ExportPage, self._page),
            Operation("audit.seals", READ, Seals, self._seals),
            Operation("audit.erase_person", ERASE, Erase, self._erase),
        )

    async def _query(self, visit: Visit, asked: Query) -> Json:
        if not 1 <= asked.limit <= PAGE_MAX:
            raise _wrong(f"It must be 1 to {PAGE_MAX}.", "limit")
        if asked.after is not None and asked.before is not None:
            raise _wrong("Give `after` or `before`, not both.", "before")
        if asked.reach == "named" and not asked.project_ids:
            raise _wrong("Name a project.", "project_ids")
        chain = _chain(visit, asked)
        filters = await self._filters(chain, asked, _projects(visit, asked))
        found = await self._store.find(chain, filters, asked.limit + 1)
        more = len(found) > asked.limit
        if more:  # the one too many is the last of a list that goes on, the first of one before
            found = found[1:] if asked.before is not None else found[:-1]
        data = await shown(found, self._persons)
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": more,
        }

    async def _page(self, visit: Visit, asked: ExportPage) -> bytes:
        """The next cursor as JSON in a line of its own (null at the end), then the file's lines."""
        chain = self._whole_chain(visit, asked)
        if asked.cursor is None:
            page = await self._export.begin(chain, _ms(asked.since), _ms(asked.until))
        else:
            page = await self._export.go_on(chain, asked.cursor)
        return msgspec.json.encode(page.following) + b"\n" + page.lines

    async def _seals(self, visit: Visit, asked: Seals) -> Json:
        chain = self._whole_chain(visit, asked)
        limit = min(max(1, asked.limit), _SEALS_PAGE)
        await self._log.seal(chain)
        found = await self._store.seals(chain, asked.after, _FAR, limit + 1)
        return {
            "object": "list",
            "data": [
                {
                    "object": "organization.audit_log.seal",
                    "sequence": seal.statement.sequence,
                    "head": seal.statement.head,
                    "kind": seal.statement.kind,
                    "sealed_at": seal.statement.at_ms // 1000,
                    "public_key": seal.public.hex(),
                    "line": seal.line.decode(),
                }
                for seal in found[:limit]
            ],
            "chain": chain,
            "public_key": self._log.public.hex(),
            "has_more": len(found) > limit,
        }

    async def _erase(self, visit: Visit, asked: Erase) -> Json:
        chain = self._whole_chain(visit, asked)
        person = person_of(printable(asked.person, _LENGTH_MAX))
        if not person:
            raise _wrong("It is the id of a user, key or service account, or an address.", "person")
        if person in (visit.principal.subject, visit.principal.key):
            raise _wrong("Nobody lets the log forget who it is; somebody else must ask.", "person")
        erasure = await self._log.erase(
            chain,
            person,
            Entry(
                id=new_id(),
                chain=chain,
                kind=Kind.ADMINISTRATION,
                action=f"{_subject(chain)}:person:erase",
                outcome=Outcome.DONE,
                at_ms=0,
                actor=visit.principal.key,
                person=acting_person(visit.principal.subject, visit.principal.key),
                request=visit.request_id,
                address=visit.source,
            ),
        )
        return {
            "object": "organization.audit_log.erasure",
            "index": erasure.index,
            "erased_at": erasure.at_ms // 1000,
        }

    def _whole_chain(self, visit: Visit, asked: Reading) -> str:
        """The chain, for what cannot be done for one project of it."""
        within_a_project = asked.reach == "own" and visit.scope.project is not None
        if within_a_project or asked.reach == "named":
            raise Forbidden(
                Refusal.PERMISSION_DENIED, "This takes the permission in the organization."
            )
        return _chain(visit, asked)

    async def _filters(self, chain: str, asked: Query, projects: tuple[str, ...]) -> Filters:
        for name in ("event_types", "actor_ids", "project_ids", "resource_ids"):
            if len(getattr(asked, name)) > _WORDS_MAX:
                raise _wrong(f"At most {_WORDS_MAX}.", name)
        actions, kinds = chosen([printable(one, _LENGTH_MAX) for one in asked.event_types])
        since = [*_lower(asked.gte, 0), *_lower(asked.gt, 1)]
        until = [*_upper(asked.lt, 0), *_upper(asked.lte, 1)]
        return Filters(
            since_ms=max(since, default=None),
            until_ms=min(until, default=None),
            actions=actions,
            kinds=kinds,
            actors=await self._names(chain, asked.actor_ids),
            targets=await self._names(chain, asked.resource_ids),
            projects=projects,
            outcomes=tuple(outcome.value for outcome in asked.outcomes),
            after=asked.after,
            before=asked.before,
        )

    async def _names(self, chain: str, ids: Iterable[str]) -> tuple[str, ...]:
        """What records may have for these ids: themselves, or a person's blind index."""
        names: list[str] = []
        for one in (printable(text, _LENGTH_MAX) for text in ids):
            names.append(one)
            key = await self._persons.find(chain, person_of(one)) if person_of(one) else None
            if key is not None:
                names.append(key.index)
        return tuple(names)


def _chain(visit: Visit, asked: Reading) -> str:
    return PLATFORM if asked.reach == "platform" else visit.principal.organization


def _subject(chain: str) -> Subject:
    return Subject.PLATFORM if chain == PLATFORM else Subject.ORGANIZATION


def _projects(visit: Visit, asked: Query) -> tuple[str, ...]:
    own = visit.scope.project
    if asked.reach == "own" and own is not None:
        return (own,)
    return tuple(printable(one, _LENGTH_MAX) for one in asked.project_ids)


def _lower(at: float | None, strictly: int) -> list[int]:
    """The millisecond from which on the second of a record is at least (or above) `at`."""
    if at is None:
        return []
    return [((math.floor(_near(at)) + 1) if strictly else math.ceil(_near(at))) * 1000]


def _upper(at: float | None, inclusively: int) -> list[int]:
    """The millisecond before which the second of a record is below (or at most) `at`."""
    if at is None:
        return []
    return [((math.floor(_near(at)) + 1) if inclusively else math.ceil(_near(at))) * 1000]


def _ms(at: float | None) -> int | None:
    return None if at is None else int(_near(at) * 1000)


def _near(at: float) -> float:
    """A time that databases can hold in milliseconds."""
    return min(max(0.0, at), _AT_MAX)


def _wrong(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(Refusal.INVALID_VALUE, message, param=param)
