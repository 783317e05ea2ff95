"""The desk's operations on API keys and service accounts. A key's text is in its first answer."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from helixflow.errors import Forbidden, Refusal
from helixflow.identity.api_keys import Issued, KeyWish
from helixflow.identity.desk_operation import (
    Arguments,
    InProject,
    Json,
    Operation,
    Paging,
    ProjectPaging,
    Shown,
    Visit,
    deleted,
    listed,
    seconds,
    shown,
)
from helixflow.identity.permissions import ADMINISTRATION, Permission
from helixflow.identity.ports import StoredKey
from helixflow.identity.records import ServiceAccount
from helixflow.ids import ServiceAccountId

_ACCOUNT = "organization.project.service_account"
_ADMIN_KEY = "organization.admin_api_key"
_KEY = "organization.project.api_key"
_KINDS = {"adm": "admin", "proj": "project", "svc": "service_account"}


class Wish(Arguments, frozen=True, kw_only=True):
    name: str
    scopes: list[str] | None = None
    allowed_models: list[str] | None = None
    allowed_cidrs: list[str] | None = None
    expires_at: float | None = None


class NewAccount(InProject, frozen=True, kw_only=True):
    name: str
    scopes: list[str] | None = None
    allowed_models: list[str] | None = None
    allowed_cidrs: list[str] | None = None
    expires_at: float | None = None


class NewKey(NewAccount, frozen=True, kw_only=True):
    service_account_id: ServiceAccountId | None = None


class Key(InProject, frozen=True, kw_only=True):
    key_id: str


class KeyUpdate(Key, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    scopes: list[str] | UnsetType | None = UNSET
    allowed_models: list[str] | UnsetType | None = UNSET
    allowed_cidrs: list[str] | UnsetType | None = UNSET
    expires_at: float | UnsetType | None = UNSET


class Rotation(Key, frozen=True, kw_only=True):
    overlap_s: float = 86_400.0


class AdminKey(Arguments, frozen=True, kw_only=True):
    key_id: str


class Account(InProject, frozen=True, kw_only=True):
    service_account_id: str


def key_json(key: StoredKey) -> Json:
    """A key as OpenAI shapes it, with our own fields; never its text."""
    if key.service_account is not None:
        owner = {"type": "service_account", "id": key.service_account}
    elif key.project is not None:
        owner = {"type": "project", "id": key.project}
    else:
        owner = {"type": "organization", "id": key.organization}
    return {
        "object": _ADMIN_KEY if key.project is None else _KEY,
        "id": key.id,
        "name": key.name,
        "kind": _KINDS[key.kind],
        "redacted_value": key.hint,
        "created_at": seconds(key.created_at),
        "expires_at": key.expires_at,
        "revoked_at": seconds(key.revoked_at),
        "last_used_at": seconds(key.last_used_at),
        "owner": owner,
        "project_id": key.project,
        "scopes": sorted(key.permissions),
        "allowed_models": _sorted(key.models),
        "allowed_cidrs": _sorted(key.cidrs),
    }


def _issued(issued: Issued) -> Shown:
    return shown({**key_json(issued.key), "value": issued.secret.reveal()}, issued.key)


def _account_json(account: ServiceAccount) -> Json:
    return {
        "object": _ACCOUNT,
        "id": account.id,
        "name": account.name,
        "role": "member",
        "created_at": seconds(account.created_at),
        "disabled_at": seconds(account.disabled_at),
    }


def _wish(asked: Wish | NewAccount) -> KeyWish:
    return KeyWish(
        asked.name, asked.scopes, asked.allowed_models, asked.allowed_cidrs, asked.expires_at
    )


async def _list(visit: Visit, asked: ProjectPaging) -> Shown:
    keys = visit.services.keys
    return listed(
        await keys.page(visit.actor, asked.project_id, asked.after, asked.limit), key_json
    )


async def _create(visit: Visit, asked: NewKey) -> Shown:
    services, wish = visit.services, _wish(asked)
    if asked.service_account_id is None:
        return _issued(await services.keys.create(visit.actor, asked.project_id, wish))
    return _issued(
        await services.accounts.create_key(
            visit.actor, asked.project_id, asked.service_account_id, wish
        )
    )


async def _read(visit: Visit, asked: Key) -> Shown:
    key = await visit.services.keys.get(visit.actor, asked.project_id, asked.key_id)
    return shown(key_json(key), key)


async def _update(visit: Visit, asked: KeyUpdate) -> Shown:
    """What is not given stays as it is."""
    keys, where = visit.services.keys, (visit.actor, asked.project_id, asked.key_id)
    held = await keys.get(*where)
    wish = KeyWish(
        _or(asked.name, held.name),
        _or(asked.scopes, held.permissions),
        _or(asked.allowed_models, held.models),
        _or(asked.allowed_cidrs, held.cidrs),
        _or(asked.expires_at, held.expires_at),
    )
    key = await keys.update(*where, wish, visit.if_match)
    return shown(key_json(key), key)


async def _revoke(visit: Visit, asked: Key) -> Shown:
    key = await visit.services.keys.revoke(visit.actor, asked.project_id, asked.key_id)
    return deleted(_KEY, key.id)


async def _rotate(visit: Visit, asked: Rotation) -> Shown:
    return _issued(
        await visit.services.keys.rotate(
            visit.actor, asked.project_id, asked.key_id, asked.overlap_s
        )
    )


async def _list_admin(visit: Visit, asked: Paging) -> Shown:
    return listed(
        await visit.services.keys.page(visit.actor, None, asked.after, asked.limit), key_json
    )


async def _create_admin(visit: Visit, asked: Wish) -> Shown:
    """Nobody makes a key that may do more than its maker."""
    wish, ceiling = _wish(asked), visit.actor.permissions & ADMINISTRATION
    scopes = ceiling if asked.scopes is None else frozenset(asked.scopes)
    if scopes & ADMINISTRATION - ceiling:
        raise Forbidden(
            Refusal.PERMISSION_DENIED, "A key cannot be given more than you have.", param="scopes"
        )
    wish = KeyWish(wish.name, scopes, wish.models, wish.cidrs, wish.expires_at)
    return _issued(await visit.services.keys.create(visit.actor, None, wish))


async def _read_admin(visit: Visit, asked: AdminKey) -> Shown:
    key = await visit.services.keys.get(visit.actor, None, asked.key_id)
    return shown(key_json(key), key)


async def _revoke_admin(visit: Visit, asked: AdminKey) -> Shown:
    key = await visit.services.keys.revoke(visit.actor, None, asked.key_id)
    return deleted(_ADMIN_KEY, key.id)


async def _list_accounts(visit: Visit, asked: ProjectPaging) -> Shown:
    page = await visit.services.accounts.page(
        visit.actor, asked.project_id, asked.after, asked.limit
    )
    return listed(page, _account_json)


async def _create_account(visit: Visit, asked: NewAccount) -> Shown:
    made = await visit.services.accounts.create(
        visit.actor, asked.project_id, asked.name, _wish(asked)
    )
    key = {**key_json(made.issued.key), "value": made.issued.secret.reveal()}
    return shown({**_account_json(made.account), "api_key": key}, made.account)


async def _read_account(visit: Visit, asked: Account) -> Shown:
    account = await visit.services.accounts.get(
        visit.actor, asked.project_id, asked.service_account_id
    )
    return shown(_account_json(account), account)


async def _disable_account(visit: Visit, asked: Account) -> Shown:
    account = await visit.services.accounts.disable(
        visit.actor, asked.project_id, asked.service_account_id
    )
    return deleted(_ACCOUNT, account.id)


def _or(given: Any, held: Any) -> Any:
    return held if given is UNSET else given


def _sorted(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _operation(name: str, permission: Permission, arguments: Any, run: Any) -> Operation:
    changes = not name.endswith((".list", ".read"))
    fields = arguments.__struct_fields__
    target = next(
        (one for one in ("key_id", "service_account_id", "project_id") if one in fields), ""
    )
    return Operation(name, permission, arguments, run, changes, target)


_ACCOUNTS = (
    _operation(
        "service_account.list", Permission.SERVICE_ACCOUNT_READ, ProjectPaging, _list_accounts
    ),
    _operation(
        "service_account.create", Permission.SERVICE_ACCOUNT_CREATE, NewAccount, _create_account
    ),
    _operation("service_account.read", Permission.SERVICE_ACCOUNT_READ, Account, _read_account),
    _operation(
        "service_account.delete", Permission.SERVICE_ACCOUNT_DELETE, Account, _disable_account
    ),
)

OPERATIONS = (
    *_ACCOUNTS,
    _operation("api_key.list", Permission.KEY_READ, ProjectPaging, _list),
    _operation("api_key.create", Permission.KEY_CREATE, NewKey, _create),
    _operation("api_key.read", Permission.KEY_READ, Key, _read),
    _operation("api_key.update", Permission.KEY_UPDATE, KeyUpdate, _update),
    _operation("api_key.delete", Permission.KEY_REVOKE, Key, _revoke),
    _operation("api_key.rotate", Permission.KEY_CREATE, Rotation, _rotate),
    # Developers have the permissions on keys; an admin key is more than they may have.
    _operation("admin_api_key.list", Permission.ORGANIZATION_READ, Paging, _list_admin),
    _operation("admin_api_key.create", Permission.ORGANIZATION_UPDATE, Wish, _create_admin),
    _operation("admin_api_key.read", Permission.ORGANIZATION_READ, AdminKey, _read_admin),
    _operation("admin_api_key.delete", Permission.ORGANIZATION_UPDATE, AdminKey, _revoke_admin),
)
