"""From the configuration's models to the registry's: the one place where they meet."""

from __future__ import annotations

from helixflow.inference.model_spec import (
    EchoPace,
    EngineKind,
    FairShares,
    ModelSource,
    ModelSpec,
    Price,
    Replicas,
    Resources,
    SourceKind,
)
from helixflow.settings import ModelSettings, SourceSettings


def model_spec(model: ModelSettings) -> ModelSpec:
    """The spec that a model's settings describe."""
    price = model.price
    cached = price.input_usd if price.cached_input_usd is None else price.cached_input_usd
    return ModelSpec(
        name=model.name,
        engine=EngineKind(model.engine),
        source=_source(model.source),
        aliases=model.aliases,
        owner=model.owner,
        region=model.region,
        data_class=model.data_class,
        context_tokens=model.context_tokens,
        sequences_max=model.sequences_max,
        queue_max=model.queue_max,
        choices_max=model.choices_max,
        logprobs_max=model.logprobs_max,
        schema_bytes_max=model.schema_bytes_max,
        engine_args=dict(model.engine_args),
        replicas=Replicas(**model.replicas.model_dump()),
        resources=Resources(**model.resources.model_dump()),
        price=Price(price.input_usd, cached, price.output_usd),
        echo=EchoPace(**model.echo.model_dump()),
        fair_queue=FairShares(**model.fair_queue.model_dump()),
    )


def _source(source: SourceSettings | None) -> ModelSource:
    if source is None:
        return ModelSource()
    kinds = (SourceKind.PATH, SourceKind.HUGGINGFACE, SourceKind.GGUF)
    kind = next(kind for kind in kinds if getattr(source, kind.value))
    return ModelSource(kind, getattr(source, kind.value), source.revision, source.sha256)
