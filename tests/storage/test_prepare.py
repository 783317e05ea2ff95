from __future__ import annotations

import asyncio
import fcntl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from helixflow.errors import ConfigError
from helixflow.identity.keys import digest, parse
from helixflow.identity.permissions import ADMINISTRATION, INFERENCE
from helixflow.settings import StorageSettings
from helixflow.storage.env_file import EnvFile
from helixflow.storage.prepare import Prepared, prepare
from helixflow.testing.clock import ManualClock

Prepare = Callable[..., Awaitable[Prepared]]


@pytest.fixture
async def start() -> AsyncIterator[Prepare]:
    prepared: list[Prepared] = []

    async def run(url: str, home: Path, *, need_key: bool = False) -> Prepared:
        settings = StorageSettings(url=url, call_s=5.0)
        prepared.append(await prepare(settings, home, ManualClock(), {}, need_key=need_key))
        return prepared[-1]

    yield run
    for one in prepared:
        await one.stores.database.close()


async def test_the_first_start_mints_keys_that_verify(
    empty_url: str, tmp_path: Path, start: Prepare
) -> None:
    ready = await start(empty_url, tmp_path)
    assert ready.minted
    assert ready.key is not None
    assert ready.admin_key is not None
    text, admin = ready.key.reveal(), ready.admin_key.reveal()
    assert ready.env.read() == {"OPENAI_API_KEY": text, "HELIXFLOW_ADMIN_KEY": admin}
    assert stat.S_IMODE(ready.env.path.stat().st_mode) == 0o600
    verdict = await ready.authority.verify(digest(text))
    assert verdict.principal is not None
    assert verdict.principal.permissions == INFERENCE
    verdict = await ready.authority.verify(digest(admin))
    assert verdict.principal is not None
    assert verdict.principal.permissions == ADMINISTRATION


async def test_the_second_start_finds_the_key_and_mints_none(
    empty_url: str, tmp_path: Path, start: Prepare
) -> None:
    first = await start(empty_url, tmp_path)
    second = await start(empty_url, tmp_path, need_key=True)
    assert not second.minted
    assert second.key == first.key
    assert await second.stores.keys.revision() == 1


async def test_a_lost_key_is_minted_anew_only_where_one_is_needed(
    tmp_path: Path, start: Prepare
) -> None:
    first = await start("sqlite:///it.db", tmp_path)
    first.env.path.unlink()
    assert (await start("sqlite:///it.db", tmp_path)).key is None
    again = await start("sqlite:///it.db", tmp_path, need_key=True)
    assert again.minted
    assert again.key != first.key
    assert again.key is not None
    assert again.env.read()["OPENAI_API_KEY"] == again.key.reveal()


async def test_a_key_of_another_kind_under_a_variable_is_none(
    tmp_path: Path, start: Prepare
) -> None:
    first = await start("sqlite:///it.db", tmp_path)
    assert first.key is not None
    first.env.update({"HELIXFLOW_ADMIN_KEY": first.key.reveal()})
    again = await start("sqlite:///it.db", tmp_path, need_key=True)
    assert again.key == first.key
    assert again.admin_key is not None
    assert str(parse(again.admin_key.reveal())) == "adm"


@pytest.mark.parametrize("text", ["", "sk-not-ours", "hx-proj-short"])
async def test_a_foreign_key_in_the_file_is_replaced_and_the_rest_is_kept(
    tmp_path: Path, start: Prepare, text: str
) -> None:
    EnvFile(tmp_path / "env").update({"OPENAI_API_KEY": text, "OTHER": "a b"})
    await start("sqlite:///it.db", tmp_path)
    again = await start("sqlite:///it.db", tmp_path, need_key=True)
    values = again.env.read()
    assert values["OTHER"] == "a b"
    assert str(parse(values["OPENAI_API_KEY"])) == "proj"


async def test_starts_at_once_agree_on_one_key(
    empty_url: str, tmp_path: Path, start: Prepare
) -> None:
    ready = await asyncio.gather(*(start(empty_url, tmp_path, need_key=True) for _ in range(4)))
    assert sum(one.minted for one in ready) == 1
    assert len({one.key.reveal() for one in ready if one.key is not None}) == 1


async def test_starts_in_several_homes_make_one_installation(
    migrated_url: str, tmp_path: Path, start: Prepare
) -> None:
    """Nodes share the database and the master key, and nothing else."""
    homes = [tmp_path / name for name in ("one", "two", "three")]
    for home in homes:
        home.mkdir()
        (home / "master.key").write_text("ab" * 32)
        (home / "master.key").chmod(0o600)
    ready = await asyncio.gather(*(start(migrated_url, home) for home in homes))
    assert sum(one.minted for one in ready) == 1


async def test_another_master_key_is_refused_with_a_hint(tmp_path: Path, start: Prepare) -> None:
    await start("sqlite:///it.db", tmp_path)
    (tmp_path / "master.key").unlink()
    with pytest.raises(ConfigError, match="another master key"):
        await start("sqlite:///it.db", tmp_path)


async def test_a_start_waits_for_the_one_that_holds_the_lock(
    tmp_path: Path, start: Prepare
) -> None:
    with (tmp_path / "prepare.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = asyncio.create_task(start("sqlite:///it.db", tmp_path))
        await asyncio.wait({waiting}, timeout=0.05)
        assert not waiting.done()
        fcntl.flock(other, fcntl.LOCK_UN)
    assert (await waiting).minted


async def test_a_lock_that_is_never_given_back_is_reported(tmp_path: Path) -> None:
    with (tmp_path / "prepare.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process"):
            await prepare(StorageSettings(), tmp_path, ManualClock(), {}, lock_s=0.03)
