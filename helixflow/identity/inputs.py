"""What people write into administration, checked and brought into one form.

Every function returns the value to store or raises `InvalidRequest` that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

from helixflow.errors import Conflict, InvalidRequest, NotFound, Refusal
from helixflow.identity import networks

R = TypeVar("R")

NAME_LENGTH_MAX = 256
PAGE_MAX = 100
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,255}")
_LIST_MAX = 256


def name(text: str, field: str = "name") -> str:
    """A name: one line, 1 to 256 characters, without blanks around it."""
    text = text.strip()
    if not text or len(text) > NAME_LENGTH_MAX or not text.isprintable():
        raise _wrong(field, f"It must be one line of 1 to {NAME_LENGTH_MAX} characters.")
    return text


def email(text: str) -> str:
    """An address in lower case; ASCII, because databases differ in what lower case is."""
    text = text.strip().lower()
    if _EMAIL.fullmatch(text) is None or not text.isascii():
        raise _wrong("email", "It must be an e-mail address.")
    return text


def cidrs(texts: Iterable[str] | None) -> frozenset[str] | None:
    """Networks, or None for all; an empty list would lock its owner out."""
    if texts is None:
        return None
    listed = list(texts)
    try:
        found = networks.normalize(listed)
    except ValueError:
        raise _wrong("allowed_cidrs", "It must list networks such as 10.0.0.0/8.") from None
    if not found or len(listed) > _LIST_MAX:
        raise _wrong("allowed_cidrs", f"It must list 1 to {_LIST_MAX} networks.")
    return found


def models(names: Iterable[str] | None) -> frozenset[str] | None:
    """Model names, or None for all."""
    if names is None:
        return None
    found = frozenset(name(text, "allowed_models") for text in names)
    if not found or len(found) > _LIST_MAX:
        raise _wrong("allowed_models", f"It must list 1 to {_LIST_MAX} models.")
    return found


def scopes(wanted: Iterable[str] | None, ceiling: frozenset[str]) -> frozenset[str]:
    """Permissions within a ceiling; None for all of it."""
    if wanted is None:
        return ceiling
    found = frozenset(wanted)
    if not found or not found <= ceiling:
        raise _wrong("scopes", f"It must name some of: {', '.join(sorted(ceiling))}.")
    return found


def expiry(at: float | None, now: float) -> float | None:
    """A time in the future, or None for never."""
    if at is not None and not now < at < float("inf"):
        raise _wrong("expires_at", "It must lie in the future.")
    return at


def page_size(limit: int) -> int:
    """How many records a page holds."""
    if not 1 <= limit <= PAGE_MAX:
        raise _wrong("limit", f"It must be 1 to {PAGE_MAX}.")
    return limit


def found(record: R | None, what: str) -> R:
    """The record; another tenant's and a missing one are the same `NotFound`."""
    if record is None:
        raise NotFound(Refusal.RESOURCE_NOT_FOUND, f"There is no such {what}.")
    return record


def taken(what: str, field: str) -> Conflict:
    """The refusal that says that a name is in use."""
    return Conflict(Refusal.CONFLICT, f"{what} exists already.", param=field)


def _wrong(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(Refusal.INVALID_VALUE, message, param=field)
