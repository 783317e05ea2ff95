from __future__ import annotations

import socket
from pathlib import Path

import pytest

from helixflow.direct.place import connect, folder_of, listen


def test_each_model_has_a_folder_of_its_own_on_each_machine(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.write_text("0b0b0b0b-1111\n", encoding="ascii")
    there.write_text("0c0c0c0c-1111\n", encoding="ascii")
    places = {
        folder_of(tmp_path, model, boot)
        for model in ("a", "a/../b", "ä" * 400)
        for boot in (here, there)
    }
    assert len(places) == 6
    assert all(place.parent.parent == tmp_path / "direct" for place in places)


def test_a_machine_without_a_boot_id_goes_by_its_name(tmp_path: Path) -> None:
    assert socket.gethostname() in str(folder_of(tmp_path, "a", tmp_path / "none"))


def test_only_the_owner_sees_the_doors_and_paths_may_be_long(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    door, path = listen(folder)
    with door:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert [each.name for each in folder.iterdir()] == [path.name]
        with connect(path) as visit:
            accepted, _ = door.accept()
            with accepted:
                visit.sendall(b"x")
                assert accepted.recv(1) == b"x"


def test_a_door_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        listen(tmp_path / "file")


def test_nobody_listens_where_a_replica_has_died(tmp_path: Path) -> None:
    door, path = listen(tmp_path)
    door.close()
    with pytest.raises(ConnectionRefusedError):
        connect(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        connect(path)
