from __future__ import annotations

from helixflow.cli.key import prepare_key
from helixflow.cli.target import env_file
from helixflow.settings import Settings


def test_the_first_start_mints_a_key_and_the_second_finds_it(settings: Settings) -> None:
    key = prepare_key(settings, {})
    assert key.startswith("hx-proj-")
    known = env_file(settings.home_path).read()
    assert known["OPENAI_API_KEY"] == key
    assert known["HELIXFLOW_ADMIN_KEY"].startswith("hx-adm-")
    assert prepare_key(settings, {}) == key


def test_a_key_that_was_lost_is_replaced(settings: Settings) -> None:
    first = prepare_key(settings, {})
    env_file(settings.home_path).path.unlink()
    second = prepare_key(settings, {})
    assert second != first
    assert second.startswith("hx-proj-")
