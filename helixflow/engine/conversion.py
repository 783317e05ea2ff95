"""GGUF files, converted once: kept by checksum, made under a lock, put in place by one rename.

Failure behavior: a conversion that fails or is killed leaves only a hidden partial folder, which the
next one removes. A file that changed since it was first seen is refused.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from helixflow.engine.ports import Progress
from helixflow.errors import ModelLoadError

_LOCK_POLL_S = 0.2
_MARK = "helixflow.json"
CONVERTER = (sys.executable, "-m", "helixflow.engine.gguf")
"""The program that converts: it is given the file and the folder to write."""


async def converted(
    file: Path,
    sha256: str,
    models_dir: Path,
    progress: Progress,
    converter: Sequence[str] = CONVERTER,
) -> Path:
    """The folder that a GGUF file was converted to; converts it first where there is none.

    Args:
        sha256: the expected checksum, hexadecimal; empty takes what was seen first.
        converter: the program that converts, see `CONVERTER`.
    """
    progress(f"checking {file.name}", 0.05)
    digest = await asyncio.to_thread(_checked_digest, file, sha256.lower(), models_dir)
    target = models_dir / f"{file.stem}-{digest[:16]}"
    if (target / _MARK).is_file():
        return target
    async with _locked(models_dir / f".{target.name}.lock"):
        if not (target / _MARK).is_file():
            progress(f"converting {file.name}", 0.1)
            await _convert(file, digest, target, converter)
    return target


def _checked_digest(file: Path, expected: str, models_dir: Path) -> str:
    """The file's checksum, compared with the expected one and with what was seen before.

    A file whose size and time are those of the record is not read again.
    """
    models_dir.mkdir(parents=True, exist_ok=True)
    known = models_dir / f".{hashlib.sha256(str(file).encode()).hexdigest()[:32]}.seen"
    stat = file.stat()
    stamp = [stat.st_size, stat.st_mtime_ns]
    seen = json.loads(known.read_text(encoding="ascii")) if known.is_file() else None
    if seen is not None and seen["stamp"] == stamp:
        digest = str(seen["sha256"])
    else:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if expected and digest != expected:
        raise ModelLoadError(f"{file.name} has SHA-256 {digest}, and {expected} is expected.")
    if not expected and seen is not None and seen["sha256"] != digest:
        raise ModelLoadError(
            f"{file.name} has changed: its SHA-256 was {seen['sha256']} and is {digest}. Set "
            "source.sha256 to the one that you trust."
        )
    _write(known, {"stamp": stamp, "sha256": digest})
    return digest


def _write(file: Path, record: dict[str, object]) -> None:
    """Replace a small file in one step."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    partial.write_text(json.dumps(record), encoding="ascii")
    partial.rename(file)


@asynccontextmanager
async def _locked(file: Path) -> AsyncIterator[None]:
    """Hold a lock between processes; it ends with the process that holds it."""
    with file.open("w", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_POLL_S)
        yield


async def _convert(file: Path, digest: str, target: Path, converter: Sequence[str]) -> None:
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    process = await asyncio.create_subprocess_exec(
        *converter, str(file), str(partial),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    if process.returncode != 0:
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise ModelLoadError(
            f"{file.name} could not be converted: {lines[-1] if lines else process.returncode}"
        )
    _write(partial / _MARK, {"sha256": digest, "source": file.name})
    partial.rename(target)
