"""Which events become audit records, and what of each.

- `administration`: every one: keys, people, roles, policies, tokens taken back, signing keys.
- `authorization.denied`: every one: a known caller that may not do what it asked for, requests to
  models among it.
- `authentication.failed`: gathered by reason, address and credential; of one batch at most
  `groups_max` groups, and one more for all others, so that a flood of guesses is no flood of records.

Nothing else: what a key is used for is usage, and exact there (usage rows name key, project and
request). A request that limits or overload refuse is no matter of rights.

A fact that is not what it should be is cut or left out; an event is never refused, because its
record is worth more than its form.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

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
_TEXT_LENGTH_MAX = 65_536
_INTEGER_MAX = 2**53
_NAME = re.compile(r"[a-z_]{1,32}:[a-z_]{1,32}")
_USER = "user_"
_OF_THE_PLATFORM = ("installation", "signing_key")
_MORE = "many"
ADDRESS = "address:"
"""What stands before an address where it takes a person's place: of who failed to sign in, nothing
else is known."""


def entries_of(events: Iterable[Event], groups_max: int) -> list[Entry]:
    """What is to be recorded, in the order of the events; failed authentications come last."""
    entries, failures = [], []
    for event in events:
        if event.kind is EventKind.ADMINISTRATION:
            entries.append(_administration(event))
        elif event.kind is EventKind.AUTHORIZATION_DENIED:
            entries.append(_denial(event))
        elif event.kind is EventKind.AUTHENTICATION_FAILED:
            failures.append(_failure(event))
    return entries + gathered(failures, groups_max)


def gathered(failures: Iterable[Entry], groups_max: int) -> list[Entry]:
    """Failures with those that are alike put together; the rarest ones without their address."""
    groups: dict[tuple[str, ...], Entry] = {}
    for one in failures:
        alike = (one.chain, one.reason, one.address, one.actor, one.project)
        groups[alike] = _together(groups[alike], one) if alike in groups else one
    ranked = sorted(groups.values(), key=lambda entry: -entry.count)
    kept = {id(entry) for entry in ranked[:groups_max]}
    told = [entry for entry in groups.values() if id(entry) in kept]
    rest: dict[tuple[str, str], Entry] = {}
    for one in ranked[groups_max:]:
        bare = replace(
            one, id=_id(_MORE, one.id, 0), address="", actor="", person="", project="",
            after={"addresses": _MORE},
        )  # fmt: skip
        place = (one.chain, one.reason)
        rest[place] = _together(rest[place], bare) if place in rest else bare
    return told + list(rest.values())


def person_of(subject: str) -> str:
    """How a person is called whose key seals what names it: a user's, a key's or a service
    account's id, or an address. Empty for what is no person."""
    if subject in ("", SYSTEM):
        return ""
    try:
        return ADDRESS + str(ipaddress.ip_address(subject.removeprefix(ADDRESS)))
    except ValueError:
        return subject


def acting_person(subject: str, actor: str) -> str:
    """Whose key seals what names the actor: the user's who acts, or the actor's own."""
    return subject if subject.startswith(_USER) else person_of(actor)


def _administration(event: Event) -> Entry:
    facts = event.facts
    name, organization = _text(facts, "name"), _text(facts, "organization")
    after = _values(facts, "after")
    if not _NAME.fullmatch(name):
        name, after = "unknown:change", {**after, "name": name}
    project = _text(facts, "project")
    of_platform = not organization or name.startswith(_OF_THE_PLATFORM)
    subject = (
        Subject.PLATFORM if of_platform else Subject.PROJECT if project else Subject.ORGANIZATION
    )
    actor, target = _text(facts, "actor"), _text(facts, "target")
    return Entry(
        id=_id(event.kind, event.id, 0),
        chain=PLATFORM if of_platform else organization,
        kind=Kind.ADMINISTRATION,
        action=f"{subject}:{name}",
        outcome=Outcome.DONE,
        at_ms=_ms(event.at),
        actor=actor,
        person=_person(facts, actor),
        target=target,
        target_person=target if target.startswith(_USER) else "",
        project=project,
        request=_text(facts, "request_id"),
        address=_text(facts, "source"),
        before=_values(facts, "before"),
        after=after,
    )


def _denial(event: Event) -> Entry:
    facts = event.facts
    organization, project = _text(facts, "organization"), _text(facts, "project")
    permission = _text(facts, "permission")
    if not _NAME.fullmatch(permission):
        permission = "unknown:use"
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
        person=_person(facts, actor),
        target=target,
        target_person=target if target.startswith(_USER) else "",
        project=project,
        reason=_text(facts, "reason", _WORD_LENGTH_MAX),
        request=printable(event.id, ID_LENGTH_MAX),
        address=_text(facts, "source"),
    )


def _failure(event: Event) -> Entry:
    facts = event.facts
    organization = _text(facts, "organization")
    actor = _text(facts, "key")
    until, count = facts.get("until"), facts.get("count")
    subject = Subject.ORGANIZATION if organization else Subject.PLATFORM
    return Entry(
        id=_id(event.kind, event.id, _ms(event.at)),
        chain=organization or PLATFORM,
        kind=Kind.AUTHENTICATION,
        action=f"{subject}:credential:authenticate",
        outcome=Outcome.FAILED,
        at_ms=_ms(event.at),
        actor=actor,
        person=_person(facts, actor),
        project=_text(facts, "project"),
        reason=_text(facts, "reason", _WORD_LENGTH_MAX),
        address=_text(facts, "source"),
        count=count if isinstance(count, int) and count >= 1 else 1,
        until_ms=_ms(until) if isinstance(until, int | float) else 0,
    )


def _person(facts: Mapping[str, Fact], actor: str) -> str:
    return acting_person(_text(facts, "subject"), actor or _text(facts, "source"))


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


def _values(facts: Mapping[str, Fact], name: str) -> dict[str, Value]:
    """The fields of an object, from its JSON."""
    told = facts.get(name)
    if not isinstance(told, str) or not told:
        return {}
    try:
        fields = json.loads(told) if len(told) <= _TEXT_LENGTH_MAX else None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        return {"text": _value(told)}
    some = list(fields.items())[:VALUES_MAX]
    return {printable(field, _WORD_LENGTH_MAX): _value(value) for field, value in some}


def _value(value: Any) -> Value:
    """Text that is too long is replaced by what tells it from any other."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _INTEGER_MAX else str(value)[:VALUE_LENGTH_MAX]
    if isinstance(value, list) and len(value) <= VALUES_MAX:
        return [printable(str(one), _WORD_LENGTH_MAX * 2) for one in value]
    text = value if isinstance(value, str) else json.dumps(value)
    whole = text.encode("utf-8", "replace")
    if len(text) <= VALUE_LENGTH_MAX:
        return whole.decode()
    return f"sha256:{hashlib.sha256(whole).hexdigest()} ({len(whole)} bytes)"
