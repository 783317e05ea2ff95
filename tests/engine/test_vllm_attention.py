from __future__ import annotations

import os
import subprocess
import sys

import pytest

from helixflow.engine.vllm_attention import VARIABLE, avoid_amx, without_amx

_ASK = """
from helixflow.engine.vllm_attention import avoid_amx
avoid_amx(); avoid_amx()
import torch
torch.cpu._is_amx_tile_supported = lambda: True
from vllm.v1.attention.backends import cpu_attn
print("chosen:", cpu_attn._get_attn_isa(torch.bfloat16, 32, 64))
"""


@pytest.mark.parametrize(
    ("chosen", "used"), [("amx", "vec"), ("amx_fp8", "vec"), ("vec16", "vec16"), ("neon", "neon")]
)
def test_tiles_give_way_to_vectors(chosen: str, used: str) -> None:
    assert without_amx(lambda _: chosen)(0) == used


@pytest.mark.parametrize(("device", "wish"), [("", ""), ("cuda", ""), ("cpu", "1")])
def test_elsewhere_vllm_chooses_and_is_not_imported(
    monkeypatch: pytest.MonkeyPatch, device: str, wish: str
) -> None:
    monkeypatch.setenv("VLLM_TARGET_DEVICE", device)
    monkeypatch.setenv(VARIABLE, wish)
    before = set(sys.modules)
    avoid_amx()
    assert {name for name in set(sys.modules) - before if name.startswith("vllm")} == set()


@pytest.mark.engine
@pytest.mark.parametrize(("wish", "used"), [("", "vec"), ("1", "amx")])
def test_vllm_takes_what_it_is_told(wish: str, used: str) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", _ASK],
        env=os.environ | {"VLLM_TARGET_DEVICE": "cpu", VARIABLE: wish},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert f"chosen: {used}" in asked.stdout
