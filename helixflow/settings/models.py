"""The models' branch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from helixflow.settings.branch import Branch


class SourceSettings(Branch):
    """Exactly one of these says where the weights come from."""

    path: str | None = None
    huggingface: str | None = None
    gguf: str | None = None
    revision: str = ""
    sha256: str = ""

    @model_validator(mode="after")
    def _one_place(self) -> SourceSettings:
        named = [name for name in ("path", "huggingface", "gguf") if getattr(self, name)]
        if len(named) != 1:
            raise ValueError("a source names exactly one of path, huggingface, gguf")
        return self


class ReplicaSettings(Branch):
    """The range that autoscaling may move in."""

    min: int = Field(default=1, ge=0)
    max: int = Field(default=1, ge=1)
    target_ongoing: float = Field(default=16.0, gt=0)

    @model_validator(mode="after")
    def _in_order(self) -> ReplicaSettings:
        if self.max < self.min:
            raise ValueError("replicas.max is less than replicas.min")
        return self


class ResourceSettings(Branch):
    """What one replica takes."""

    cpus: float = Field(default=0.5, ge=0)
    gpus: float | None = Field(default=None, ge=0)
    threads: int = Field(default=0, ge=0)
    memory_gib: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _gpu_share(self) -> ResourceSettings:
        if self.gpus is not None and self.gpus > 1 and self.gpus != int(self.gpus):
            raise ValueError("resources.gpus is a share of one GPU (0.5) or whole GPUs (2)")
        return self


class PriceSettings(Branch):
    """US dollars per million tokens."""

    input_usd: float = Field(default=0.0, ge=0)
    cached_input_usd: float | None = Field(default=None, ge=0)
    output_usd: float = Field(default=0.0, ge=0)


class EchoSettings(Branch):
    """How the echo engine answers."""

    tokens: int = Field(default=16, ge=1)
    tokens_per_s: float = Field(default=0.0, ge=0)


class FairQueueSettings(Branch):
    """How tenants share a replica (docs/fairness.md).

    `input_weight` and `output_weight` are what a token costs its tenant, read or generated;
    `overtakes_max` bounds how often a class may be overtaken by others; `tenant_share` is the most
    of the queue that one tenant fills alone; `reserved_share` is kept for the class `critical`.
    """

    enabled: bool = True
    input_weight: float = Field(default=1.0, gt=0, le=1000)
    output_weight: float = Field(default=2.0, gt=0, le=1000)
    overtakes_max: int = Field(default=16, ge=1)
    tenant_share: float = Field(default=0.8, gt=0, le=1)
    reserved_share: float = Field(default=0.0, ge=0, lt=1)


class ModelSettings(Branch):
    """A model that the platform serves."""

    name: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$")
    engine: Literal["vllm", "echo"] = "vllm"
    source: SourceSettings | None = None
    aliases: tuple[str, ...] = ()
    owner: str = "helixflow"
    region: str = ""
    data_class: str = ""
    context_tokens: int = Field(default=0, ge=0)
    sequences_max: int = Field(default=64, ge=1)
    queue_max: int = Field(default=256, ge=0)
    choices_max: int = Field(default=16, ge=1)
    logprobs_max: int = Field(default=20, ge=0)
    schema_bytes_max: int = Field(default=65_536, ge=0)
    engine_args: dict[str, JsonValue] = Field(default_factory=dict)
    replicas: ReplicaSettings = ReplicaSettings()
    resources: ResourceSettings = ResourceSettings()
    price: PriceSettings = PriceSettings()
    echo: EchoSettings = EchoSettings()
    fair_queue: FairQueueSettings = FairQueueSettings()

    @model_validator(mode="after")
    def _complete(self) -> ModelSettings:
        if self.engine == "vllm" and self.source is None:
            raise ValueError("a vllm model needs a source")
        if self.engine == "echo" and "echo" not in self.name.lower():
            raise ValueError("an echo model says so in its name (for example echo-1)")
        return self
