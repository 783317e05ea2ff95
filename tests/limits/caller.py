"""Callers with limits, and what they send, for the tests beside."""

from __future__ import annotations

from dataclasses import replace

from helixflow.ids import KeyId, OrganizationId, ProjectId
from helixflow.inference.model_spec import ModelSpec, Price
from helixflow.inference.principal import Principal
from helixflow.inference.quota import LimitName, Quota, Scope
from helixflow.inference.request import ParsedBody
from helixflow.testing.gateway import some_spec
from helixflow.testing.identity import some_principal

PRICE = Price(input_usd=2.0, cached_input_usd=0.5, output_usd=10.0)
SPEC: ModelSpec = some_spec("echo-1", price=PRICE, context_tokens=1_000)


def caller(*quotas: Quota, key: str = "key_1", subject: str = "") -> Principal:
    principal = some_principal(OrganizationId("org_1"), ProjectId("proj_1"))
    return replace(principal, key=KeyId(key), subject=subject, quotas=quotas)


def quota(
    name: LimitName, amount: int, *scopes: Scope, hard: bool = False, model: str = ""
) -> Quota:
    return Quota(name, scopes or (Scope.ORGANIZATION,), amount, hard, model)


def body(prompt_bytes: int = 400, max_tokens: int | None = None, choices: int = 1) -> ParsedBody:
    return ParsedBody("echo-1", False, choices, max_tokens, 0, 0, prompt_bytes)
