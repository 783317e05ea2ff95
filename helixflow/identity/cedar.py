"""Policies in Cedar: what roles permit, narrowed by attributes.

A policy never gives more than roles give; it is asked after `permissions.decide`. A set of policies
that only forbid narrows what roles permit. In a set with a `permit`, Cedar's own rule holds: what
is not permitted is denied. Forbid beats permit. A policy that fails while it is evaluated (Cedar
would pass over it) denies: a broken `forbid` must not let anything through.

Callers are `Caller`, models `Model`, everything else `Object`; actions are permissions
(`Action::"model:invoke"`). Parsed sets and entities are kept, and so are decisions, by all that the
policies can tell apart: a set that reads no context is asked once for each caller, action and model.
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
from helixflow.identity.permissions import Permission
from helixflow.inference.principal import Principal

SOURCE_LENGTH_MAX = 16_384
POLICIES_MAX = 256
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
        source: the client's address, or empty.
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
        _reads_seconds(parsed)
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
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        policies: dict[str, _Parsed] = {}
        for policy_id, source in sources.items():
            for number, body in enumerate(_parse(source)["staticPolicies"].values()):
                policies[f"{policy_id}#{number}"] = body
        if all(body["effect"] == "forbid" for body in policies.values()):
            (body,) = _parse(_FALLBACK)["staticPolicies"].values()
            policies[_FALLBACK_ID] = body
        self.reads_context = '"Var": "context"' in json.dumps(policies)
        self._reads_seconds = _reads_seconds(policies)
        self._empty = not sources
        self._set = cedarpy.PolicySet.from_json_str(
            json.dumps({"templates": {}, "staticPolicies": policies, "templateLinks": []})
        )
        self._entities: OrderedDict[object, cedarpy.Entities] = OrderedDict()
        self._decisions: OrderedDict[object, Judgement] = OrderedDict()

    def decide(
        self, principal: Principal, action: str, target: Target, circumstances: Circumstances
    ) -> Judgement:
        """Whether the policies let a caller do it. The caller's permissions are checked before."""
        if self._empty:
            return _ROLES_ALLOW
        who = (principal.organization, principal.project, principal.key, principal.name)
        place = (who, action, target, self._situation(circumstances))
        judgement = self._decisions.get(place)
        if judgement is None:
            judgement = self._ask(principal, action, target, circumstances)
            _keep(self._decisions, place, judgement)
        else:
            self._decisions.move_to_end(place)
        return judgement

    def _situation(self, circumstances: Circumstances) -> object:
        """All of the circumstances that these policies can tell apart."""
        if not self.reads_context:
            return None
        # Hour and weekday change on the hour.
        finest_s = 1 if self._reads_seconds else 3600
        moment = int(circumstances.now) // finest_s
        return (moment, circumstances.source, circumstances.claims)

    def _ask(
        self, principal: Principal, action: str, target: Target, circumstances: Circumstances
    ) -> Judgement:
        request = {
            "principal": {"type": "Caller", "id": principal.key},
            "action": {"type": "Action", "id": action},
            "resource": {"type": target.kind, "id": target.id},
            "context": _context(circumstances),
        }
        result = cedarpy.is_authorized(request, self._set, self._entities_of(principal, target))
        because = tuple(sorted({reason.split("#")[0] for reason in result.diagnostics.reasons}))
        errors = tuple(result.diagnostics.errors)
        return Judgement(result.allowed and not errors, because, errors)

    def _entities_of(self, principal: Principal, target: Target) -> cedarpy.Entities:
        place = (principal.organization, principal.project, principal.key, principal.name, target)
        held = self._entities.get(place)
        if held is None:
            listed = [_caller(principal), _resource(target)]
            held = cedarpy.Entities.from_json_str(json.dumps(listed), _schema())
            _keep(self._entities, place, held)
        return held


_ROLES_ALLOW = Judgement(allowed=True, because=(_FALLBACK_ID,))


_COARSE = (
    {".": {"left": {"Var": "context"}, "attr": "claims"}},
    {".": {"left": {"Var": "context"}, "attr": "source"}},
    {".": {"left": {".": {"left": {"Var": "context"}, "attr": "time"}}, "attr": "hour"}},
    {".": {"left": {".": {"left": {"Var": "context"}, "attr": "time"}}, "attr": "weekday"}},
    {"has": {"left": {"Var": "context"}, "attr": "source"}},
)
"""The uses of the context (in Cedar's JSON) that do not tell one second from the next."""


def _reads_seconds(node: object) -> bool:
    """Whether an expression uses the context in any other way than the coarse ones."""
    if isinstance(node, list):
        return any(_reads_seconds(child) for child in node)
    if not isinstance(node, dict) or node in _COARSE:
        return False
    return node == {"Var": "context"} or any(_reads_seconds(child) for child in node.values())


def _keep(kept: OrderedDict[object, Any], place: object, value: object) -> None:
    if len(kept) >= _KEPT_MAX:
        kept.popitem(last=False)
    kept[place] = value


def _caller(principal: Principal) -> _Parsed:
    return {
        "uid": {"type": "Caller", "id": principal.key},
        "attrs": {
            "organization": principal.organization,
            "project": principal.project,
            "key": principal.key,
            "name": principal.name,
        },
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


def _context(circumstances: Circumstances) -> _Parsed:
    moment = time.gmtime(circumstances.now)
    context: _Parsed = {
        "time": {
            "epoch": int(circumstances.now),
            "hour": moment.tm_hour,
            "weekday": moment.tm_wday + 1,
        },
        "claims": sorted(circumstances.claims),
    }
    if circumstances.source:
        context["source"] = {"__extn": {"fn": "ip", "arg": circumstances.source}}
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
