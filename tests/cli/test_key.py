from __future__ import annotations

from helixflow.cli.key import prepare_key
from helixflow.cli.target import env_file
from helixflow.settings import Settings


def test_the_first_start_mints_a_key_and_the_second_finds_it(settings: Settings) -> None:
    key = prepare_key(settings, {})
    assert key.startswith("hx-proj-")
    assert env_file(settings.home_path).read()["OPENAI_API_KEY"] == key
    assert prepare_key(settings, {}) == key


def test_a_key_that_was_lost_is_replaced(settings: Settings) -> None:
    first = prepare_key(settings, {})
    env_file(settings.home_path).path.unlink()
    second = prepare_key(settings, {})
    assert second != first
    assert second.startswith("hx-proj-")
