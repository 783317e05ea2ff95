from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.errors import Forbidden, Refusal
from helixflow.identity.keys import KeyKind
from helixflow.identity.permissions import (
    ADMINISTRATION,
    INFERENCE,
    KIND_PERMISSIONS,
    ROLE_PERMISSIONS,
    Allow,
    Deny,
    Permission,
    Role,
    decide,
    key_permissions,
    permissions_of,
)
from helixflow.testing.identity import some_principal

ROLES = st.sets(st.sampled_from(Role))
PAGE = Path(__file__).parents[2] / "docs" / "identity.md"


def test_permissions_follow_the_grammar_and_the_alphabet() -> None:
    values = [permission.value for permission in Permission]
    assert values == sorted(values)
    for permission in Permission:
        assert re.fullmatch(r"[a-z_]+:[a-z]+", permission.value)
        assert permission.name == permission.value.replace(":", "_").upper()


def test_the_page_of_identity_shows_what_each_role_gives() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    begin = lines.index("| | owner | admin | developer | viewer | auditor |")
    roles = [Role(word) for word in lines[begin].strip("| ").split(" | ")]
    shown: list[tuple[str, list[Role]]] = []
    for line in lines[begin + 2 : lines.index("", begin)]:
        names, *marks = [cell.strip() for cell in line.strip("|").split("|")]
        given = [role for role, mark in zip(roles, marks, strict=True) if mark]
        shown += [(name, given) for name in re.findall(r"`([a-z_:]+)`", names)]
    assert sorted(name for name, _ in shown) == sorted(Permission)
    for name, given in shown:
        assert given == [role for role in roles if name in ROLE_PERMISSIONS[role]], name


def test_every_role_and_every_kind_of_key_has_its_permissions() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)
    assert set(KIND_PERMISSIONS) == set(KeyKind)
    assert frozenset().union(*ROLE_PERMISSIONS.values()) <= frozenset(Permission)


def test_an_admin_key_cannot_infer_and_an_inference_key_cannot_administer() -> None:
    assert not KIND_PERMISSIONS[KeyKind.ADMIN] & INFERENCE
    assert KIND_PERMISSIONS[KeyKind.PROJECT] == KIND_PERMISSIONS[KeyKind.SERVICE] == INFERENCE
    assert frozenset(Permission) == INFERENCE | ADMINISTRATION
    assert not INFERENCE & ADMINISTRATION


@given(st.sampled_from(KeyKind), st.sets(st.sampled_from(Permission) | st.text()))
def test_scopes_only_take_away(kind: KeyKind, scopes: set[str]) -> None:
    assert key_permissions(kind, scopes) == KIND_PERMISSIONS[kind] & scopes
    assert key_permissions(kind) == KIND_PERMISSIONS[kind]


@given(ROLES, ROLES)
def test_roles_together_give_what_each_gives(one: set[Role], two: set[Role]) -> None:
    assert permissions_of(one | two) == permissions_of(one) | permissions_of(two)


def test_the_roles_differ_in_what_they_are_for() -> None:
    owner, admin = ROLE_PERMISSIONS[Role.OWNER], ROLE_PERMISSIONS[Role.ADMIN]
    viewer, auditor = ROLE_PERMISSIONS[Role.VIEWER], ROLE_PERMISSIONS[Role.AUDITOR]
    assert owner == frozenset(Permission)
    assert owner - admin == {
        Permission.AUDIT_ERASE,
        Permission.CONTENT_READ,
        Permission.ORGANIZATION_UPDATE,
        Permission.SIGNING_KEY_ROTATE,
    }
    assert all(name.endswith((":read", ":list")) for name in viewer | auditor)
    assert auditor - viewer == {Permission.AUDIT_READ, Permission.METRICS_READ}
    assert ROLE_PERMISSIONS[Role.DEVELOPER] >= INFERENCE


@given(st.sets(st.sampled_from(Permission)), st.sampled_from(Permission))
def test_a_caller_may_do_exactly_what_it_is_permitted(
    granted: set[Permission], wanted: Permission
) -> None:
    caller = some_principal(permissions=frozenset(granted))
    assert isinstance(decide(caller, wanted), Allow) == (wanted in granted)


@pytest.mark.parametrize("wanted", ["", "model", "model:*", "MODEL:INVOKE"])
def test_what_is_not_listed_is_denied(wanted: str) -> None:
    caller = some_principal(permissions=frozenset(Permission))
    decision = decide(caller, wanted)
    assert isinstance(decision, Deny)
    assert decision.reason is Refusal.PERMISSION_DENIED
    refused = decision.refused()
    assert isinstance(refused, Forbidden)
    assert refused.message == decision.message
