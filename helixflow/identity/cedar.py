"""Policies in Cedar: what roles permit, narrowed by attributes.

A policy never gives more than roles give; it is asked after `permissions.decide`. A set of policies
that only forbid narrows what roles permit. In a set with a `permit`, Cedar's own rule holds: what
is not permitted is denied. Forbid beats permit. A policy that fails while it is evaluated (Cedar
would pass over it) denies: a broken `forbid` must not let anything through.

Callers are `Caller`, models `Model`, everything else `Object`; actions are permissions
(`Action::"model:invoke"`). Parsed sets and entities are kept, and so are decisions, by all that the
policies can tell apart (cedar_reads.py): a set that reads only the caller's project is asked once
for all callers of that project.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import cedarpy

from helixflow.errors import InvalidRequest, Refusal
from helixflow.identity import networks
from helixflow.identity.cedar_reads import ATTRIBUTES, caller_attributes, context_parts
from helixflow.identity.permissions import Permission
from helixflow.inference.principal import Principal

SOURCE_LENGTH_MAX = 16_384
POLICIES_MAX = 256
SOURCES_LENGTH_MAX = 65_536
"""Of all policies of an organization together: every Ingress compiles them, and serves others."""
_KEPT_MAX = 4096
_FALLBACK = "permit (principal, action, resource);"
_FALLBACK_ID = "roles"

_TYPES = """
entity Caller { organization: String, project: String, key: String, name: String };
entity Model { name: String, owner: String, region: String, dataClass: String };
entity Object { organization: String, project: String };
type Context = {
  source?: ipaddr,
  time: { epoch: Long, hour: Long, weekday: Long },
  claims: Set<String>,
};
"""


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


_Parsed: TypeAlias = dict[str, Any]
_Who: TypeAlias = tuple[str, ...]


def check_source(source: str) -> None:
    """Refuse a policy text that does not parse or does not fit the schema (`InvalidRequest`)."""
    if len(source) > SOURCE_LENGTH_MAX:
        raise _wrong(f"It is longer than {SOURCE_LENGTH_MAX} characters.")
    if not source.isascii() and not _is_utf8(source):
        raise _wrong("It is not UTF-8.")
    result = cedarpy.validate_policies(source, _schema_text())
    if not result.validation_passed:
        raise _wrong("; ".join(error.error for error in result.errors[:5]))
    try:
        parsed = _parse(source)
        context_parts(parsed)
    except RecursionError:
        raise _wrong("It is nested too deeply.") from None
    if parsed["templates"]:
        raise _wrong("Templates (?principal, ?resource) are not supported.")
    if not parsed["staticPolicies"]:
        raise _wrong("There is no policy in it.")


class CompiledPolicies:
    """The policies that hold for one project, ready to be asked. Not for several threads.

    Args:
        sources: policy texts by their ids; each may hold several policies.
        kept_max: decisions, and entities, that are kept.
    """

    def __init__(self, sources: Mapping[str, str], kept_max: int = _KEPT_MAX) -> None:
        self._kept_max = kept_max
        policies: dict[str, _Parsed] = {}
        for policy_id, source in sources.items():
            for number, body in enumerate(_parse(source)["staticPolicies"].values()):
                policies[f"{policy_id}#{number}"] = body
        if all(body["effect"] == "forbid" for body in policies.values()):
            (body,) = _parse(_FALLBACK)["staticPolicies"].values()
            policies[_FALLBACK_ID] = body
        self._parts = context_parts(policies)
        read = {name for body in policies.values() for name in caller_attributes(body)}
        self._reads = tuple(name for name in ATTRIBUTES if name in read)
        self._empty = not sources
        self._set = cedarpy.PolicySet.from_json_str(
            json.dumps({"templates": {}, "staticPolicies": policies, "templateLinks": []})
        )
        self._entities: OrderedDict[object, tuple[_Parsed, cedarpy.Entities]] = OrderedDict()
        self._decisions: OrderedDict[object, Judgement] = OrderedDict()

    def decide(
        self, principal: Principal, action: str, target: Target, circumstances: Circumstances
    ) -> Judgement:
        """Whether the policies let a caller do it. The caller's permissions are checked before."""
        if self._empty:
            return _ROLES_ALLOW
        who = tuple([getattr(principal, name) for name in self._reads])
        place = (who, action, target, self._situation(circumstances))
        judgement = self._decisions.get(place)
        if judgement is None:
            judgement = self._ask(who, action, target, circumstances)
            self._keep(self._decisions, place, judgement)
        else:
            self._decisions.move_to_end(place)
        return judgement

    def _situation(self, circumstances: Circumstances) -> object:
        """All of the circumstances that these policies can tell apart."""
        parts, now = self._parts, int(circumstances.now)
        if not parts:
            return None
        return (
            now if "second" in parts else now // 3600 if "hour" in parts else None,
            circumstances.source if "source" in parts else None,
            circumstances.claims if "claims" in parts else None,
        )

    def _ask(
        self, who: _Who, action: str, target: Target, circumstances: Circumstances
    ) -> Judgement:
        caller, entities = self._entities_of(who, target)
        request = {
            "principal": caller,
            "action": {"type": "Action", "id": action},
            "resource": {"type": target.kind, "id": target.id},
            "context": _context(circumstances, self._parts),
        }
        result = cedarpy.is_authorized(request, self._set, entities)
        because = tuple(sorted({reason.split("#")[0] for reason in result.diagnostics.reasons}))
        errors = tuple(result.diagnostics.errors)
        return Judgement(result.allowed and not errors, because, errors)

    def _entities_of(self, who: _Who, target: Target) -> tuple[_Parsed, cedarpy.Entities]:
        """The caller's id in Cedar, and the entities that an answer depends on."""
        place = (who, target)
        held = self._entities.get(place)
        if held is None:
            caller = _caller(dict(zip(self._reads, who, strict=True)))
            listed = [caller, _resource(target)]
            held = (caller["uid"], cedarpy.Entities.from_json_str(json.dumps(listed), _schema()))
            self._keep(self._entities, place, held)
        else:
            self._entities.move_to_end(place)
        return held

    def _keep(self, kept: OrderedDict[object, Any], place: object, value: object) -> None:
        if len(kept) >= self._kept_max:
            kept.popitem(last=False)
        kept[place] = value


_ROLES_ALLOW = Judgement(allowed=True, because=(_FALLBACK_ID,))


def _caller(read: Mapping[str, str]) -> _Parsed:
    """A caller of whom the policies read these attributes, and no others."""
    return {
        "uid": {"type": "Caller", "id": read.get("key", "")},
        "attrs": {name: read.get(name, "") for name in ATTRIBUTES},
        "parents": [],
    }


def _resource(target: Target) -> _Parsed:
    if target.kind == "Model":
        attributes = {"name": target.id, "owner": "", "region": "", "dataClass": ""}
    else:
        attributes = {"organization": "", "project": ""}
    return {
        "uid": {"type": target.kind, "id": target.id},
        "attrs": attributes | dict(target.attributes),
        "parents": [],
    }


def _context(circumstances: Circumstances, parts: frozenset[str]) -> _Parsed:
    """The circumstances, of which the policies read these parts, and no others.

    What is not read must not be there: a claim that Cedar cannot take would fail for one caller,
    and that failure be kept for all.
    """
    moment = time.gmtime(circumstances.now)
    context: _Parsed = {
        "time": {
            "epoch": int(circumstances.now),
            "hour": moment.tm_hour,
            "weekday": moment.tm_wday + 1,
        },
        "claims": sorted(circumstances.claims) if "claims" in parts else [],
    }
    source = networks.plain(circumstances.source) if "source" in parts else ""
    if source:
        context["source"] = {"__extn": {"fn": "ip", "arg": source}}
    return context


@cache
def _schema_text() -> str:
    on_models = [name for name in Permission if name.startswith("model:")]
    on_objects = [name for name in Permission if not name.startswith("model:")]
    return _TYPES + _actions(on_models, "Model") + _actions(on_objects, "Object")


def _actions(names: Iterable[str], resource: str) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return (
        f"action {listed} appliesTo"
        f" {{ principal: Caller, resource: {resource}, context: Context }};\n"
    )


@cache
def _schema() -> cedarpy.Schema:
    return cedarpy.Schema.from_str(_schema_text())


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parse(source: str) -> _Parsed:
    parsed: _Parsed = json.loads(cedarpy.policies_to_json_str(source))
    return parsed


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(Refusal.INVALID_VALUE, message, param="source")
