"""Which models there are."""

from __future__ import annotations

from fastapi import APIRouter, Request

from helixflow.api.models import Model, ModelList
from helixflow.errors import Refusal
from helixflow.gateway.http.credential import source_of
from helixflow.gateway.http.note import principal_of
from helixflow.gateway.http.openapi import CLOSED, refusals
from helixflow.gateway.http.ports import Card, Service


def router(service: Service) -> APIRouter:
    """`GET /v1/models` and `GET /v1/models/{model}`."""
    routes = APIRouter(tags=["models"])

    @routes.get("/v1/models", responses=refusals(*CLOSED))
    async def list_models(request: Request) -> ModelList:
        """The models that exist for this key, in whatever state."""
        cards = service.models(principal_of(request.scope), source_of(request.scope))
        return ModelList(data=[_model(card) for card in cards])

    @routes.get(
        "/v1/models/{model:path}",
        responses=refusals(*CLOSED, Refusal.MODEL_NOT_FOUND, Refusal.REGISTRY_UNAVAILABLE),
    )
    async def retrieve_model(model: str, request: Request) -> Model:
        """One model by its name or an alias, in whatever state."""
        return _model(service.model(model, principal_of(request.scope), source_of(request.scope)))

    return routes


def _model(card: Card) -> Model:
    return Model(
        id=card.id,
        created=card.created,
        owned_by=card.owned_by,
        state=card.state,
        detail=card.detail,
        progress=card.progress,
    )
