"""What a node has: GPUs by NVML, CPU cores and memory as far as this process may use them.

Failure behavior: a machine without an NVIDIA driver has no GPU; that is not an error. Control groups
that cannot be read do not limit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pynvml

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card.

    Attributes:
        name: as the driver calls it.
        uuid: the driver's lasting name of it.
        memory_bytes: its memory.
        free_bytes: what of it nobody uses.
    """

    name: str
    uuid: str
    memory_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Hardware:
    """A node as this process may use it.

    Attributes:
        cpus: cores, limited by affinity and control group.
        memory_bytes: main memory, limited by the control group.
        gpus: cards that are visible to this process.
    """

    cpus: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()


def detect(visible: str | None = None, cgroup: Path = _CGROUP, nvml: Any = pynvml) -> Hardware:
    """Look at this node.

    Args:
        visible: CUDA_VISIBLE_DEVICES, indexes or UUIDs with commas between; None for all cards.
        cgroup: where control groups are mounted.
        nvml: NVIDIA's management library.
    """
    memory = psutil.virtual_memory().total
    cores = len(os.sched_getaffinity(0))
    return Hardware(
        max(1, min(cores, _cpu_quota(cgroup) or cores)),
        min(memory, _memory_limit(cgroup) or memory),
        tuple(_gpus(visible, nvml)),
    )


def _memory_limit(cgroup: Path) -> int | None:
    """Bytes, from version 2 (`memory.max`) or version 1; None where there is no limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        words = _read(cgroup / name)
        if words and words[0].isdigit():
            return int(words[0])
    return None


def _cpu_quota(cgroup: Path) -> int | None:
    """Whole cores, from `cpu.max` ("quota period", microseconds); None where there is no limit."""
    words = _read(cgroup / "cpu.max")
    if len(words) == 2 and words[0].isdigit():
        return int(words[0]) // int(words[1])
    return None


def _read(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []


def _gpus(visible: str | None, nvml: Any) -> Iterator[Gpu]:
    with _opened(nvml) as count:
        wanted = None if visible is None else [word.strip() for word in visible.split(",")]
        for index in range(count):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            uuid = str(nvml.nvmlDeviceGetUUID(handle))
            if wanted is not None and not _named(wanted, index, uuid):
                continue
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            name = str(nvml.nvmlDeviceGetName(handle))
            yield Gpu(name, uuid, int(memory.total), int(memory.free))


def _named(wanted: list[str], index: int, uuid: str) -> bool:
    return any(word and (word == str(index) or uuid.startswith(word)) for word in wanted)


@contextmanager
def _opened(nvml: Any) -> Iterator[int]:
    """The number of cards; 0 where the driver is absent."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        yield 0
        return
    try:
        yield int(nvml.nvmlDeviceGetCount())
    finally:
        nvml.nvmlShutdown()
