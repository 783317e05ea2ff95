"""The configuration: one YAML file, one frozen tree, a branch per package.

`Settings.load(path)` reads a file; environment variables `HELIXFLOW__SECTION__KEY` override it
(`HELIXFLOW__HTTP__PORT=9000`; lists and tables as JSON). An unknown key is an error that names the
nearest known one. Every duration is in seconds (`_s`), every size in bytes (`_bytes`).

Only `deployments/` and `cli/` see the whole tree; every other part is given its branch.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from helixflow.errors import ConfigError
from helixflow.settings.branch import Branch
from helixflow.settings.models import (
    EchoSettings,
    FairQueueSettings,
    ModelSettings,
    PriceSettings,
    ReplicaSettings,
    ResourceSettings,
    SourceSettings,
)
from helixflow.settings.storage import StorageSettings
from helixflow.settings.telemetry import (
    AuditSettings,
    ContentSettings,
    HubSettings,
    JournalSettings,
    JsonlSettings,
    ShippingSettings,
    TelemetrySettings,
    TelemetryStorageSettings,
    TracesSettings,
    UsageSettings,
)
from helixflow.tiers import TierSettings

__all__ = [
    "AuditSettings",
    "ContentSettings",
    "Branch",
    "EchoSettings",
    "EngineSettings",
    "FairQueueSettings",
    "GatewaySettings",
    "HttpSettings",
    "HubSettings",
    "IdentitySettings",
    "IssuerSettings",
    "JournalSettings",
    "JsonlSettings",
    "TracesSettings",
    "LimitsSettings",
    "ModelSettings",
    "PriceSettings",
    "ReplicaSettings",
    "ResourceSettings",
    "RoleName",
    "RoutingSettings",
    "Settings",
    "ShippingSettings",
    "SourceSettings",
    "StackSettings",
    "StorageSettings",
    "TelemetrySettings",
    "TelemetryStorageSettings",
    "TierName",
    "TokenSettings",
    "UsageSettings",
]

_ENV_PREFIX = "HELIXFLOW__"


class HttpSettings(Branch):
    """The HTTP face and what stands before it."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65_535)
    body_bytes_max: int = Field(default=4 * 1024 * 1024, ge=1024)
    slow_reader_s: float = Field(default=30.0, gt=0)


class GatewaySettings(Branch):
    """The pipeline's deadlines."""

    request_s: float = Field(default=600.0, gt=0)
    first_token_s: float = Field(default=60.0, gt=0)
    control_call_s: float = Field(default=1.0, gt=0)
    loading_retry_after_s: float = Field(default=5.0, gt=0)
    ongoing_max: int = Field(default=2048, ge=1)


class TokenSettings(Branch):
    """Access tokens and the keys that sign them."""

    issuer: str = "http://127.0.0.1:8000"
    audience: str = "helixflow"
    access_s: float = Field(default=900.0, gt=0)
    refresh_s: float = Field(default=30 * 86_400.0, gt=0)
    leeway_s: float = Field(default=30.0, ge=0)
    signing_key_s: float = Field(default=30 * 86_400.0, gt=0)
    signing_ahead_s: float = Field(default=600.0, ge=300.0)  # what is published is kept so long


RoleName: TypeAlias = Literal["admin", "auditor", "developer", "owner", "viewer"]


class IssuerSettings(Branch):
    """An outside issuer of access tokens (any OIDC provider) that is trusted for one project.

    `organization` and `project` are ids; left empty, they are the default ones. `role_claim` names
    a claim (text, or a list of texts) whose values `roles` turns into roles; `default_roles` are
    what everybody of this issuer has.
    """

    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    jwks_url: str = Field(pattern=r"^https?://")
    organization: str = ""
    project: str = ""
    role_claim: str = ""
    roles: dict[str, RoleName] = Field(default_factory=dict)
    default_roles: tuple[RoleName, ...] = ()

    @model_validator(mode="after")
    def _whole_place(self) -> IssuerSettings:
        if bool(self.organization) != bool(self.project):
            raise ValueError("an issuer names both organization and project, or neither")
        return self


class IdentitySettings(Branch):
    """How long an Ingress trusts what Auth told it, and how the two keep in step."""

    verdict_s: float = Field(default=60.0, gt=0)
    negative_verdict_s: float = Field(default=5.0, gt=0)
    verdicts_max: int = Field(default=100_000, ge=1)
    lookups_max: int = Field(default=1024, ge=1)
    revision_poll_s: float = Field(default=0.5, gt=0)
    revision_wait_s: float = Field(default=10.0, gt=0)
    policy_sets_max: int = Field(default=256, ge=1)
    last_used_s: float = Field(default=10.0, gt=0)
    duties_s: float = Field(default=60.0, gt=0)
    tokens: TokenSettings = TokenSettings()
    issuers: tuple[IssuerSettings, ...] = ()

    @model_validator(mode="after")
    def _issuers_are_unique(self) -> IdentitySettings:
        names = [self.tokens.issuer, *(outside.issuer for outside in self.issuers)]
        if len(set(names)) < len(names):
            raise ValueError("two issuers have the same name")
        return self


TierName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


_STORE = r"^(memory$|(rediss?|valkeys?)(\+cluster)?://|unix://)"


class LimitsSettings(Branch):
    """Where quota is kept, how it is lent to an Ingress, and how much there is by default.

    `store` is where the counters are: in the `memory` of one RateLimiter replica, or in the Redis or
    Valkey of a URL, for any number of them. Near a limit a lease lives for `lease_s`,
    far from it for up to `lease_far_s`; a standby lease, kept for the time when the store is away,
    for `standby_s`; what was not used for `idle_s` goes back. An Ingress that hears nothing from the
    store may let requests take slots for `slots_s` more. The lender waits `margin_s` longer than the
    borrower. `tiers` are what organizations may be given; `default_tier` is that of all others.
    """

    store: str = Field(default="memory", pattern=_STORE)
    store_call_s: float = Field(default=0.05, gt=0)
    lease_s: float = Field(default=5.0, gt=0)
    lease_far_s: float = Field(default=30.0, gt=0)
    standby_s: float = Field(default=60.0, gt=0)
    slots_s: float = Field(default=30.0, gt=0)
    margin_s: float = Field(default=0.5, ge=0)
    heartbeat_s: float = Field(default=1.0, gt=0)
    silent_s: float = Field(default=5.0, gt=0)
    idle_s: float = Field(default=300.0, gt=0)
    counters_max: int = Field(default=2_000_000, ge=1)
    held_max: int = Field(default=200_000, ge=1)
    waiters_max: int = Field(default=4096, ge=1)
    journal_bytes_max: int = Field(default=64 * 1024 * 1024, ge=64 * 1024)
    tiers: dict[TierName, TierSettings] = Field(default_factory=dict)
    default_tier: str = ""

    @model_validator(mode="after")
    def _default_is_known(self) -> LimitsSettings:
        if self.default_tier and self.default_tier not in self.tiers:
            known = ", ".join(sorted(self.tiers)) or "none"
            raise ValueError(
                f"default_tier: there is no tier {self.default_tier!r}; known: {known}"
            )
        return self

    @property
    def buried_s(self) -> float:
        """After this much silence an Ingress that is not known to be dead uses no slot any more."""
        return max(self.silent_s, self.slots_s + self.margin_s)


class RoutingSettings(Branch):
    """The Router's rhythm, and how an Ingress reaches a model's replicas.

    With `direct`, replicas on an Ingress's own machine are called over a Unix socket instead of a
    Serve handle (docs/decisions/0014).
    """

    reconcile_s: float = Field(default=0.5, gt=0)
    snapshot_wait_s: float = Field(default=10.0, gt=0)
    direct: bool = True


class EngineSettings(Branch):
    """What all engines share."""

    models_dir: str = ""
    memory_share: float = Field(default=0.5, gt=0, le=1)
    gpu_share: float = Field(default=0.9, gt=0, le=1)
    orphan_s: float = Field(default=5.0, gt=0)
    merge_from_sequences: int = Field(default=8, ge=1)


class StackSettings(Branch):
    """Processes: how many, and how long they are given."""

    ingress_replicas: int = Field(default=1, ge=1)
    auth_replicas: int = Field(default=1, ge=1)
    rate_limiter_replicas: int = Field(default=1, ge=1)
    ongoing_max: int = Field(default=8192, ge=1)
    drain_s: float = Field(default=30.0, ge=0)
    dashboard: bool = True
    object_store_bytes: int = Field(default=100 * 1024 * 1024, ge=80 * 1024 * 1024)


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=_ENV_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,  # it holds the database's password
    )

    home: str = ".helixflow"
    http: HttpSettings = HttpSettings()
    gateway: GatewaySettings = GatewaySettings()
    identity: IdentitySettings = IdentitySettings()
    limits: LimitsSettings = LimitsSettings()
    storage: StorageSettings = StorageSettings()
    routing: RoutingSettings = RoutingSettings()
    engine: EngineSettings = EngineSettings()
    stack: StackSettings = StackSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    models: tuple[ModelSettings, ...] = ()

    @model_validator(mode="after")
    def _one_memory(self) -> Settings:
        if self.limits.store == "memory" and self.stack.rate_limiter_replicas > 1:
            raise ValueError(
                "stack.rate_limiter_replicas above 1 needs limits.store to be a Redis or Valkey"
            )
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Settings:
        seen: set[str] = set()
        for model in self.models:
            for name in (model.name, *model.aliases):
                if name in seen:
                    raise ValueError(f"two models are called {name!r}")
                seen.add(name)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands above the file (which comes in as arguments)."""
        return (env_settings, init_settings)

    @classmethod
    def load(cls, path: str | Path) -> Settings:
        """Read a YAML file. Raises `ConfigError` naming the file, the key and the mend."""
        file = Path(path)
        try:
            raw = yaml.safe_load(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{file}: {error.strerror or error}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: not valid YAML: {error}") from error
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            raise ConfigError(f"{file}: the file must hold a table of sections")
        return cls.of(raw, str(file))

    @classmethod
    def of(cls, raw: dict[str, Any], origin: str = "configuration") -> Settings:
        """Build the tree from plain tables; `origin` names them in errors."""
        # pydantic-settings takes some unknown names at the top for its own arguments (`_env_file`)
        # and passes others over in silence (in the environment).
        if strange := _strange(raw, origin, list(cls.model_fields)):
            raise ConfigError("\n".join(strange))
        try:
            return cls(**raw)
        except ValidationError as error:
            raise ConfigError(_explain(error, origin)) from error
        except SettingsError as error:
            raise ConfigError(f"environment: {error}: {error.__cause__}") from error

    @property
    def home_path(self) -> Path:
        """The folder for everything that this stack keeps, absolute."""
        return Path(os.path.abspath(self.home))

    @property
    def models_path(self) -> Path:
        """Where converted and downloaded models are kept."""
        if self.engine.models_dir:
            return Path(os.path.abspath(self.engine.models_dir))
        return self.home_path / "models"


def _strange(raw: dict[str, Any], origin: str, known: list[str]) -> list[str]:
    """A line about each key at the top of the tree that it does not have."""
    found = [(f"{origin}: {key}", str(key)) for key in raw if key not in known]
    for name in os.environ:
        section = name[len(_ENV_PREFIX) :].split("__")[0].lower()
        if name.upper().startswith(_ENV_PREFIX) and section not in known:
            found.append((f"environment: {name}", section))
    return [f"{place}: unknown key{_nearest(key, known)}" for place, key in found]


def _explain(error: ValidationError, origin: str) -> str:
    lines = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"]) or "(top level)"
        if fault["type"] == "extra_forbidden":
            hint = _nearest(str(fault["loc"][-1]), _keys_at(Settings, fault["loc"][:-1]))
            lines.append(f"{origin}: {place}: unknown key{hint}")
        else:
            lines.append(f"{origin}: {place}: {fault['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _keys_at(tree: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys known at a place of the tree; list positions and names are passed through."""
    current: type[BaseModel] = tree
    named = False
    for part in place:
        if isinstance(part, int) or named:
            named = False
            continue
        field = current.model_fields.get(part)
        inner = None if field is None else _model_in(field.annotation)
        if field is None or inner is None:
            return []
        current, named = inner, get_origin(field.annotation) is dict
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, BaseModel) else None
    for part in get_args(annotation):
        if part is not Ellipsis and (found := _model_in(part)) is not None:
            return found
    return None


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""
