"""What policies read of a caller and of a request, told from their texts in Cedar's JSON.

Decisions are kept by what was read, so reading less than a policy does would let one caller pass
for another: whatever is not recognized here counts as reading everything.
"""

from __future__ import annotations

ATTRIBUTES = ("organization", "project", "key", "name")
"""What a caller has, in the order of `Principal`."""

PARTS = ("claims", "hour", "second", "source")
"""What a request's context has, as far as decisions can depend on it."""

_CALLER = {"Var": "principal"}
_CONTEXT = {"Var": "context"}
_TIME = {".": {"left": _CONTEXT, "attr": "time"}}
_USES = (
    ({".": {"left": _CONTEXT, "attr": "claims"}}, "claims"),
    ({".": {"left": _CONTEXT, "attr": "source"}}, "source"),
    ({"has": {"left": _CONTEXT, "attr": "source"}}, "source"),
    ({".": {"left": _TIME, "attr": "epoch"}}, "second"),
    ({".": {"left": _TIME, "attr": "hour"}}, "hour"),
    ({".": {"left": _TIME, "attr": "weekday"}}, "hour"),
)
"""The uses of the context that read one part of it. (The weekday changes on the hour.)"""
_ANY_CALLER = ({"op": "All"}, {"op": "is", "entity_type": "Caller"})


def context_parts(node: object) -> frozenset[str]:
    """The parts of the context that an expression, or anything with expressions in it, reads."""
    if isinstance(node, list):
        return frozenset[str]().union(*(context_parts(child) for child in node))
    if not isinstance(node, dict):
        return frozenset()
    for use, part in _USES:
        if node == use:
            return frozenset({part})
    return frozenset(PARTS) if node == _CONTEXT else context_parts(list(node.values()))


def actions(policy: dict[str, object]) -> frozenset[str] | None:
    """The actions that one policy can apply to; None for all of them, or where that is not known.

    No action has another one above it, so that `in` says what `==` does.
    """
    scope = policy.get("action")
    if not isinstance(scope, dict) or scope.get("op") not in ("==", "in"):
        return None
    listed = scope["entities"] if "entities" in scope else [scope.get("entity")]
    if not isinstance(listed, list):
        return None
    named = frozenset(
        str(each["id"])
        for each in listed
        if isinstance(each, dict) and each.get("type") == "Action" and "id" in each
    )
    return named if len(named) == len({str(each) for each in listed}) else None


def caller_attributes(policy: dict[str, object]) -> tuple[str, ...]:
    """The attributes of the caller by which one policy can tell callers apart.

    All of them where it looks at the caller itself, or names one (`Caller::"key_..."`).
    """
    if policy.get("principal") not in _ANY_CALLER:
        return ATTRIBUTES
    found: set[str] = set()
    if _whole(policy.get("conditions"), found):
        return ATTRIBUTES
    return tuple(name for name in ATTRIBUTES if name in found)


def _whole(node: object, found: set[str]) -> bool:
    """Whether an expression looks at a caller itself; what it reads of one is added to `found`."""
    if isinstance(node, list):
        return any(_whole(child, found) for child in node)
    if not isinstance(node, dict):
        return False
    if node == _CALLER or node.get("type") == "Caller":
        return True
    access = node.get(".")
    if isinstance(access, dict) and access.get("left") == _CALLER:
        attribute = access.get("attr")
        found.add(str(attribute))
        return attribute not in ATTRIBUTES
    return any(_whole(child, found) for child in node.values())
