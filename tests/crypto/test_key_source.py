from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from helixflow.crypto.key_source import load_master_key
from helixflow.crypto.master_key import MasterKey
from helixflow.errors import ConfigError

KEY = bytes(range(32))


@pytest.mark.parametrize("text", [KEY.hex(), KEY.hex().upper(), base64.b64encode(KEY).decode()])
def test_the_environment_comes_first(tmp_path: Path, text: str) -> None:
    ring = load_master_key(tmp_path, {"HELIXFLOW_MASTER_KEY": text})
    assert ring.check_value() == MasterKey(KEY).check_value()
    assert list(tmp_path.iterdir()) == []


def test_a_named_file_comes_second(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    file.write_text(KEY.hex() + "\n")
    file.chmod(0o400)
    ring = load_master_key(tmp_path, {"HELIXFLOW_MASTER_KEY_FILE": str(file)})
    assert ring.check_value() == MasterKey(KEY).check_value()


def test_a_named_file_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_master_key(tmp_path, {"HELIXFLOW_MASTER_KEY_FILE": str(tmp_path / "none")})


def test_the_home_file_is_made_once_and_for_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = load_master_key(home, {})
    assert load_master_key(home, {}).check_value() == first.check_value()
    assert [path.name for path in home.iterdir()] == ["master.key"]
    assert stat.S_IMODE((home / "master.key").stat().st_mode) == 0o600


def test_many_at_once_get_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: load_master_key(tmp_path, {}), range(8)))
    assert len({ring.check_value() for ring in rings}) == 1


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_master_key(tmp_path, {})
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_master_key(tmp_path, {})


@pytest.mark.parametrize("text", ["short", "zz" * 32, "?" * 44, "é" * 32, KEY.hex()[:-2]])
def test_a_malformed_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_master_key(tmp_path, {"HELIXFLOW_MASTER_KEY": text})
    assert text not in str(caught.value)
