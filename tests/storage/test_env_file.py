from __future__ import annotations

import stat
import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from helixflow.storage.env_file import EnvFile

VALUES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=30)
NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,10}", fullmatch=True)


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert EnvFile(tmp_path / "env").read() == {}


@settings(max_examples=30, deadline=None)
@given(values=st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_written_is_read_back(values: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = EnvFile(Path(folder) / "env")
        file.update(values)
        assert file.read() == values


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = EnvFile(tmp_path / "env")
    file.update({"A": "1"})
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_an_update_keeps_what_it_does_not_name(tmp_path: Path) -> None:
    file = EnvFile(tmp_path / "folder" / "env")
    file.update({"A": "1", "B": "2"})
    file.update({"B": "3"})
    assert file.read() == {"A": "1", "B": "3"}
    assert [path.name for path in file.path.parent.iterdir()] == ["env"]


def test_other_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# note\nA=1\nexport B='x y' # why\nC='open\nnot a name=1\nD=\n")
    assert EnvFile(path).read() == {"A": "1", "B": "x y", "D": ""}


def test_a_shell_reads_the_same(tmp_path: Path) -> None:
    file = EnvFile(tmp_path / "env")
    file.update({"A": 'it\'s $HOME `id` "x"'})
    shown = subprocess.run(
        ["sh", "-c", '. "$0"; printf %s "$A"', str(file.path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == 'it\'s $HOME `id` "x"'
