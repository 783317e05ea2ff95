"""What a model is: where its weights come from, how it is run, and what it costs.

A spec travels to its model app as JSON (`to_json`), and its `fingerprint` says whether a running
app was made from the same spec: only a spec whose fingerprint differs is deployed again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any


class EngineKind(StrEnum):
    """Which engine runs a model."""

    ECHO = "echo"
    VLLM = "vllm"


class SourceKind(StrEnum):
    """Where weights come from."""

    GGUF = "gguf"
    HUGGINGFACE = "huggingface"
    NONE = "none"
    PATH = "path"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model's weights come from.

    Attributes:
        kind: how to read `location`.
        location: a folder (`path`), a hub id (`huggingface`), a file (`gguf`; also
            `package:NAME/FILE`, a file that an installed Python package carries), or empty.
        revision: the hub's commit or tag; empty means the default one.
        sha256: the expected checksum of a GGUF file, hexadecimal; empty means it is recorded when
            first seen and checked from then on.
    """

    kind: SourceKind = SourceKind.NONE
    location: str = ""
    revision: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input_usd: float = 0.0
    cached_input_usd: float = 0.0
    output_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas a model may have, and what brings another one.

    Attributes:
        min: kept even without load; 0 lets the model scale to zero.
        max: never more than these.
        target_ongoing: ongoing requests per replica that autoscaling aims at.
    """

    min: int = 1
    max: int = 1
    target_ongoing: float = 16.0


@dataclass(frozen=True, slots=True)
class Resources:
    """What one replica takes.

    Attributes:
        cpus: CPU cores that Ray reserves for it.
        gpus: share of a GPU (0.5) or whole GPUs (2); None decides by what the node has.
        threads: threads of the engine's arithmetic on a CPU; 0 means as many as cores.
        memory_gib: memory for the weights and the KV cache together, on a CPU; 0 decides by what
            the machine has.
    """

    cpus: float = 0.5
    gpus: float | None = None
    threads: int = 0
    memory_gib: float = 0.0


@dataclass(frozen=True, slots=True)
class EchoPace:
    """How the echo engine answers.

    Attributes:
        tokens: tokens to answer with when the request does not say (`max_tokens`).
        tokens_per_s: the pace of a stream; 0 means as fast as possible.
    """

    tokens: int = 16
    tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FairShares:
    """How a replica's queue and its sequence slots are shared among tenants.

    Attributes:
        enabled: whether they are; otherwise requests are served as they come.
        input_weight, output_weight: what a token costs its tenant, read or generated.
        overtakes_max: dispatches of other classes after which a class that waits has its turn.
        tenant_share: the most of the queue that one tenant fills while nobody else waits; it gets
            less as others do. Above 0, at most 1.
        reserved_share: the part of the queue and of the slots that only `critical` may use.
    """

    enabled: bool = True
    input_weight: float = 1.0
    output_weight: float = 2.0
    overtakes_max: int = 16
    tenant_share: float = 0.8
    reserved_share: float = 0.0


_REFUSALS_MAX = 1024


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the registry knows it.

    Attributes:
        name: its name in the API; also names its app (`model-<name>`).
        engine: which engine runs it.
        source: where its weights come from.
        aliases: other names that resolve to it.
        owner: shown as `owned_by`.
        region, data_class: where it runs and what it may be told, in words that policies compare.
        context_tokens: the longest prompt plus answer; 0 means what the model allows.
        sequences_max: sequences generated at once by one replica.
        queue_max: requests that may wait in one replica beyond those; more are refused.
        choices_max: the largest `n` that a client may ask for.
        logprobs_max: the largest `logprobs`/`top_logprobs` that a client may ask for.
        schema_bytes_max: the largest JSON schema that a client may send.
        engine_args: passed to vLLM as they are (command-line names with underscores).
        replicas: how many replicas.
        resources: what one replica takes.
        price: what its tokens cost.
        echo: the echo engine's pace.
        fair_queue: how tenants share a replica.
    """

    name: str
    engine: EngineKind
    source: ModelSource = field(default_factory=ModelSource)
    aliases: tuple[str, ...] = ()
    owner: str = "helixflow"
    region: str = ""
    data_class: str = ""
    context_tokens: int = 0
    sequences_max: int = 64
    queue_max: int = 256
    choices_max: int = 16
    logprobs_max: int = 20
    schema_bytes_max: int = 65_536
    engine_args: dict[str, Any] = field(default_factory=dict)
    replicas: Replicas = field(default_factory=Replicas)
    resources: Resources = field(default_factory=Resources)
    price: Price = field(default_factory=Price)
    echo: EchoPace = field(default_factory=EchoPace)
    fair_queue: FairShares = field(default_factory=FairShares)

    def to_json(self) -> str:
        """The spec as canonical JSON: the same spec gives the same text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> ModelSpec:
        """The spec that `to_json` wrote.

        Fields that this version does not know are left out, at any depth; fields that the writer
        did not know have their defaults.
        """
        raw = _known(ModelSpec, json.loads(text))
        for name, part in _PARTS.items():
            if name in raw:
                raw[name] = part(**_known(part, raw[name]))
        source = raw.get("source", ModelSource())
        return ModelSpec(
            **{
                **raw,
                "engine": EngineKind(raw["engine"]),
                "source": replace(source, kind=SourceKind(source.kind)),
                "aliases": tuple(raw.get("aliases", ())),
            }
        )

    @property
    def fingerprint(self) -> str:
        """Changes exactly when the running model must be deployed again.

        What only the registry and policies look at is left out: changing it restarts nothing.
        """
        raw = asdict(self)
        for name in ("price", "aliases", "owner", "region", "data_class"):
            del raw[name]
        text = json.dumps(raw, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def ongoing_max(self) -> int:
        """Requests that one replica may be handed at once.

        Those that run and wait, and room for those that its queue refuses or whose end is on its
        way: otherwise what is too much would wait in Serve's queue, unseen and in no order.
        """
        return self.sequences_max + self.queue_max + _REFUSALS_MAX


_PARTS: dict[str, type[Any]] = {
    "source": ModelSource,
    "replicas": Replicas,
    "resources": Resources,
    "price": Price,
    "echo": EchoPace,
    "fair_queue": FairShares,
}


def _known(shape: type[Any], raw: dict[str, Any]) -> dict[str, Any]:
    """The part of `raw` that `shape` has fields for."""
    return {one.name: raw[one.name] for one in fields(shape) if one.name in raw}
