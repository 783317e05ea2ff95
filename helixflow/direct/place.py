"""Where doors are: `<run folder>/direct/<protocol>-<machine>/<model>/<door>`.

The machine is part of the path because a folder may be shared between machines, and a socket file
cannot: seen from another machine it looks like one that nobody listens at. Folders are the owner's
alone (mode 0700), and a path of any length works: sockets are reached through the folder's
descriptor, since the kernel takes no more than 107 bytes of path.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from pathlib import Path

from helixflow.direct.wire import PROTOCOL

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_BACKLOG = 4096


def folder_of(run: Path, model: str, boot: Path = _BOOT) -> Path:
    """The folder with the doors of a model on this machine.

    Args:
        run: the stack's folder for what its processes need while they run.
        model: its name in the registry.
        boot: where the kernel says which machine this is, since when.
    """
    try:
        machine = boot.read_text(encoding="ascii").strip().replace("-", "")[:12]
    except OSError:
        machine = socket.gethostname()
    name = hashlib.sha256(model.encode()).hexdigest()[:16]
    return run / "direct" / f"{PROTOCOL}-{machine}" / name


def listen(folder: Path) -> tuple[socket.socket, Path]:
    """A socket that listens at a new door, and the door's path. Raises OSError.

    It appears under its name only once it listens, so that a door at which nobody answers is one
    whose replica has died.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    name = secrets.token_hex(8)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.settimeout(0.0)
        descriptor = os.open(folder, os.O_DIRECTORY)
        try:
            door.bind(f"/proc/self/fd/{descriptor}/.{name}")
            door.listen(_BACKLOG)
            os.rename(f".{name}", name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        door.close()
        raise
    return door, folder / name


def connect(path: Path) -> socket.socket:
    """A socket that is connected to a door. Raises OSError; `ConnectionRefusedError` and
    `FileNotFoundError` mean that its replica has gone."""
    visit = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        visit.settimeout(0.0)
        descriptor = os.open(path.parent, os.O_DIRECTORY)
        try:
            visit.connect(f"/proc/self/fd/{descriptor}/{path.name}")
        finally:
            os.close(descriptor)
    except BaseException:
        visit.close()
        raise
    return visit
