"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.quota import Quota, QuotaWire, Share, ShareWire

PrincipalWire: TypeAlias = tuple[
    int,
    str,
    str,
    str,
    str,
    tuple[str, ...],
    tuple[str, ...] | None,
    str,
    tuple[str, ...],
    str,
    tuple[QuotaWire, ...],
    ShareWire,
    tuple[int, int] | None,
]

_VERSION = 3
_KEPT_MAX = 4096


@dataclass(frozen=True, slots=True)
class Keeping:
    """That a project keeps the content of its requests.

    Attributes:
        days: how long each is kept, at least 1.
        period: counts how often keeping was begun in this project: what a period kept has a key of
            its own, and is erased with it.
    """

    days: int
    period: int


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    Attributes:
        organization: the tenant that everything of this caller belongs to.
        project: the project within it.
        key: the credential's id (not its secret).
        name: the credential's name, as its owner wrote it.
        permissions: what it may do, as `resource:action`.
        models: names of the models it may see; None means all of its organization's.
        policies: the fingerprint of the policies that hold for it; empty where there are none.
        claims: what its access token says, each as `name=value`, for policies.
        subject: the user's or the service account's id, or what an outside issuer's user is called
            here; empty for a key that belongs to nobody.
        quotas: the limits that hold for it.
        share: its organization's share of a contended model.
        keeping: whether its project keeps the content of requests; None means that nothing is kept.
    """

    organization: OrganizationId
    project: ProjectId
    key: KeyId
    name: str
    permissions: frozenset[str]
    models: frozenset[str] | None = None
    policies: str = ""
    claims: frozenset[str] = frozenset()
    subject: str = ""
    quotas: tuple[Quota, ...] = ()
    share: Share = field(default_factory=Share)
    keeping: Keeping | None = None

    def may_see(self, model: str) -> bool:
        """Whether a model of that name exists for this caller."""
        return self.models is None or model in self.models

    def to_wire(self) -> PrincipalWire:
        models = None if self.models is None else tuple(sorted(self.models))
        permissions, claims = tuple(sorted(self.permissions)), tuple(sorted(self.claims))
        return (
            _VERSION, self.organization, self.project, self.key, self.name, permissions, models,
            self.policies, claims, self.subject,
            tuple(quota.to_wire() for quota in self.quotas), self.share.to_wire(),
            None if self.keeping is None else (self.keeping.days, self.keeping.period),
        )  # fmt: skip

    @staticmethod
    def from_wire(wire: PrincipalWire) -> Principal:
        (
            _, organization, project, key, name, permissions, models, policies, claims, subject,
            quotas, share, keeping,
        ) = wire  # fmt: skip
        return Principal(
            OrganizationId(organization),
            ProjectId(project),
            KeyId(key),
            name,
            frozenset(permissions),
            None if models is None else frozenset(models),
            policies,
            frozenset(claims),
            subject,
            _quotas(quotas),
            _share(share),
            None if keeping is None else Keeping(*keeping),
        )


# Very many callers have the same limits: an Ingress keeps them once.


@lru_cache(maxsize=_KEPT_MAX)
def _quotas(wires: tuple[QuotaWire, ...]) -> tuple[Quota, ...]:
    return tuple(Quota.from_wire(wire) for wire in wires)


@lru_cache(maxsize=_KEPT_MAX)
def _share(wire: ShareWire) -> Share:
    return Share.from_wire(wire)
