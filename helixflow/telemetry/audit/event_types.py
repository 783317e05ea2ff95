"""OpenAI's names for what happened, and the actions that they stand for.

    project:key:create -> api_key.created        organization:user:create -> user.added

What OpenAI has no name for is named after the same pattern: `policy.updated`. Whatever was denied
is `authorization.denied`.
"""

from __future__ import annotations

from collections.abc import Iterable

from helixflow.telemetry.audit.record import Kind, Record, Subject

DENIED = "authorization.denied"

_OWN = {
    "content:read": "content.read",
    "credential:authenticate": "login.failed",
    "key:create": "api_key.created",
    "key:revoke": "api_key.deleted",
    "key:rotate": "api_key.rotated",
    "key:update": "api_key.updated",
    "member:create": "role.assignment.created",
    "member:delete": "role.assignment.deleted",
    "member:update": "role.assignment.updated",
    "service_account:disable": "service_account.deleted",
    "user:create": "user.added",
    "user:disable": "user.deleted",
}
_MEANT = {event_type: name for name, event_type in _OWN.items()}


def event_type(record: Record) -> str:
    """How OpenAI calls it."""
    if record.kind is Kind.AUTHORIZATION:
        return DENIED
    _, _, name = record.action.partition(":")
    resource, _, action = name.partition(":")
    return _OWN.get(name) or f"{resource}.{_past(action)}"


def chosen(event_types: Iterable[str]) -> tuple[tuple[str, ...], tuple[Kind, ...]]:
    """`(actions, kinds)` that event types stand for; an action may be given as it is, too."""
    actions: list[str] = []
    kinds: list[Kind] = []
    for one in event_types:
        if one == DENIED:
            kinds.append(Kind.AUTHORIZATION)
        elif ":" in one:
            actions.append(one)
        else:
            actions += [f"{subject}:{name}" for subject in Subject for name in _names(one)]
    return tuple(actions), tuple(kinds)


def _names(event_type: str) -> list[str]:
    if event_type in _MEANT:
        return [_MEANT[event_type]]
    resource, _, past = event_type.rpartition(".")
    # `updated` is of `update`, `archived` of `archive`, `reset` of none that is known here.
    return [f"{resource}:{past[:-1]}", f"{resource}:{past[:-2]}"]


def _past(action: str) -> str:
    return f"{action}d" if action.endswith("e") else f"{action}ed"
