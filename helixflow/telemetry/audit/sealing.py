"""An entry becomes a record: what names a person is sealed, the rest stays in clear.

What names the actor (its id and address) is sealed under the actor's person; what names the target,
where that is a person, under the target's. Of `before` and `after` only fields whose values come
from a closed vocabulary stay in clear; all others may name somebody: they are sealed with the
target where it is a person, else with the actor, who wrote them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from helixflow.crypto.master_key import SealBroken
from helixflow.telemetry.audit.persons import PersonKey, place
from helixflow.telemetry.audit.record import Entry, Part, Personal, Record, Value

ACTOR, TARGET = "actor", "target"

_CLEAR = frozenset(
    {
        "archived_at", "cidrs", "content_days", "content_period", "count", "created_at",
        "disabled_at", "enabled", "expires_at", "first", "grant_type", "kind", "last", "many",
        "models", "network", "of", "permissions", "project", "quotas", "revoked_at", "role",
        "scopes", "service_account", "signs_from", "signs_until",
        "updated_at", "verifies_until", "weight",
    }
)  # fmt: skip
"""Fields of `before` and `after` that name nobody."""


def sealed_record(entry: Entry, keys: Mapping[str, PersonKey]) -> Record:
    """The record of an entry, without its number. `keys` has the keys of its persons."""
    after, private_after = _split(entry.after)
    before, private_before = _split(entry.before)
    actor = Personal(entry.actor, entry.address)
    target = Personal(entry.target)
    if private_after or private_before:
        if entry.target_person:
            target = Personal(entry.target, after=private_after, before=private_before)
        elif entry.person:
            actor = Personal(entry.actor, entry.address, private_after, private_before)
        else:  # the platform's own words
            after, before = dict(sorted(entry.after.items())), dict(sorted(entry.before.items()))
    return Record(
        action=entry.action,
        actor=_part(entry, ACTOR, entry.person, actor, keys),
        after=after,
        at_ms=entry.at_ms,
        before=before,
        chain=entry.chain,
        count=entry.count,
        id=entry.id,
        kind=entry.kind,
        outcome=entry.outcome,
        project=entry.project,
        reason=entry.reason,
        request=entry.request,
        target=_part(entry, TARGET, entry.target_person, target, keys),
        until_ms=entry.until_ms,
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A record in clear, as far as its persons are remembered.

    Attributes:
        actor, target: ids; empty where they are forgotten, or there are none.
        forgotten: which of the two parts cannot be opened any more.
    """

    record: Record
    actor: str
    address: str
    target: str
    before: dict[str, Value]
    after: dict[str, Value]
    forgotten: frozenset[str] = field(default_factory=frozenset)


def opened(record: Record, keys: Mapping[str, PersonKey]) -> Opened:
    """The record in clear. `keys` has those of its persons that are remembered, by index."""
    parts = {name: _open(record, name, keys) for name in (ACTOR, TARGET)}
    told = {name: part or Personal("") for name, part in parts.items()}
    return Opened(
        record=record,
        actor=told[ACTOR].id,
        address=told[ACTOR].address,
        target=told[TARGET].id,
        before=record.before | told[ACTOR].before | told[TARGET].before,
        after=record.after | told[ACTOR].after | told[TARGET].after,
        forgotten=frozenset(name for name, part in parts.items() if part is None),
    )


def _part(
    entry: Entry, name: str, person: str, personal: Personal, keys: Mapping[str, PersonKey]
) -> Part:
    if not person:
        return Part(id=personal.id)
    return keys[person].seal(personal, place(entry.chain, entry.id, name))


def _open(record: Record, name: str, keys: Mapping[str, PersonKey]) -> Personal | None:
    part: Part = getattr(record, name)
    if not part.index:
        return Personal(part.id)
    key = keys.get(part.index)
    if key is None:
        return None
    try:
        return key.open(part, place(record.chain, record.id, name))
    except SealBroken:
        return None


def _split(fields: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
    """`(clear, private)`, each in the order of the names."""
    ordered = sorted(fields.items())
    clear = {name: value for name, value in ordered if name in _CLEAR}
    return clear, {name: value for name, value in ordered if name not in _CLEAR}
