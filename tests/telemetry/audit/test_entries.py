from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helixflow.signals import Event, EventKind, Fact
from helixflow.telemetry.audit.entries import (
    VALUES_MAX,
    acting_person,
    entries_of,
    person_of,
)
from helixflow.telemetry.audit.record import PLATFORM, Entry, Kind, Outcome
from helixflow.testing.audit import ORGANIZATION, admin_event, denial, failure

MANY = 64


def one(event: Event) -> Entry:
    (entry,) = entries_of([event], MANY)
    return entry


class TestAdministration:
    def test_a_change_says_who_did_what_to_what_and_how_it_was(self) -> None:
        entry = one(admin_event(7, before={"role": "viewer"}, after={"role": "owner"}, at=1.5))
        assert (entry.chain, entry.kind, entry.outcome) == (
            ORGANIZATION, Kind.ADMINISTRATION, Outcome.DONE,
        )  # fmt: skip
        assert entry.action == "project:key:create"
        assert (entry.actor, entry.person, entry.target) == ("user_ada", "user_ada", "key_7")
        assert (entry.request, entry.address, entry.at_ms) == ("req_7", "203.0.113.7", 1500)
        assert (entry.before, entry.after) == ({"role": "viewer"}, {"role": "owner"})
        assert entry.target_person == ""

    def test_what_is_in_no_project_is_the_organization_s(self) -> None:
        entry = one(admin_event(name="member:update", project=None, target="user_bob"))
        assert entry.action == "organization:member:update"
        assert (entry.target, entry.target_person) == ("user_bob", "user_bob")

    @pytest.mark.parametrize("name", ["installation:create", "signing_key:revoke"])
    def test_what_concerns_all_organizations_is_in_the_platform_s_chain(self, name: str) -> None:
        entry = one(admin_event(name=name, project=None, actor="system"))
        assert (entry.chain, entry.action) == (PLATFORM, f"platform:{name}")
        assert entry.person == ""
        assert one(admin_event(organization=None)).chain == PLATFORM

    def test_a_token_that_was_granted_is_an_authentication_that_was_right(self) -> None:
        events = [admin_event(n, "token:grant", target=f"jti_{n}") for n in range(300)]
        entries = entries_of(events, MANY)
        assert [entry.target for entry in entries] == [f"jti_{n}" for n in range(300)]
        assert {(entry.kind, entry.outcome, entry.action) for entry in entries} == {
            (Kind.AUTHENTICATION, Outcome.DONE, "project:token:grant")
        }
        assert one(admin_event(name="token:revoke")).kind is Kind.ADMINISTRATION

    def test_the_same_event_has_the_same_id_and_another_one_another(self) -> None:
        assert one(admin_event(1)).id == one(admin_event(1)).id
        assert len({one(admin_event(n)).id for n in range(9)}) == 9
        assert one(denial(1)).id != one(denial(1, at=5.0)).id

    @given(
        st.dictionaries(
            st.sampled_from(["name", "organization", "project", "actor", "target", "before"]),
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        ),
        st.floats(),
        st.text(),
    )
    def test_an_event_is_recorded_whatever_its_facts_are(
        self, facts: dict[str, Any], at: float, id_: str
    ) -> None:
        for kind in (
            EventKind.ADMINISTRATION,
            EventKind.AUTHENTICATION_FAILED,
            EventKind.AUTHORIZATION_DENIED,
        ):
            entry = one(Event(kind, at, id_, facts))
            assert entry.action.count(":") == 2
            assert entry.actor.isprintable()
            assert len(entry.target) <= 256
            assert entry.at_ms >= 0

    @pytest.mark.parametrize("at", [math.nan, math.inf, -1.0, 1e300])
    def test_a_time_that_is_none_is_the_beginning(self, at: float) -> None:
        assert one(admin_event(at=at)).at_ms == 0

    def test_a_name_that_is_none_is_kept_beside(self) -> None:
        entry = one(admin_event(name="a b"))
        assert (entry.action, entry.after) == ("project:unknown:change", {"name": "a b"})

    def test_values_are_bounded_and_what_is_long_is_known_by_its_hash(self) -> None:
        values: dict[str, Fact] = {
            "long": "x" * 2000, "fraction": 1.5, "big": 2**60, "int": 7, "none": None, "yes": True,
            "half": "\ud800",
        }  # fmt: skip
        after = one(admin_event(after=values)).after
        assert str(after["long"]).startswith("sha256:")
        assert str(after["long"]).endswith("(2000 bytes)")
        assert (after["fraction"], after["big"], after["int"]) == ("1.5", str(2**60), 7)
        assert (after["none"], after["yes"], after["half"]) == (None, True, "?")
        crowd = one(admin_event(after={f"f{n}": n for n in range(500)})).after
        assert len(crowd) == VALUES_MAX


class TestDenials:
    def test_a_denial_says_who_wanted_what(self) -> None:
        entry = one(denial())
        assert (entry.kind, entry.outcome) == (Kind.AUTHORIZATION, Outcome.DENIED)
        assert entry.action == "project:model:invoke"
        assert (entry.actor, entry.target, entry.reason) == (
            "key_robot",
            "model_1",
            "permission_denied",
        )
        assert entry.request == "req_denied_1"

    def test_a_denial_names_the_organization_or_the_platform(self) -> None:
        assert one(denial(project=None)).action == "organization:model:invoke"
        nobody = one(denial(project=None, organization=None, key=None, permission="?"))
        assert (nobody.action, nobody.chain) == ("platform:unknown:use", PLATFORM)
        assert nobody.person == "address:203.0.113.9"

    def test_a_user_behind_a_key_is_the_person(self) -> None:
        assert one(denial(subject="user_eve")).person == "user_eve"
        assert one(denial(subject="svc_acct_1")).person == "key_robot"

    def test_a_caller_that_asks_again_and_again_is_one_record(self) -> None:
        events = [denial(n, at=100.0 + n, model="big") for n in range(9)]
        (entry,) = entries_of(events, MANY)
        assert (entry.count, entry.at_ms, entry.until_ms) == (9, 100_000, 108_000)
        assert entry.request == "req_denied_0"
        crowd = entries_of([denial(n, key=f"key_{n}") for n in range(9)], 3)
        assert [entry.count for entry in crowd] == [1, 1, 1, 6]
        assert crowd[3].action == "organization:unknown:use"


class TestFailures:
    def test_requests_are_usage_and_no_matter_of_the_audit_log(self) -> None:
        kinds = (
            EventKind.REQUEST_ADMITTED,
            EventKind.REQUEST_ENDED,
            EventKind.REQUEST_GENERATED,
        )
        assert entries_of([Event(kind, 1.0, "req", {}) for kind in kinds], MANY) == []

    def test_failures_that_are_alike_become_one(self) -> None:
        events = [failure(n, at=100.0 + n, count=n) for n in (2, 1, 3)]
        (entry,) = entries_of([*events[:1], admin_event(), *events[1:]], MANY)[1:]
        assert (entry.count, entry.at_ms, entry.until_ms) == (6, 101_000, 103_000)
        assert entry.action == "platform:credential:authenticate"
        assert entry.person == "address:203.0.113.0/24"

    def test_a_turn_of_failures_says_when_it_began_and_ended(self) -> None:
        entry = one(failure(at=109.0, first_at=101.0, count=7))
        assert (entry.at_ms, entry.until_ms, entry.count) == (101_000, 109_000, 7)

    def test_failures_that_differ_stay_apart(self) -> None:
        events = [
            failure(1), failure(2, network="203.0.114.0/24"), failure(3, reason="expired_api_key"),
            failure(4, network="other"),
        ]  # fmt: skip
        entries = entries_of(events, MANY)
        assert [entry.count for entry in entries] == [1, 1, 1, 1]
        assert (entries[3].address, entries[3].person) == ("", "")
        assert entries[3].after == {"network": "other"}

    def test_a_flood_from_everywhere_becomes_a_few_records(self) -> None:
        events = [
            failure(n, network=f"2001:db8:{n:x}::/48", count=1 + (n % 7 == 0), reason=reason)
            for n in range(200)
            for reason in ("invalid_api_key", "expired_api_key")
        ]
        entries = entries_of(events, 10)
        assert len(entries) == 12
        assert sum(entry.count for entry in entries) == sum(int(e.facts["count"]) for e in events)
        kept = [entry for entry in entries if entry.address]
        assert len(kept) == 10
        assert {entry.count for entry in kept} == {2}
        rest = [entry for entry in entries if not entry.address]
        assert {entry.reason for entry in rest} == {"invalid_api_key", "expired_api_key"}
        assert all(entry.person == "" and entry.after == {"many": True} for entry in rest)
        assert [e.id for e in entries_of(events, 10)] == [e.id for e in entries]

    @pytest.mark.parametrize("count", [0, -1, True, "7", None, 1.5])
    def test_a_count_that_is_none_is_one(self, count: Any) -> None:
        assert one(failure(count=count)).count == 1


@pytest.mark.parametrize(
    ("subject", "person"),
    [
        ("", ""), ("system", ""), ("user_a", "user_a"), ("key_a", "key_a"),
        ("203.0.113.7", "address:203.0.113.7"),
        ("203.0.113.7/24", "address:203.0.113.0/24"), ("address:2001:DB8::1", "address:2001:db8::1"),
    ],
)  # fmt: skip
def test_a_person_is_called_by_its_id_or_its_address(subject: str, person: str) -> None:
    assert person_of(subject) == person
    assert person_of(person) == person
    assert acting_person("", subject) == person
