"""Cases for policies: who wants what, and what should come of it.

A case, as it stands in a file:

    - name: the interns' project stays away from the big model
      project: proj_interns          # also: organization, key, caller
      action: model:invoke
      model: big                     # or object: an id
      attributes: {region: eu}       # of the model or the object
      at: 2026-03-02T12:00:00Z       # optional; also: source, claims
      expect: deny                   # or allow
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from helixflow.errors import ConfigError
from helixflow.identity.cedar import Circumstances, CompiledPolicies, Judgement, Target
from helixflow.identity.permissions import Permission
from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.principal import Principal


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case; see the module."""

    name: str
    action: str
    expect: Literal["allow", "deny"]
    model: str | None = None
    object: str | None = None
    attributes: dict[str, str] = {}
    organization: str = "org_case"
    project: str = "proj_case"
    key: str = "key_case"
    caller: str = "case"
    at: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)
    source: str = ""
    claims: list[str] = []


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    case: Case
    judgement: Judgement

    @property
    def passed(self) -> bool:
        """Whether it is what was expected."""
        return self.judgement.allowed == (self.case.expect == "allow")


def read_cases(raw: Any, origin: str) -> list[Case]:
    """Cases from plain lists and tables (a YAML file's). Raises `ConfigError` naming the fault."""
    try:
        cases = msgspec.convert(raw, list[Case])
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {error}") from error
    for case in cases:
        if (case.model is None) == (case.object is None):
            raise ConfigError(f"{origin}: {case.name!r} names a model or an object, one of them")
        if case.action not in set(Permission):
            raise ConfigError(f"{origin}: {case.name!r}: {case.action!r} is no permission")
        if case.action.startswith("model:") != (case.model is not None):
            raise ConfigError(f"{origin}: {case.name!r}: model actions are about models")
    return cases


def run_cases(sources: Mapping[str, str], cases: list[Case]) -> list[Outcome]:
    """What these policies (texts by id) make of the cases."""
    policies = CompiledPolicies(sources)
    return [Outcome(case, _judge(policies, case)) for case in cases]


def _judge(policies: CompiledPolicies, case: Case) -> Judgement:
    principal = Principal(
        OrganizationId(case.organization),
        ProjectId(case.project),
        KeyId(case.key),
        case.caller,
        frozenset({case.action}),
    )
    kind, target = ("Object", case.object) if case.model is None else ("Model", case.model)
    return policies.decide(
        principal,
        case.action,
        Target(kind, target or "", tuple(sorted(case.attributes.items()))),
        Circumstances(case.at.timestamp(), case.source, frozenset(case.claims)),
    )
