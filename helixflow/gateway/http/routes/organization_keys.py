"""API keys of projects and of the organization, and the keys that sign access tokens."""

from __future__ import annotations

from enum import Enum

from fastapi import APIRouter, Response

from helixflow.api.administration import Deleted, Listed, Nothing
from helixflow.api.keys import (
    AdminKeyRequest,
    IssuedKey,
    Key,
    KeyRequest,
    KeyUpdateRequest,
    RotationRequest,
    SigningKey,
)
from helixflow.gateway.http.visitor import (
    CREATES,
    DELETES,
    LISTS,
    READS,
    UPDATES,
    After,
    Creating,
    Limit,
    PathId,
    Reading,
    Updating,
)
from helixflow.gateway.ports import Desk

_KEYS = "/v1/organization/projects/{project_id}/api_keys"
_KEY = _KEYS + "/{key_id}"
_ADMIN_KEYS = "/v1/organization/admin_api_keys"
_ADMIN_KEY = _ADMIN_KEYS + "/{key_id}"
_SIGNING_KEYS = "/v1/organization/signing_keys"


def router(desk: Desk) -> APIRouter:
    """Projects' `/api_keys`, `/v1/organization/admin_api_keys` and `/signing_keys`."""
    routes = APIRouter()
    _add_keys(routes, desk)
    _add_admin_keys(routes, desk)
    _add_signing_keys(routes, desk)
    return routes


def _add_keys(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["API keys"]

    @add.get(_KEYS, response_model=Listed[Key], responses=LISTS, tags=tags)
    async def list_api_keys(
        project_id: PathId, visitor: Reading, after: After = None, limit: Limit = 20
    ) -> Response:
        """The keys of a project, oldest first, revoked and expired ones included."""
        return await visitor.ask(
            desk, "api_key.list", project_id=project_id, after=after, limit=limit
        )

    @add.post(_KEYS, response_model=IssuedKey, responses=CREATES, tags=tags)
    async def create_api_key(project_id: PathId, body: KeyRequest, visitor: Creating) -> Response:
        """Make a key; its text is shown this once."""
        return await visitor.ask(desk, "api_key.create", body, project_id=project_id)

    @add.get(_KEY, response_model=Key, responses=READS, tags=tags)
    async def retrieve_api_key(project_id: PathId, key_id: PathId, visitor: Reading) -> Response:
        """One key, without its text."""
        return await visitor.ask(desk, "api_key.read", project_id=project_id, key_id=key_id)

    @add.post(_KEY, response_model=Key, responses=UPDATES, tags=tags)
    async def modify_api_key(
        project_id: PathId, key_id: PathId, body: KeyUpdateRequest, visitor: Updating
    ) -> Response:
        """Change what is given, and leave the rest of a key as it is."""
        return await visitor.ask(desk, "api_key.update", body, project_id=project_id, key_id=key_id)

    @add.delete(_KEY, response_model=Deleted, responses=DELETES, tags=tags)
    async def delete_api_key(project_id: PathId, key_id: PathId, visitor: Reading) -> Response:
        """Revoke a key; it is refused everywhere within a second."""
        return await visitor.ask(desk, "api_key.delete", project_id=project_id, key_id=key_id)

    @add.post(_KEY + "/rotate", response_model=IssuedKey, responses=CREATES, tags=tags)
    async def rotate_api_key(
        project_id: PathId,
        key_id: PathId,
        visitor: Creating,
        body: RotationRequest | None = None,
    ) -> Response:
        """Make a key like this one, which itself ends after the overlap."""
        return await visitor.ask(desk, "api_key.rotate", body, project_id=project_id, key_id=key_id)


def _add_admin_keys(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["admin API keys"]

    @add.get(_ADMIN_KEYS, response_model=Listed[Key], responses=LISTS, tags=tags)
    async def list_admin_api_keys(
        visitor: Reading, after: After = None, limit: Limit = 20
    ) -> Response:
        """The admin keys of the organization, oldest first."""
        return await visitor.ask(desk, "admin_api_key.list", after=after, limit=limit)

    @add.post(_ADMIN_KEYS, response_model=IssuedKey, responses=CREATES, tags=tags)
    async def create_admin_api_key(body: AdminKeyRequest, visitor: Creating) -> Response:
        """Make an admin key with at most the permissions of its maker; its text is shown once."""
        return await visitor.ask(desk, "admin_api_key.create", body)

    @add.get(_ADMIN_KEY, response_model=Key, responses=READS, tags=tags)
    async def retrieve_admin_api_key(key_id: PathId, visitor: Reading) -> Response:
        """One admin key, without its text."""
        return await visitor.ask(desk, "admin_api_key.read", key_id=key_id)

    @add.delete(_ADMIN_KEY, response_model=Deleted, responses=DELETES, tags=tags)
    async def delete_admin_api_key(key_id: PathId, visitor: Reading) -> Response:
        """Revoke an admin key; it is refused everywhere within a second."""
        return await visitor.ask(desk, "admin_api_key.delete", key_id=key_id)


def _add_signing_keys(add: APIRouter, desk: Desk) -> None:
    tags: list[str | Enum] = ["signing keys"]

    @add.get(_SIGNING_KEYS, response_model=Listed[SigningKey], responses=LISTS, tags=tags)
    async def list_signing_keys(visitor: Reading) -> Response:
        """The keys that sign access tokens, oldest first, ended ones included."""
        return await visitor.ask(desk, "signing_key.list")

    @add.post(_SIGNING_KEYS + "/rotate", response_model=SigningKey, responses=CREATES, tags=tags)
    async def rotate_signing_keys(visitor: Creating, body: Nothing | None = None) -> Response:
        """Let a fresh key sign from now on; tokens that were signed before stay valid."""
        return await visitor.ask(desk, "signing_key.rotate", body)

    @add.post(
        _SIGNING_KEYS + "/{kid}/revoke", response_model=SigningKey, responses=CREATES, tags=tags
    )
    async def revoke_signing_key(
        kid: PathId, visitor: Creating, body: Nothing | None = None
    ) -> Response:
        """Refuse everything that a key signed, now."""
        return await visitor.ask(desk, "signing_key.revoke", body, kid=kid)
