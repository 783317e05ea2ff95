"""Where the master key comes from.

In this order: the environment variable `HELIXFLOW_MASTER_KEY` (64 hexadecimal digits or the base64
of 32 bytes), the file that `HELIXFLOW_MASTER_KEY_FILE` names, the file `master.key` in the home
folder. Only the last is made when it is missing: once, whole, readable by its owner alone.

Failure behavior: a key that is malformed, or a file that others may read, raises `ConfigError`. The
key never appears in an error.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from helixflow.crypto.master_key import KEY_BYTES, MasterKey
from helixflow.errors import ConfigError

KEY_VARIABLE = "HELIXFLOW_MASTER_KEY"
FILE_VARIABLE = "HELIXFLOW_MASTER_KEY_FILE"
FILE_NAME = "master.key"
_FILE_BYTES_MAX = 4096


def load_master_key(home: Path, environ: Mapping[str, str]) -> MasterKey:
    """The master key of the stack whose home folder is `home`; blocks on the disk."""
    if text := environ.get(KEY_VARIABLE, ""):
        return MasterKey(_decode(text, KEY_VARIABLE))
    if named := environ.get(FILE_VARIABLE, ""):
        return MasterKey(_read(Path(named)))
    path = home / FILE_NAME
    if not path.exists():
        _create(path)
    return MasterKey(_read(path))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{path}: others may read the master key; run chmod 600 on it")
    return _decode(text.decode("ascii", "replace"), str(path))


def _decode(text: str, origin: str) -> bytes:
    text = text.strip()
    try:
        key = (
            bytes.fromhex(text)
            if len(text) == 2 * KEY_BYTES
            else base64.b64decode(text, validate=True)
        )
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{origin}: a master key is {2 * KEY_BYTES} hexadecimal digits"
            f" or the base64 of {KEY_BYTES} bytes; `openssl rand -hex {KEY_BYTES}` makes one"
        )
    return key


def _create(path: Path) -> None:
    """Make the file if nobody has; of several at once one wins, and no one sees half a file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(KEY_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # Where the file exists by now, another process was first, and its key is the one.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
