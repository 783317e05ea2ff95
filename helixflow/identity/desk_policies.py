"""The desk's operations on policies, and what the roles permit."""

from __future__ import annotations

from typing import Any

from msgspec import field

from helixflow.errors import InvalidRequest, Refusal
from helixflow.identity.cedar import Circumstances, Target
from helixflow.identity.desk_operation import (
    Arguments,
    Json,
    Operation,
    Paging,
    Shown,
    Visit,
    deleted,
    listed,
    seconds,
    shown,
)
from helixflow.identity.permissions import ROLE_PERMISSIONS, Permission
from helixflow.identity.ports import Page
from helixflow.identity.records import StoredPolicy
from helixflow.ids import KeyId, ProjectId
from helixflow.inference.principal import Principal

_POLICY = "organization.policy"


class NewPolicy(Arguments, frozen=True, kw_only=True):
    name: str
    source: str
    project_id: ProjectId | None = None


class Policy(Arguments, frozen=True, kw_only=True):
    policy_id: str


class PolicyUpdate(Policy, frozen=True, kw_only=True):
    name: str | None = None
    source: str | None = None
    enabled: bool | None = None


class Question(Arguments, frozen=True, kw_only=True):
    project_id: ProjectId
    action: Permission
    model: str | None = None
    object: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    key_id: str = ""
    caller: str = ""
    source: str = ""
    claims: list[str] = field(default_factory=list)
    at: float | None = None


def _policy_json(policy: StoredPolicy) -> Json:
    return {
        "object": _POLICY,
        "id": policy.id,
        "name": policy.name,
        "source": policy.source,
        "enabled": policy.enabled,
        "project_id": policy.project,
        "created_at": seconds(policy.created_at),
        "updated_at": seconds(policy.updated_at),
    }


async def _list(visit: Visit, asked: Paging) -> Shown:
    page = await visit.services.policies.page(visit.actor, asked.after, asked.limit)
    return listed(page, _policy_json)


async def _create(visit: Visit, asked: NewPolicy) -> Shown:
    policy = await visit.services.policies.create(
        visit.actor, asked.name, asked.source, asked.project_id
    )
    return shown(_policy_json(policy), policy)


async def _read(visit: Visit, asked: Policy) -> Shown:
    policy = await visit.services.policies.get(visit.actor, asked.policy_id)
    return shown(_policy_json(policy), policy)


async def _update(visit: Visit, asked: PolicyUpdate) -> Shown:
    """What is not given stays as it is."""
    held = await visit.services.policies.get(visit.actor, asked.policy_id)
    policy = await visit.services.policies.update(
        visit.actor,
        asked.policy_id,
        held.name if asked.name is None else asked.name,
        held.source if asked.source is None else asked.source,
        enabled=held.enabled if asked.enabled is None else asked.enabled,
        if_match=visit.if_match,
    )
    return shown(_policy_json(policy), policy)


async def _delete(visit: Visit, asked: Policy) -> Shown:
    await visit.services.policies.delete(visit.actor, asked.policy_id)
    return deleted(_POLICY, asked.policy_id)


async def _explain(visit: Visit, asked: Question) -> Shown:
    """What the policies in force would say, and which of them decide."""
    if (asked.model is None) == (asked.object is None):
        raise _wrong("It names a model or an object, one of them.", "model")
    if asked.action.startswith("model:") != (asked.model is not None):
        raise _wrong("Actions on models are about models, all others about objects.", "action")
    services = visit.services
    await services.projects.get(visit.actor, asked.project_id)
    _, policies = await services.policies.compiled(visit.actor.organization, asked.project_id)
    kind, name = ("Object", asked.object) if asked.model is None else ("Model", asked.model)
    known = {"owner", "region", "dataClass"} if kind == "Model" else {"organization", "project"}
    if not known >= set(asked.attributes):
        raise _wrong(f"They are {', '.join(sorted(known))}.", "attributes")
    caller = Principal(
        visit.actor.organization,
        asked.project_id,
        KeyId(asked.key_id),
        asked.caller,
        frozenset({asked.action}),
    )
    now = services.clock.now() if asked.at is None else asked.at
    judgement = policies.decide(
        caller,
        asked.action,
        Target(kind, name or "", tuple(sorted(asked.attributes.items()))),
        Circumstances(now, asked.source, frozenset(asked.claims)),
    )
    return Shown(
        {
            "object": "organization.policy.judgement",
            "allowed": judgement.allowed,
            "because": list(judgement.because),
            "errors": list(judgement.errors),
        }
    )


async def _roles(_: Visit, __: Arguments) -> Shown:
    page = Page(tuple(sorted(ROLE_PERMISSIONS)), more=False)
    return listed(
        page,
        lambda role: {
            "object": "organization.role",
            "id": role,
            "name": role,
            "permissions": sorted(ROLE_PERMISSIONS[role]),
        },
    )


def _wrong(message: str, param: str) -> InvalidRequest:
    return InvalidRequest(Refusal.INVALID_VALUE, message, param=param)


def _operation(name: str, permission: Permission, arguments: Any, run: Any) -> Operation:
    changes = name in {"policy.create", "policy.update", "policy.delete"}
    target = "policy_id" if issubclass(arguments, Policy) else ""
    return Operation(name, permission, arguments, run, changes, target)


OPERATIONS = (
    _operation("policy.list", Permission.POLICY_READ, Paging, _list),
    _operation("policy.create", Permission.POLICY_CREATE, NewPolicy, _create),
    _operation("policy.read", Permission.POLICY_READ, Policy, _read),
    _operation("policy.update", Permission.POLICY_UPDATE, PolicyUpdate, _update),
    _operation("policy.delete", Permission.POLICY_DELETE, Policy, _delete),
    _operation("policy.explain", Permission.POLICY_READ, Question, _explain),
    _operation("role.list", Permission.ORGANIZATION_READ, Arguments, _roles),
)
