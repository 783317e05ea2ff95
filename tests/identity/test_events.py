from __future__ import annotations

import re

from helixflow.identity.events import Actor, Event, EventName
from helixflow.ids import mint_organization_id
from helixflow.testing.identity import some_principal


def test_event_names_follow_the_grammar_and_the_alphabet() -> None:
    values = [name.value for name in EventName]
    assert values == sorted(values)
    for name in EventName:
        assert re.fullmatch(r"[a-z_]+:[a-z]+", name.value)
        assert name.name == name.value.replace(":", "_").upper()


def test_every_event_has_an_id_of_its_own() -> None:
    organization = mint_organization_id()
    made = {Event(EventName.KEY_CREATE, organization, None, "a", "b", 0.0).id for _ in range(50)}
    assert len(made) == 50


def test_a_caller_administers_its_own_organization_with_its_own_permissions() -> None:
    caller = some_principal()
    assert Actor.of(caller) == Actor(caller.organization, caller.key, caller.permissions)
