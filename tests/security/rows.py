"""What the matrix knows of every route: an example request, and what it touches.

A route without a row here fails `test_matrix.py`, and so does a row without a route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from secrets import token_hex
from types import MappingProxyType
from typing import Any

from helixflow.identity.api_keys import KeyWish
from helixflow.identity.invites import invite_id
from helixflow.identity.limit_wish import LimitWish
from helixflow.identity.permissions import Role
from helixflow.ids import KeyId, ProjectId, mint_request_id
from helixflow.inference.deadline import Deadline
from helixflow.inference.facts import Admitted
from helixflow.inference.principal import Keeping, Principal
from helixflow.inference.quota import LimitName, Scope
from helixflow.inference.request import Call, Operation
from helixflow.testing.audit import admin_event
from helixflow.testing.clock import ManualClock
from helixflow.testing.events import SomeRequest
from helixflow.testing.platform import MODEL, Platform, Tenant

Ids = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One route.

    Attributes:
        body: the JSON of a good request, from the ids of a tenant's objects.
        form: the same as a form, where the route takes one.
        query: of a good request.
        status: of the answer to it.
        everybodys: what its path names belongs to no tenant.
        shared: path parameters that name what every tenant has.
        platform: only the platform's first organization may do it.
        uses_up: it can be done with the same objects only once.
        ids: path parameters whose objects are of another kind than their names say.
    """

    body: Callable[[Ids], Any] | None = None
    form: Callable[[Ids], Mapping[str, str]] | None = None
    query: str = ""
    status: int = 200
    everybodys: bool = False
    platform: bool = False
    uses_up: bool = False
    shared: frozenset[str] = frozenset()
    ids: Mapping[str, str] = field(default_factory=dict)


def _said(_: Ids) -> Any:
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "max_tokens": 1}


def _prompted(_: Ids) -> Any:
    return {"model": MODEL, "prompt": "a", "max_tokens": 1}


def _named(_: Ids) -> Any:
    return {"name": "another name"}


def _empty(_: Ids) -> Any:
    return {}


def _member(ids: Ids) -> Any:
    return {"user_id": ids["newcomer_id"], "role": "viewer"}


def _role(_: Ids) -> Any:
    return {"role": "developer"}


def _person(_: Ids) -> Any:
    return {"email": f"{token_hex(8)}@one.test", "role": "viewer"}


def _acceptance(_: Ids) -> Any:
    return {"invitation": "hx-inv-unknown", "password": "long enough a word"}


def _forgotten(ids: Ids) -> Any:
    return {"person": ids["user_id"]}


def _policy(_: Ids) -> Any:
    return {"name": f"a policy {token_hex(8)}", "source": POLICY}


def _question(ids: Ids) -> Any:
    return {"project_id": ids["project_id"], "action": "model:invoke", "model": MODEL}


def _limit(ids: Ids) -> Any:
    about = {"entity": "project", "entity_id": ids["project_id"], "per": ["key"]}
    return {**about, "name": "requests_per_day", "amount": 9}


def _amount(_: Ids) -> Any:
    return {"amount": 7}


def _rates(_: Ids) -> Any:
    return {"max_requests_per_1_minute": 60, "max_tokens_per_1_minute": 6000}


POLICY = 'forbid (principal, action == Action::"model:invoke", resource == Model::"nothing");'
_ADMIN = {"key_id": "admin_key_id"}
_SINCE = f"?start_time={int(ManualClock().now()) - 100}"
_ROOT = "/v1/organization"
_IN = _ROOT + "/projects/{project_id}"

ROWS: Mapping[tuple[str, str], Row] = MappingProxyType(
    {
        ("GET", "/.well-known/jwks.json"): Row(),
        ("GET", "/.well-known/openid-configuration"): Row(),
        ("GET", "/docs"): Row(),
        ("GET", "/docs/{asset}"): Row(everybodys=True),
        ("GET", "/healthz"): Row(),
        ("GET", "/metrics"): Row(everybodys=True),
        ("GET", "/openapi.json"): Row(),
        ("GET", "/readyz"): Row(),
        ("POST", "/v1/auth/accept"): Row(_acceptance, status=401),
        ("POST", "/v1/auth/revoke"): Row(form=lambda ids: {"token": "hx-rt-unknown"}),
        ("POST", "/v1/auth/token"): Row(
            form=lambda ids: {"grant_type": "refresh_token", "refresh_token": "hx-rt-unknown"},
            status=400,
        ),
        ("POST", "/v1/chat/completions"): Row(_said),
        ("POST", "/v1/completions"): Row(_prompted),
        ("GET", "/v1/limits"): Row(),
        ("GET", "/v1/models"): Row(),
        ("GET", "/v1/models/{model}"): Row(everybodys=True),
        ("GET", _ROOT): Row(),
        ("POST", _ROOT): Row(_named),
        ("GET", _ROOT + "/admin_api_keys"): Row(),
        ("POST", _ROOT + "/admin_api_keys"): Row(_named),
        ("GET", _ROOT + "/admin_api_keys/{key_id}"): Row(ids=_ADMIN),
        ("DELETE", _ROOT + "/admin_api_keys/{key_id}"): Row(ids=_ADMIN),
        ("GET", _ROOT + "/audit_logs"): Row(query="?limit=100&effective_at%5Bgte%5D=1"),
        ("POST", _ROOT + "/audit_logs/erasures"): Row(_forgotten, uses_up=True),
        ("GET", _ROOT + "/audit_logs/export"): Row(),
        ("GET", _ROOT + "/audit_logs/seals"): Row(),
        ("GET", _ROOT + "/costs"): Row(query=f"{_SINCE}&group_by=project_id"),
        ("GET", _ROOT + "/invites"): Row(),
        ("POST", _ROOT + "/invites"): Row(_person),
        ("GET", _ROOT + "/invites/{invite_id}"): Row(),
        ("DELETE", _ROOT + "/invites/{invite_id}"): Row(uses_up=True),
        ("GET", _ROOT + "/limits"): Row(),
        ("POST", _ROOT + "/limits"): Row(_limit, uses_up=True),
        ("GET", _ROOT + "/limits/{limit_id}"): Row(),
        ("POST", _ROOT + "/limits/{limit_id}"): Row(_amount),
        ("DELETE", _ROOT + "/limits/{limit_id}"): Row(uses_up=True),
        ("GET", _ROOT + "/policies"): Row(),
        ("POST", _ROOT + "/policies"): Row(_policy),
        ("POST", _ROOT + "/policies/explain"): Row(_question),
        ("GET", _ROOT + "/policies/{policy_id}"): Row(),
        ("POST", _ROOT + "/policies/{policy_id}"): Row(_policy),
        ("DELETE", _ROOT + "/policies/{policy_id}"): Row(uses_up=True),
        ("GET", _ROOT + "/projects"): Row(),
        ("POST", _ROOT + "/projects"): Row(_named),
        ("GET", _IN): Row(),
        ("POST", _IN): Row(_named),
        ("POST", _IN + "/archive"): Row(uses_up=True),
        ("GET", _IN + "/api_keys"): Row(),
        ("POST", _IN + "/api_keys"): Row(_named),
        ("GET", _IN + "/api_keys/{key_id}"): Row(),
        ("POST", _IN + "/api_keys/{key_id}"): Row(_named),
        ("DELETE", _IN + "/api_keys/{key_id}"): Row(uses_up=True),
        ("POST", _IN + "/api_keys/{key_id}/rotate"): Row(_empty),
        ("DELETE", _IN + "/content"): Row(),
        ("GET", _IN + "/content"): Row(),
        ("DELETE", _IN + "/content/{request_id}"): Row(uses_up=True),
        ("GET", _IN + "/content/{request_id}"): Row(),
        ("GET", _IN + "/rate_limits"): Row(),
        ("POST", _IN + "/rate_limits/{rate_limit_id}"): Row(
            _rates, shared=frozenset({"rate_limit_id"})
        ),
        ("GET", _IN + "/service_accounts"): Row(),
        ("POST", _IN + "/service_accounts"): Row(_named),
        ("GET", _IN + "/service_accounts/{service_account_id}"): Row(),
        ("DELETE", _IN + "/service_accounts/{service_account_id}"): Row(uses_up=True),
        ("GET", _IN + "/users"): Row(),
        ("POST", _IN + "/users"): Row(_member, uses_up=True),
        ("GET", _IN + "/users/{user_id}"): Row(),
        ("POST", _IN + "/users/{user_id}"): Row(_role),
        ("DELETE", _IN + "/users/{user_id}"): Row(uses_up=True),
        ("GET", _ROOT + "/roles"): Row(),
        ("GET", _ROOT + "/signing_keys"): Row(everybodys=True),
        ("POST", _ROOT + "/signing_keys/rotate"): Row(everybodys=True, platform=True),
        ("POST", _ROOT + "/signing_keys/{kid}/revoke"): Row(everybodys=True, platform=True),
        ("GET", _ROOT + "/usage/completions"): Row(query=f"{_SINCE}&group_by=api_key_id"),
        ("GET", _ROOT + "/usage/requests"): Row(query=_SINCE),
        ("GET", _ROOT + "/users"): Row(),
        ("POST", _ROOT + "/users"): Row(_person),
        ("GET", _ROOT + "/users/{user_id}"): Row(),
        ("POST", _ROOT + "/users/{user_id}"): Row(_role),
        ("DELETE", _ROOT + "/users/{user_id}"): Row(uses_up=True),
    }
)


async def objects(platform: Platform, tenant: Tenant) -> dict[str, str]:
    """One fresh object of every kind, by the name that paths have for its id."""
    actor = platform.owner(tenant)
    project = await platform.projects.create(actor, "the matrix's")
    key = await platform.keys.create(actor, project.id, KeyWish("the matrix's"))
    admin = await platform.keys.create(actor, None, KeyWish("the matrix's"))
    account = await platform.accounts.create(actor, project.id, "the matrix's")
    user = await platform.users.create(actor, f"{project.id}@one.test", "Ada", Role.VIEWER)
    newcomer = await platform.users.create(actor, f"{project.id}@two.test", "Eve", Role.VIEWER)
    await platform.users.set_role(actor, user.id, project.id, Role.VIEWER)
    wish = LimitWish(Scope.KEY, key.key.id, LimitName.REQUESTS_PER_MINUTE, 60)
    limit = await platform.limits.create(actor, wish)
    policy = await platform.policies.create(actor, f"the matrix's {project.id}", POLICY)
    invited = await platform.invites.create(actor, f"{project.id}@in.test", "Bob", Role.VIEWER)
    await _use(platform, tenant, project.id, key.key.id, account.account.id)
    await _do(platform, tenant, project.id, user.id)
    request = await _say(platform, tenant, project.id, key.key.id)
    return {
        "asset": "docs.css",
        "model": MODEL,
        "kid": (await platform.signer()).kid,
        "project_id": project.id,
        "request_id": request,
        "key_id": key.key.id,
        "admin_key_id": admin.key.id,
        "service_account_id": account.account.id,
        "user_id": user.id,
        "newcomer_id": newcomer.id,
        "policy_id": policy.id,
        "limit_id": limit.id,
        "rate_limit_id": f"rl_{MODEL}",
        "invite_id": invite_id(invited.person.user),
    }


async def _use(platform: Platform, tenant: Tenant, project: str, key: str, subject: str) -> None:
    """A request of the key's, as telemetry keeps it."""
    who = Admitted(tenant.organization, project, key, subject, MODEL)
    request = SomeRequest(at=platform.clock.now(), admitted=who)
    await platform.usage.write(request.id, len(request.events), request.events)


async def _do(platform: Platform, tenant: Tenant, project: str, user: str) -> None:
    """A change by the user, as the audit log has it."""
    event = admin_event(
        at=platform.clock.now(), organization=tenant.organization, project=project, actor=user,
        target=project, name="project:update",
    )  # fmt: skip
    await platform.audit.sink.write(f"of {project}", 1, [replace(event, id=f"evt_{project}")])


async def _say(platform: Platform, tenant: Tenant, project: ProjectId, key: KeyId) -> str:
    """A request whose content the project keeps; its id."""
    may, keeping = frozenset({"model:invoke"}), Keeping(days=1, period=1)
    who = Principal(tenant.organization, project, key, "a key", may, keeping=keeping)
    call = Call(Operation.CHAT, b"{}", None, mint_request_id(), Deadline.after(0.0, 1.0))
    draft = platform.keeper.begin(who, call, MODEL)
    assert draft is not None
    draft.add(b"{}")
    draft.end("ok")
    assert await platform.keeper.step()
    return call.request_id
