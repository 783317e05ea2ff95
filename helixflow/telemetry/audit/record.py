"""The words of the audit log, and the form in which a record is kept.

An action reads `subject:resource:action`: whose log it is in (the `platform`, an `organization`, a
`project` of it), on what kind of thing, what was done: `project:key:create`,
`organization:member:update`, `project:model:invoke`, `platform:credential:authenticate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import msgspec

PLATFORM = "platform"
"""The chain of what belongs to no organization. All other chains are called by an organization."""

SYSTEM = "system"
"""The actor that is the platform itself."""

Value: TypeAlias = str | int | bool | None
"""What `before` and `after` hold. No fractions: their text has more than one form."""


class Kind(StrEnum):
    """What a record is about; each kind is kept for a time of its own."""

    ADMINISTRATION = "administration"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"


class Outcome(StrEnum):
    """What came of it."""

    DENIED = "denied"
    DONE = "done"
    FAILED = "failed"


class Subject(StrEnum):
    """Whose log an action is in."""

    ORGANIZATION = "organization"
    PLATFORM = "platform"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened, in clear: what a record is made of.

    Attributes:
        id: the same for the same event, however often it comes.
        chain: `PLATFORM`, or an organization's id.
        kind, action, outcome: see above; `reason` is one of `errors.Refusal`, or empty.
        at_ms: epoch milliseconds. `until_ms` is when the last of `count` happened, 0 for one.
        actor: who did it, an id, `SYSTEM`, or empty where nobody knows.
        person: whose key seals what names the actor; empty where it is nobody's.
        target: what it was done to, an id. `target_person` as `person`.
        project, request, address: ids and the client's address, where there are any.
        before, after: the fields that changed.
    """

    id: str
    chain: str
    kind: Kind
    action: str
    outcome: Outcome
    at_ms: int
    actor: str = ""
    person: str = ""
    target: str = ""
    target_person: str = ""
    project: str = ""
    reason: str = ""
    request: str = ""
    address: str = ""
    count: int = 1
    until_ms: int = 0
    before: Mapping[str, Value] = field(default_factory=dict)
    after: Mapping[str, Value] = field(default_factory=dict)


# The order of the fields of the two structs below is part of the format: it is that of their names.


class Part(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Who did it, or what it was done to: an id in clear, or what names a person, sealed.

    Attributes:
        id: an id that names no person.
        index: the blind index of the person, 32 hexadecimal digits.
        sealed: `Personal` in JSON, sealed under the person's key; base64.
    """

    id: str = ""
    index: str = ""
    sealed: str = ""


class Record(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A record as it is chained: see `Entry`; `after` and `before` hold what names nobody."""

    action: str
    actor: Part
    after: dict[str, Value] = {}
    at_ms: int = 0
    before: dict[str, Value] = {}
    chain: str = ""
    count: int = 1
    id: str = ""
    kind: Kind = Kind.ADMINISTRATION
    outcome: Outcome = Outcome.DONE
    project: str = ""
    reason: str = ""
    request: str = ""
    sequence: int = 0
    target: Part = Part()
    until_ms: int = 0


class Personal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is sealed of a part: the id, and the fields that may name somebody."""

    id: str
    address: str = ""
    after: dict[str, Value] = {}
    before: dict[str, Value] = {}
