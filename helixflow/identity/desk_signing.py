"""The desk's operations on signing keys, which are the platform's: all tenants' tokens need them."""

from __future__ import annotations

from typing import Any

from helixflow.identity.desk_operation import (
    Arguments,
    Json,
    Operation,
    Shown,
    Visit,
    listed,
    seconds,
    shown,
)
from helixflow.identity.permissions import Permission
from helixflow.identity.ports import Page
from helixflow.identity.records import SigningKey

_KEY = "organization.signing_key"


class Kid(Arguments, frozen=True, kw_only=True):
    kid: str


def _key_json(key: SigningKey, now: float) -> Json:
    if key.revoked_at is not None:
        state = "revoked"
    elif now < key.signs_from:
        state = "waiting"
    elif now < key.signs_until:
        state = "signing"
    else:
        state = "verifying" if now < key.verifies_until else "expired"
    return {
        "object": _KEY,
        "id": key.id,
        "state": state,
        "created_at": seconds(key.created_at),
        "signs_from": seconds(key.signs_from),
        "signs_until": seconds(key.signs_until),
        "verifies_until": seconds(key.verifies_until),
        "revoked_at": seconds(key.revoked_at),
    }


async def _list(visit: Visit, _: Arguments) -> Shown:
    services = visit.services
    keys = await services.signing.held()
    now = services.clock.now()
    return listed(Page(tuple(keys), more=False), lambda key: _key_json(key, now))


async def _rotate(visit: Visit, _: Arguments) -> Shown:
    key = await visit.services.signing.rotate(visit.actor)
    return shown(_key_json(key, visit.services.clock.now()), key)


async def _revoke(visit: Visit, asked: Kid) -> Shown:
    services = visit.services
    await services.signing.revoke(visit.actor, asked.kid)
    await services.signing.ensure(visit.actor)  # it may have been the one that signs
    now = services.clock.now()
    (key,) = [one for one in await services.signing.held() if one.id == asked.kid]
    return shown(_key_json(key, now), key)


def _operation(name: str, permission: Permission, arguments: Any, run: Any) -> Operation:
    changes = not name.endswith(".list")
    return Operation(
        name, permission, arguments, run, changes, "kid" if changes else "", platform=changes
    )


OPERATIONS = (
    _operation("signing_key.list", Permission.SIGNING_KEY_READ, Arguments, _list),
    _operation("signing_key.rotate", Permission.SIGNING_KEY_ROTATE, Arguments, _rotate),
    _operation("signing_key.revoke", Permission.SIGNING_KEY_ROTATE, Kid, _revoke),
)
