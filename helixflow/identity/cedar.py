"""Policies in Cedar: what roles permit, narrowed by attributes.

A policy never gives more than roles give; it is asked after `permissions.decide`. A set of policies
that only forbid narrows what roles permit. In a set with a `permit`, Cedar's own rule holds: what
is not permitted is denied. Forbid beats permit. A policy that fails while it is evaluated (Cedar
would pass over it) denies: a broken `forbid` must not let anything through.

Parsed sets and entities are kept, and so are decisions, by all that the policies can tell apart
(cedar_reads.py): a set that reads only the caller's project is asked once for all callers of that
project. Policies do not depend on each other, so those that read the same parts of the context are
one group, with decisions of its own: one that reads the clock does not make the others be asked
again every second. Cedar sees of the context what the group reads, and nothing else.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cedarpy

from helixflow.identity import networks
from helixflow.identity.cedar_reads import ATTRIBUTES, actions, caller_attributes, context_parts
from helixflow.identity.cedar_schema import Parsed, parse, schema
from helixflow.identity.permissions import Permission
from helixflow.inference.principal import Principal

_KEPT_MAX = 4096
_FALLBACK = "permit (principal, action, resource);"
_FALLBACK_ID = "roles"


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be done something with: a model, or anything else (`kind` "Object").

    Attributes:
        id: the model's name or the object's id.
        attributes: of a model `owner`, `region` and `dataClass`; of an object `organization` and
            `project`. What is not given is empty.
    """

    kind: str
    id: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is so about one request.

    Attributes:
        now: epoch seconds; policies see it with hour and weekday (Monday is 1) in UTC.
        source: the client's address; what is none is no source for policies.
        claims: of the access token, each as `name=value`.
    """

    now: float
    source: str = ""
    claims: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision and its explanation: the ids of the policies that decided, or what went wrong."""

    allowed: bool
    because: tuple[str, ...]
    errors: tuple[str, ...] = ()


_Who: TypeAlias = tuple[str, ...]
_Policies: TypeAlias = Mapping[str, Parsed]


class CompiledPolicies:
    """The policies that hold for one project, ready to be asked. Not for several threads.

    Args:
        sources: policy texts by their ids; each may hold several policies.
        kept_max: decisions of groups, and entities, that are kept.
    """

    def __init__(self, sources: Mapping[str, str], kept_max: int = _KEPT_MAX) -> None:
        self._kept_max = kept_max
        policies = {
            f"{policy_id}#{number}": body
            for policy_id, source in sources.items()
            for number, body in enumerate(parse(source)["staticPolicies"].values())
        }
        self._narrow = all(body["effect"] == "forbid" for body in policies.values())
        self._groups = _groups(policies, narrow=self._narrow)
        self._about: dict[str, tuple[_Group, ...]] = {
            action: tuple(group for group in self._groups if group.concerns(action))
            for action in Permission
        }
        self._entities: OrderedDict[object, tuple[Parsed, cedarpy.Entities]] = OrderedDict()
        self._heard: OrderedDict[object, _Heard] = OrderedDict()

    def decide(
        self, principal: Principal, action: str, target: Target, circumstances: Circumstances
    ) -> Judgement:
        """Whether the policies let a caller do it. The caller's permissions are checked before."""
        groups = self._about.get(action, self._groups)
        if not groups:
            return _ROLES_ALLOW if self._narrow else _NOBODY_PERMITS
        heard = [self._hear(group, principal, action, target, circumstances) for group in groups]
        if len(heard) == 1:
            return heard[0].alone
        for one in heard:
            if not one.alone.allowed:
                return together(heard)
        # What permits is the same everywhere where policies only forbid.
        return heard[0].alone if self._narrow else together(heard)

    def _hear(
        self,
        group: _Group,
        principal: Principal,
        action: str,
        target: Target,
        circumstances: Circumstances,
    ) -> _Heard:
        """What a group says, from what is kept or from Cedar."""
        who = tuple([getattr(principal, name) for name in group.reads]) if group.reads else ()
        place = (group.number, who, action, target, group.situation(circumstances))
        heard = self._heard.get(place)
        if heard is None:
            caller, entities = self._entities_of(group.reads, who, target)
            heard = group.ask(caller, action, target, circumstances, entities)
            self._keep(self._heard, place, heard)
        else:
            self._heard.move_to_end(place)
        return heard

    def _entities_of(
        self, reads: tuple[str, ...], who: _Who, target: Target
    ) -> tuple[Parsed, cedarpy.Entities]:
        """The caller's id in Cedar, and the entities that an answer depends on."""
        place = (reads, who, target)
        held = self._entities.get(place)
        if held is None:
            caller = _caller(dict(zip(reads, who, strict=True)))
            listed = [caller, _resource(target)]
            held = (caller["uid"], cedarpy.Entities.from_json_str(json.dumps(listed), schema()))
            self._keep(self._entities, place, held)
        else:
            self._entities.move_to_end(place)
        return held

    def _keep(self, kept: OrderedDict[object, Any], place: object, value: object) -> None:
        if len(kept) >= self._kept_max:
            kept.popitem(last=False)
        kept[place] = value


@dataclass(frozen=True, slots=True)
class _Heard:
    """What Cedar says of one group: whether it permits, and the ids of the policies that decided.

    `alone` is the judgement where there is no other group.
    """

    permits: bool
    because: frozenset[str]
    errors: tuple[str, ...]
    alone: Judgement


class _Group:
    """Policies that read the same parts of the context.

    Attributes:
        reads: attributes of the caller by which some of them tell callers apart.
    """

    def __init__(self, number: int, parts: frozenset[str], policies: _Policies) -> None:
        self.number = number
        self._parts = parts
        read = {name for body in policies.values() for name in caller_attributes(body)}
        self.reads = tuple(name for name in ATTRIBUTES if name in read)
        named = [actions(body) for name, body in policies.items() if name != _FALLBACK_ID]
        self._actions = None if None in named else frozenset[str]().union(*filter(None, named))
        self._set = cedarpy.PolicySet.from_json_str(
            json.dumps({"templates": {}, "staticPolicies": policies, "templateLinks": []})
        )

    def concerns(self, action: str) -> bool:
        """Whether one of them can apply to an action."""
        return self._actions is None or action in self._actions

    def situation(self, circumstances: Circumstances) -> object:
        """All of the circumstances that they can tell apart."""
        parts = self._parts
        if not parts:
            return None
        now = int(circumstances.now)
        return (
            now if "second" in parts else now // 3600 if "hour" in parts else None,
            circumstances.source if "source" in parts else None,
            circumstances.claims if "claims" in parts else None,
        )

    def ask(
        self,
        caller: Parsed,
        action: str,
        target: Target,
        circumstances: Circumstances,
        entities: cedarpy.Entities,
    ) -> _Heard:
        """Let Cedar evaluate them all."""
        request = {
            "principal": caller,
            "action": {"type": "Action", "id": action},
            "resource": {"type": target.kind, "id": target.id},
            "context": _context(circumstances, self._parts),
        }
        result = cedarpy.is_authorized(request, self._set, entities)
        diagnostics = result.diagnostics
        because = frozenset([reason.partition("#")[0] for reason in diagnostics.reasons])
        errors, permits = tuple(diagnostics.errors), result.allowed
        alone = Judgement(permits and not errors, tuple(sorted(because)), errors)
        return _Heard(permits, because, errors, alone)


def _groups(policies: _Policies, *, narrow: bool) -> tuple[_Group, ...]:
    """The policies by the parts of the context that they read.

    Where all of them only forbid, each group has what permits the rest.
    """
    sorted_out: dict[frozenset[str], dict[str, Parsed]] = {}
    for name, body in policies.items():
        sorted_out.setdefault(context_parts(body), {})[name] = body
    (fallback,) = parse(_FALLBACK)["staticPolicies"].values()
    more = {_FALLBACK_ID: fallback} if narrow else {}
    return tuple(
        _Group(number, parts, bodies | more)
        for number, (parts, bodies) in enumerate(sorted_out.items())
    )


def together(heard: Sequence[_Heard]) -> Judgement:
    """What several groups say together: forbid beats permit, and an error denies."""
    permits = frozenset[str]().union(*[each.because for each in heard if each.permits])
    forbids = frozenset[str]().union(*[each.because for each in heard if not each.permits])
    errors = tuple([error for each in heard for error in each.errors])
    allowed = bool(permits) and not forbids and not errors
    return Judgement(allowed, tuple(sorted(forbids or permits)), errors)


_ROLES_ALLOW = Judgement(allowed=True, because=(_FALLBACK_ID,))
_NOBODY_PERMITS = Judgement(allowed=False, because=())


def _caller(read: Mapping[str, str]) -> Parsed:
    """A caller of whom the policies read these attributes, and no others."""
    return {
        "uid": {"type": "Caller", "id": read.get("key", "")},
        "attrs": {name: read.get(name, "") for name in ATTRIBUTES},
        "parents": [],
    }


def _resource(target: Target) -> Parsed:
    if target.kind == "Model":
        attributes = {"name": target.id, "owner": "", "region": "", "dataClass": ""}
    else:
        attributes = {"organization": "", "project": ""}
    return {
        "uid": {"type": target.kind, "id": target.id},
        "attrs": attributes | dict(target.attributes),
        "parents": [],
    }


def _context(circumstances: Circumstances, parts: frozenset[str]) -> str:
    """The circumstances as JSON, of which the policies read these parts, and no others.

    What is not read must not be there: a claim that Cedar cannot take would fail for one caller,
    and that failure be kept for all; and half of what an evaluation costs is reading this.
    """
    found, moments = [], []
    if "second" in parts:
        moments.append(f'"epoch":{int(circumstances.now)}')
    if "hour" in parts:
        moment = time.gmtime(circumstances.now)
        moments.append(f'"hour":{moment.tm_hour},"weekday":{moment.tm_wday + 1}')
    if moments:
        found.append(f'"time":{{{",".join(moments)}}}')
    if "claims" in parts:
        found.append(f'"claims":{json.dumps(sorted(circumstances.claims))}')
    source = networks.plain(circumstances.source) if "source" in parts else ""
    if source:
        found.append(f'"source":{{"__extn":{{"fn":"ip","arg":"{source}"}}}}')
    return "{" + ",".join(found) + "}"
