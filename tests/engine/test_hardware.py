from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from helixflow.engine.hardware import Gpu, detect

CARDS = (
    Gpu("NVIDIA H200", "GPU-aaa", 141_000, 140_000),
    Gpu("NVIDIA L4", "GPU-bbb", 24_000, 23_000),
)


class FakeNvml:
    """NVIDIA's library on a machine with two cards."""

    class NVMLError(Exception):
        """As the library's own."""

    def __init__(self, driver: bool = True) -> None:
        self.driver = driver
        self.open = False

    def nvmlInit(self) -> None:  # noqa: N802 - the library's names
        if not self.driver:
            raise self.NVMLError
        self.open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(CARDS)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:  # noqa: N802
        return CARDS[index]

    def nvmlDeviceGetUUID(self, card: Gpu) -> str:  # noqa: N802
        return card.uuid

    def nvmlDeviceGetName(self, card: Gpu) -> str:  # noqa: N802
        return card.name

    def nvmlDeviceGetMemoryInfo(self, card: Gpu) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(total=card.memory_bytes, free=card.free_bytes)


@pytest.mark.parametrize(
    ("visible", "cards"),
    [
        (None, CARDS),
        ("0,1", CARDS),
        ("1", CARDS[1:]),
        ("GPU-aaa", CARDS[:1]),
        (" 0 ", CARDS[:1]),
        ("", ()),
        ("7", ()),
    ],
)
def test_visible_cards_are_found(visible: str | None, cards: tuple[Gpu, ...]) -> None:
    nvml = FakeNvml()
    assert detect(visible, nvml=nvml).gpus == cards
    assert not nvml.open


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    assert detect(nvml=FakeNvml(driver=False)).gpus == ()


def test_this_machine_has_cores_and_memory() -> None:
    hardware = detect()
    assert hardware.cpus >= 1
    assert hardware.memory_bytes > 2**28


def test_a_control_group_limits_memory_and_cores(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1048576\n")
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    hardware = detect(cgroup=tmp_path, nvml=FakeNvml())
    assert (hardware.cpus, hardware.memory_bytes) == (1, 1_048_576)


def test_half_a_core_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert detect(cgroup=tmp_path).cpus >= 1


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("2097152")
    assert detect(cgroup=tmp_path).memory_bytes == 2_097_152


def test_an_unlimited_group_does_not_limit(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert detect(cgroup=tmp_path) == detect(cgroup=tmp_path / "absent")
