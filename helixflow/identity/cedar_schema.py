"""The schema that policies in Cedar are checked against when they are saved.

Callers are `Caller`, models `Model`, everything else `Object`; actions are permissions
(`Action::"model:invoke"`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeAlias

import cedarpy

from helixflow.errors import InvalidRequest, Refusal
from helixflow.identity.cedar_reads import context_parts
from helixflow.identity.permissions import Permission

SOURCE_LENGTH_MAX = 16_384
POLICIES_MAX = 256
SOURCES_LENGTH_MAX = 65_536
"""Of all policies of an organization together: every Ingress compiles them, and serves others."""

Parsed: TypeAlias = dict[str, Any]

_TYPES = """
entity Caller { organization: String, project: String, key: String, name: String };
entity Model { name: String, owner: String, region: String, dataClass: String };
entity Object { organization: String, project: String };
type Context = {
  source?: ipaddr,
  time: { epoch: Long, hour: Long, weekday: Long },
  claims: Set<String>,
};
"""


def check_source(source: str) -> None:
    """Refuse a policy text that does not parse or does not fit the schema (`InvalidRequest`)."""
    if len(source) > SOURCE_LENGTH_MAX:
        raise _wrong(f"It is longer than {SOURCE_LENGTH_MAX} characters.")
    if not source.isascii() and not _is_utf8(source):
        raise _wrong("It is not UTF-8.")
    result = cedarpy.validate_policies(source, schema_text())
    if not result.validation_passed:
        raise _wrong("; ".join(error.error for error in result.errors[:5]))
    try:
        parsed = parse(source)
        context_parts(parsed)
    except RecursionError:
        raise _wrong("It is nested too deeply.") from None
    if parsed["templates"]:
        raise _wrong("Templates (?principal, ?resource) are not supported.")
    if not parsed["staticPolicies"]:
        raise _wrong("There is no policy in it.")


@cache
def schema_text() -> str:
    """The schema in Cedar's own words."""
    on_models = [name for name in Permission if name.startswith("model:")]
    on_objects = [name for name in Permission if not name.startswith("model:")]
    return _TYPES + _actions(on_models, "Model") + _actions(on_objects, "Object")


def _actions(names: Iterable[str], resource: str) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    return (
        f"action {listed} appliesTo"
        f" {{ principal: Caller, resource: {resource}, context: Context }};\n"
    )


@cache
def schema() -> cedarpy.Schema:
    """The same, parsed once."""
    return cedarpy.Schema.from_str(schema_text())


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse(source: str) -> Parsed:
    """A policy text in Cedar's JSON. Raises `ValueError`."""
    parsed: Parsed = json.loads(cedarpy.policies_to_json_str(source))
    return parsed


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest(Refusal.INVALID_VALUE, message, param="source")
