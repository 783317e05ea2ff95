"""Which events become audit records, and what of each.

- `administration`: every one: keys, people, roles, policies, tokens taken back, signing keys. A
  token that was granted comes the same way, and is an authentication that was right.
- `authorization.denied`: a known caller that may not do what it asked for, requests to models among
  it. Those of one batch that are alike (caller, permission, target, address) become one record.
- `authentication.failed`: those of one batch that are alike (reason, network, credential) become one.

Of what is gathered at most `groups_max` records come of one batch, and one more for all the others
of a kind and reason, without what tells them apart: a flood of guesses is no flood of records.

Nothing else: what a key is used for is usage, and exact there (usage rows name key, project and
request). A request that limits or overload refuse is no matter of rights.

A fact that is not what it should be is cut or left out; an event is never refused, because its
record is worth more than its form.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from helixflow.signals import Event, EventKind, Fact
from helixflow.telemetry.audit.record import (
    PLATFORM,
    SYSTEM,
    Entry,
    Kind,
    Outcome,
    Subject,
    Value,
)

ID_LENGTH_MAX = 256
VALUE_LENGTH_MAX = 1024
VALUES_MAX = 64
_WORD_LENGTH_MAX = 64
_INTEGER_MAX = 2**53
_NAME = re.compile(r"[a-z_]{1,32}:[a-z_]{1,32}")
_USER = "user_"
_OF_THE_PLATFORM = ("installation", "signing_key")
_MORE = "many"
_DETAIL, _BEFORE, _AFTER = "detail.", ".before", ".after"
_SIGN_IN = "credential:authenticate"
_GRANT = "token:grant"
_UNKNOWN_USE = "unknown:use"
ADDRESS = "address:"
"""What stands before an address where it takes a person's place: of who failed to sign in, nothing
else is known."""


def entries_of(events: Iterable[Event], groups_max: int) -> list[Entry]:
    """What is to be recorded: changes in their order, then what was denied and what failed."""
    changes, others = [], []
    for event in events:
        if event.kind is EventKind.ADMINISTRATION:
            changes.append(_administration(event))
        elif event.kind is EventKind.AUTHORIZATION_DENIED:
            others.append(_denial(event))
        elif event.kind is EventKind.AUTHENTICATION_FAILED:
            others.append(_failure(event))
    return changes + gathered(others, groups_max)


def gathered(entries: Iterable[Entry], groups_max: int) -> list[Entry]:
    """Entries with those that are alike put together, and the rarest ones by their reason alone."""
    groups: dict[tuple[str, ...], Entry] = {}
    for one in entries:
        alike = (one.chain, one.action, one.reason, one.address, one.actor, one.target, one.project)
        groups[alike] = _together(groups[alike], one) if alike in groups else one
    ranked = sorted(groups.values(), key=lambda entry: -entry.count)
    kept = {id(entry) for entry in ranked[:groups_max]}
    told = [entry for entry in groups.values() if id(entry) in kept]
    rest: dict[tuple[str, ...], Entry] = {}
    for one in ranked[groups_max:]:
        place = (one.chain, one.kind, one.reason)
        rest[place] = _together(rest[place], one) if place in rest else _bare(one)
    return told + list(rest.values())


def _bare(entry: Entry) -> Entry:
    """The first of many that are told by their reason alone."""
    subject = Subject.PLATFORM if entry.chain == PLATFORM else Subject.ORGANIZATION
    name = _SIGN_IN if entry.kind is Kind.AUTHENTICATION else _UNKNOWN_USE
    return replace(
        entry, id=_id(_MORE, entry.id, 0), action=f"{subject}:{name}", address="", actor="",
        person="", target="", target_person="", project="", request="", after={"many": True},
    )  # fmt: skip


def person_of(subject: str) -> str:
    """How a person is called whose key seals what names it: a user's, a key's or a service
    account's id, or an address or a network. Empty for what is no person."""
    if subject in ("", SYSTEM):
        return ""
    try:
        network = ipaddress.ip_network(subject.removeprefix(ADDRESS), strict=False)
    except ValueError:
        return subject
    alone = network.num_addresses == 1
    return ADDRESS + str(network.network_address if alone else network)


def acting_person(subject: str, actor: str) -> str:
    """Whose key seals what names the actor: the user's who acts, or the actor's own."""
    return subject if subject.startswith(_USER) else person_of(actor)


def _administration(event: Event) -> Entry:
    """Its facts are those of `outbox_shipping.administration`, its details those of
    `identity.events.Event.detail`."""
    facts = event.facts
    name, organization = _text(facts, "name"), _text(facts, "organization")
    after = _values(facts, _AFTER)
    if not _NAME.fullmatch(name):
        name, after = "unknown:change", {**after, "name": name}
    project = _text(facts, "project")
    of_platform = not organization or name.startswith(_OF_THE_PLATFORM)
    subject = (
        Subject.PLATFORM if of_platform else Subject.PROJECT if project else Subject.ORGANIZATION
    )
    actor, target = _text(facts, "actor"), _text(facts, "target")
    address = _text(facts, _DETAIL + "source")
    return Entry(
        id=_id(event.kind, event.id, 0),
        chain=PLATFORM if of_platform else organization,
        kind=Kind.AUTHENTICATION if name == _GRANT else Kind.ADMINISTRATION,
        action=f"{subject}:{name}",
        outcome=Outcome.DONE,
        at_ms=_ms(event.at),
        actor=actor,
        person=acting_person(_text(facts, _DETAIL + "subject"), actor or address),
        target=target,
        target_person=target if target.startswith(_USER) else "",
        project=project,
        request=_text(facts, _DETAIL + "request_id"),
        address=address,
        before=_values(facts, _BEFORE),
        after=after,
    )


def _denial(event: Event) -> Entry:
    facts = event.facts
    organization, project = _text(facts, "organization"), _text(facts, "project")
    permission = _text(facts, "permission")
    if not _NAME.fullmatch(permission):
        permission = _UNKNOWN_USE
    subject = (
        Subject.PROJECT if project else Subject.ORGANIZATION if organization else Subject.PLATFORM
    )
    actor = _text(facts, "key")
    target = _text(facts, "target") or _text(facts, "model")
    return Entry(
        id=_id(event.kind, event.id, _ms(event.at)),
        chain=organization or PLATFORM,
        kind=Kind.AUTHORIZATION,
        action=f"{subject}:{permission}",
        outcome=Outcome.DENIED,
        at_ms=_ms(event.at),
        actor=actor,
        person=acting_person(_text(facts, "subject"), actor or _text(facts, "source")),
        target=target,
        target_person=target if target.startswith(_USER) else "",
        project=project,
        reason=_text(facts, "reason", _WORD_LENGTH_MAX),
        request=printable(event.id, ID_LENGTH_MAX),
        address=_text(facts, "source"),
    )


def _failure(event: Event) -> Entry:
    """Its facts are those of `authentication_failures`."""
    facts = event.facts
    address, count = _text(facts, "network"), facts.get("count")
    first_at = facts.get("first_at")
    known = person_of(address).startswith(ADDRESS)
    counted = count if isinstance(count, int) and count > 1 else 1
    return Entry(
        id=_id(event.kind, event.id, _ms(event.at)),
        chain=PLATFORM,
        kind=Kind.AUTHENTICATION,
        action=f"{Subject.PLATFORM}:{_SIGN_IN}",
        outcome=Outcome.FAILED,
        at_ms=_ms(first_at) if isinstance(first_at, int | float) else _ms(event.at),
        person=person_of(address) if known else "",
        reason=_text(facts, "reason", _WORD_LENGTH_MAX),
        address=address if known else "",
        after={"network": address} if address and not known else {},
        count=counted,
        until_ms=_ms(event.at) if counted > 1 else 0,
    )


def _together(first: Entry, second: Entry) -> Entry:
    begin = min(first.at_ms, second.at_ms)
    end = max(first.at_ms, second.at_ms, first.until_ms, second.until_ms)
    return replace(first, count=first.count + second.count, at_ms=begin, until_ms=end)


def _id(kind: str, event_id: str, at_ms: int) -> str:
    told = f"{kind}\n{event_id}\n{at_ms}".encode("utf-8", "replace")
    return "audit_" + hashlib.sha256(told).hexdigest()[:32]


def _ms(at: float) -> int:
    return int(at * 1000) if math.isfinite(at) and 0 <= at < _INTEGER_MAX / 1000 else 0


def _text(facts: Mapping[str, Fact], name: str, length_max: int = ID_LENGTH_MAX) -> str:
    """A fact as one line of text that databases and terminals can hold."""
    value = facts.get(name)
    return printable(value, length_max) if isinstance(value, str) else ""


def printable(text: str, length_max: int) -> str:
    """The text without what cannot be printed, and not longer than that."""
    cut = text[:length_max]
    return cut if cut.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in cut)


def _values(facts: Mapping[str, Fact], side: str) -> dict[str, Value]:
    """The fields of one side of a change: `detail.<field>.before` or `.after`."""
    named = {
        printable(name[len(_DETAIL) : -len(side)], _WORD_LENGTH_MAX): _value(value)
        for name, value in facts.items()
        if name.startswith(_DETAIL) and name.endswith(side)
    }
    return dict(list(named.items())[:VALUES_MAX])


def _value(value: Fact) -> Value:
    """Text that is too long is replaced by what tells it from any other."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _INTEGER_MAX:
        return value
    text = str(value)
    whole = text.encode("utf-8", "replace")
    if len(text) <= VALUE_LENGTH_MAX:
        return whole.decode()
    return f"sha256:{hashlib.sha256(whole).hexdigest()} ({len(whole)} bytes)"
