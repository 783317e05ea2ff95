"""How vLLM is told what to do: environment variables and command-line arguments.

The environment is read when vLLM is imported, so it is set before that; its children inherit it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helixflow.engine.budget import Budget
from helixflow.inference.model_spec import ModelSpec

_ONE_PROCESS = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""Named in full, because vLLM turns the short name `uni` into a worker process of its own on CPUs.

That worker is there to bind threads to cores, which is off here; without it an engine has one process
less, starts faster, and does not spin between steps on cores that others need.
"""


def engine_environment(budget: Budget) -> dict[str, str]:
    """What the process of a Model replica has in its environment before it imports vLLM.

    No telemetry, no network (the weights are on this machine by then), few log lines, and on a CPU the
    threads that the budget names, not bound to cores, which other processes share.
    """
    environment = {
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_PLUGINS": "helixflow_attention,helixflow_tether",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if budget.device == "cpu":
        environment |= {
            "VLLM_TARGET_DEVICE": "cpu",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": str(budget.threads),
        }
    return environment


_DEFAULTS = {
    "GOMP_SPINCOUNT": "10000",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_CONFIG_PATH": str(Path(__file__).with_name("vllm_logging.json")),
}
"""Kept where they are set. The spin count bounds how long a thread that waits for others burns its
core: unbounded, an engine on shared cores falls from 19 to 1 token/s when they are busy."""


def apply_environment(environment: Mapping[str, str]) -> None:
    """Set these in this process; OMP_NUM_THREADS is set even where Ray chose its own number."""
    os.environ.update(environment)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


def command_line(spec: ModelSpec, folder: Path, budget: Budget) -> list[str]:
    """vLLM's arguments; those of `spec.engine_args` come last and win."""
    arguments: dict[str, Any] = {
        "model": str(folder),
        "served_model_name": spec.name,
        "max_model_len": budget.context_tokens,
        "max_num_seqs": spec.sequences_max,
        "max_logprobs": spec.logprobs_max,
        "enable_prompt_tokens_details": True,
        "disable_log_stats": True,
        "fingerprint_mode": "none",
    }
    if budget.device == "cpu":
        arguments["kv_cache_memory_bytes"] = budget.kv_bytes
        arguments["distributed_executor_backend"] = _ONE_PROCESS
    else:
        arguments["gpu_memory_utilization"] = round(budget.gpu_memory_utilization, 4)
        arguments["tensor_parallel_size"] = budget.cards
    return _words({**arguments, **spec.engine_args})


def _words(arguments: Mapping[str, Any]) -> list[str]:
    """Command-line words: true is a bare flag, false its `--no-` form, tables are JSON."""
    words: list[str] = []
    for name, value in arguments.items():
        flag = name.replace("_", "-")
        if value is True:
            words.append(f"--{flag}")
        elif value is False:
            words.append(f"--no-{flag}")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            words += [f"--{flag}", *map(str, value)]
        elif value is not None:
            text = json.dumps(value) if isinstance(value, Mapping) else str(value)
            words += [f"--{flag}", text]
    return words
