"""The administration's desk: every administrative operation, as Auth does it for an Ingress.

The Ingress has asked already whether the caller may; the desk asks again, for the place that the
operation is in: what a role in one project gives does not hold for the organization or for another
project. Then the organization's policies are asked, except about policies themselves, so that
nobody is locked out of mending them. A change and its answer are one unit of work.

Failure behavior: refusals come back as answers; with the database away that is `auth_unavailable`.
A fault of ours is logged with the request id, and the caller is told nothing else.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from helixflow.clock import Clock
from helixflow.crypto.mac import hmac_sha256
from helixflow.crypto.master_key import KeyRing
from helixflow.crypto.passwords import Passwords
from helixflow.errors import NotFound, Refusal, Refused, Unauthenticated
from helixflow.identity import (
    desk_audit,
    desk_keys,
    desk_limits,
    desk_organization,
    desk_policies,
    desk_projects,
    desk_signing,
    desk_users,
)
from helixflow.identity.desk_doors import OPEN_OPERATIONS, Doors
from helixflow.identity.desk_operation import Services, Shown, Visit, decode
from helixflow.identity.desk_reach import Reach
from helixflow.identity.desk_users import password_of
from helixflow.identity.events import Actor
from helixflow.identity.grants import Grants
from helixflow.identity.idempotency import Answer, Joined, Once
from helixflow.identity.keys import PEPPER_PURPOSE
from helixflow.identity.login import Login
from helixflow.identity.passwords import checked
from helixflow.identity.ports import KeyStore, Store
from helixflow.identity.quotas import Tiers
from helixflow.identity.signing_keys import SigningKeys
from helixflow.identity.witness import Witnessed
from helixflow.inference.desk import (
    DeskAnswer,
    DeskAnswerWire,
    DeskCall,
    DeskCallWire,
    refusal_wire,
)
from helixflow.settings import TokenSettings

_log = logging.getLogger(__name__)

_GROUPS = (
    desk_audit,
    desk_keys,
    desk_limits,
    desk_organization,
    desk_policies,
    desk_projects,
    desk_signing,
    desk_users,
)
OPERATIONS = {operation.name: operation for group in _GROUPS for operation in group.OPERATIONS}


def changes(operation: str) -> bool:
    """Whether an administrative operation changes anything."""
    known = OPERATIONS.get(operation)
    return known is not None and known.changes


_OPEN = {operation.name: operation for operation in OPEN_OPERATIONS}
_REQUEST_PURPOSE = "idempotency-request"


class Desk:
    """Answers `DeskCall`s. For one event loop.

    Args:
        signing: the keys that sign access tokens.
        settings: of access tokens.
        tiers: of limits.
        content_days_max: how long a project may keep content at most; 0 lets none keep any.
    """

    def __init__(
        self,
        *,
        store: Store,
        keys: KeyStore,
        ring: KeyRing,
        settings: TokenSettings,
        clock: Clock,
        tiers: Tiers,
        signing: SigningKeys,
        passwords: Passwords,
        content_days_max: int = 0,
    ) -> None:
        self._store = store
        self._ring = ring
        self._settings = settings
        self._clock = clock
        self._tiers = tiers
        self._content_days_max = content_days_max
        self._passwords = passwords
        self._once = Once(store, ring, clock)
        self._request_key = ring.derive(_REQUEST_PURPOSE)
        self._reach = Reach(store, clock)
        self._keys = keys
        self._pepper = ring.derive(PEPPER_PURPOSE)
        self._signing = signing

    async def handle(self, wire: DeskCallWire) -> DeskAnswerWire:
        """The answer to a call, or the refusal in its place; nothing is raised."""
        call = DeskCall.from_wire(wire)
        try:
            return (await self.answer(call)).to_wire()
        except Refused as refused:
            return refusal_wire(refused)
        except Exception as error:
            _log.error("request %s failed", call.request_id, exc_info=error)
            message = f"The server had an error while processing your request ({call.request_id})."
            return refusal_wire(Refused(Refusal.INTERNAL_ERROR, message))

    async def answer(self, call: DeskCall) -> DeskAnswer:
        """What comes of a call. Raises `Refused`."""
        opened = _OPEN.get(call.operation)
        if opened is not None:
            doors = self._doors(Witnessed(self._store, _circumstances(call)))
            return _answer(await opened.run(doors, decode(opened.arguments, call.arguments)))
        operation = OPERATIONS.get(call.operation)
        if operation is None:
            raise NotFound(Refusal.ROUTE_NOT_FOUND, "There is no such operation.")
        if call.principal is None:
            raise Unauthenticated(Refusal.MISSING_API_KEY, "You did not provide an API key.")
        arguments = decode(operation.arguments, call.arguments)
        actor = await self._reach.admit(operation, arguments, call.principal, call.source)
        password = password_of(arguments)
        hashed = None if password is None else await self._passwords.hash(checked(password))

        async def run(store: Store) -> Shown:
            watched = Witnessed(store, _circumstances(call))
            visit = Visit(self._services(watched), actor, call.if_match, hashed)
            shown: Shown = await operation.run(visit, arguments)
            return shown

        if not operation.changes:
            return _answer(await self._store.read(lambda unit: run(Joined(unit))))
        if call.idempotency_key is None:
            return _answer(await self._store.write(lambda unit: run(Joined(unit))))
        return await self._one_time(actor, call, call.idempotency_key, run)

    async def _one_time(self, actor: Actor, call: DeskCall, key: str, run: Any) -> DeskAnswer:
        async def change(store: Store) -> Answer:
            answer = _answer(await run(store))
            return Answer(200, msgspec.json.encode((answer.etag, answer.body.decode())))

        # Under a key, because it may hold a password, and only a plain hash of it is stored.
        asked = "\n".join((call.operation, call.if_match or "")).encode("utf-8", "replace")
        request = hmac_sha256(self._request_key, asked + b"\n" + call.arguments)
        answer = await self._once.run(actor, key, request, change)
        etag, body = msgspec.json.decode(answer.body, type=tuple[str | None, str])
        return DeskAnswer(body.encode(), etag)

    def _doors(self, store: Store) -> Doors:
        """The open operations over a store that is watched: their events say where from, too."""
        login = Login(store, self._passwords, self._clock)
        grants = Grants(
            store, self._keys, self._signing, login, self._pepper, self._settings, self._clock
        )
        return Doors(
            store, grants, self._signing, self._services(store), self._passwords, self._settings
        )

    def _services(self, store: Store) -> Services:
        return Services(
            store, self._ring, self._settings, self._clock, self._tiers, self._content_days_max
        )


def _circumstances(call: DeskCall) -> dict[str, str]:
    subject = "" if call.principal is None else call.principal.subject
    return {"request_id": call.request_id, "source": call.source, "subject": subject}


def _answer(shown: Shown) -> DeskAnswer:
    return DeskAnswer(msgspec.json.encode(shown.body), shown.etag)
