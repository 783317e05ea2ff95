"""Virtual environments of the peers: one each, from a pinned list, made when first needed.

Failure behavior: a list that cannot be installed raises StartFailed with pip's last line, and the
report says so beside the peer's name.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.settings import ROOT
from benchmarks.systems.ports import StartFailed

LISTS = ROOT / "benchmarks" / "peers"
_STAMP = "peer-stamp"
_INSTALL_S = 900.0


def peer_environment(name: str) -> Path:
    """The folder with the peer's programs. Raises StartFailed."""
    listed = LISTS / f"{name}.txt"
    folder = ROOT / ".helixflow" / "peers" / name
    stamp = hashlib.sha256(listed.read_bytes()).hexdigest()
    mark = folder / _STAMP
    if not mark.exists() or mark.read_text() != stamp:
        _run(name, sys.executable, "-m", "venv", "--clear", str(folder))
        python = str(folder / "bin" / "python")
        _run(name, python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(listed))
        mark.write_text(stamp)
    return folder / "bin"


def peer_packages(name: str) -> Path:
    """A folder with what a peer needs beside this environment's packages. Raises StartFailed."""
    listed, folder = LISTS / f"{name}.txt", ROOT / ".helixflow" / "peers" / name
    stamp = hashlib.sha256(listed.read_bytes()).hexdigest()
    mark = folder / _STAMP
    if not mark.exists() or mark.read_text() != stamp:
        _run(
            name, sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
            "--target", str(folder), "-r", str(listed),
        )  # fmt: skip
        mark.write_text(stamp)
    return folder


def _run(name: str, *command: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise StartFailed(f"{name}: not installed within {_INSTALL_S:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise StartFailed(f"{name} cannot be installed: {lines[-1][:200]}")
