"""What projects keep of the content of their requests: listed, read, deleted, erased.

Each question goes to Auth first, which knows what the caller may in the project in question, and
then to Telemetry, which has the content. A content comes sealed, with the key of this one content,
and is opened here. To erase is a change of the project: Auth's event does it in Telemetry.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from fastapi import APIRouter, Response

from helixflow.api.administration import Deleted
from helixflow.api.content import KeptContents, OpenedContent
from helixflow.crypto.master_key import SealBroken
from helixflow.errors import NotFound, Refusal
from helixflow.gateway.http.openapi import CLOSED, refusals
from helixflow.gateway.http.visitor import (
    DELETES,
    After,
    Limit,
    PathId,
    Reading,
    Visitor,
    response_of,
)
from helixflow.gateway.ports import Desk
from helixflow.inference.desk import DeskAnswer
from helixflow.telemetry.content.sealing import Text, unseal

_ROOT = "/v1/organization/projects/{project_id}/content"
_ONE = _ROOT + "/{request_id}"
_ASKED = refusals(
    *CLOSED, Refusal.INVALID_VALUE, Refusal.RESOURCE_NOT_FOUND, Refusal.OVERLOADED,
    Refusal.TELEMETRY_UNAVAILABLE, Refusal.DEADLINE_EXCEEDED,
)  # fmt: skip


def router(desk: Desk, records: Desk) -> APIRouter:
    """`/v1/organization/projects/{project_id}/content` and what lies below it."""
    routes = APIRouter(tags=["content"])

    @routes.get(_ROOT, response_model=KeptContents, responses=_ASKED)
    async def list_content(
        project_id: PathId, visitor: Reading, after: After = None, limit: Limit = 20
    ) -> Response:
        """Of which requests something is kept, the newest first; nothing of what it is."""
        await visitor.call(desk, "content.read", {"project_id": project_id})
        asked = {"project_id": project_id, "after": after, "limit": limit}
        return response_of(await visitor.call(records, "content.list", asked))

    @routes.get(_ONE, response_model=OpenedContent, responses=_ASKED)
    async def retrieve_content(
        project_id: PathId, request_id: PathId, visitor: Reading
    ) -> Response:
        """What is kept of one request. The audit log takes down who reads it."""
        await visitor.call(desk, "content.read", {"project_id": project_id})
        asked = {"project_id": project_id, "request_id": request_id}
        return response_of(await _opened(visitor, records, asked))

    @routes.delete(_ONE, response_model=Deleted, responses=_ASKED)
    async def delete_content(project_id: PathId, request_id: PathId, visitor: Reading) -> Response:
        """Delete what is kept of one request. The audit log takes down who does."""
        await visitor.call(desk, "content.delete", {"project_id": project_id})
        asked = {"project_id": project_id, "request_id": request_id}
        return response_of(await visitor.call(records, "content.delete", asked))

    @routes.delete(_ROOT, response_model=Deleted, responses=DELETES)
    async def erase_content(project_id: PathId, visitor: Reading) -> Response:
        """Erase all that was kept until now, by erasing its key, within seconds of the answer.

        Whether the project goes on keeping content is another matter: `content_retention_days`.
        """
        return await visitor.ask(desk, "content.erase", project_id=project_id)

    return routes


async def _opened(visitor: Visitor, records: Desk, asked: dict[str, Any]) -> DeskAnswer:
    """What is kept of a request, in clear. Raises `NotFound` where it went in between."""
    sealed = (await visitor.call(records, "content.sealed", asked)).body
    told = msgspec.json.decode((await visitor.call(records, "content.read", asked)).body)
    note, key = told["shown"], base64.b64decode(told["key"])
    organization = visitor.organization
    try:
        content = unseal(sealed, key, organization, asked["project_id"], asked["request_id"])
    except SealBroken:
        raise NotFound(
            Refusal.RESOURCE_NOT_FOUND, "What is kept of this request cannot be opened."
        ) from None
    opened = {**note, "request": _shown(content.request), "answer": _shown(content.answer)}
    return DeskAnswer(msgspec.json.encode(opened))


def _shown(text: Text) -> dict[str, Any]:
    return {
        "text": text.data.decode("utf-8", "replace"),
        "bytes": text.size,
        "truncated": text.truncated,
    }
