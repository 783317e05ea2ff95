from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helixflow.engine.budget import Budget
from helixflow.engine.vllm_args import command_line, engine_environment
from helixflow.inference.model_spec import EngineKind, ModelSpec

CPU = Budget("cpu", "CPU (2 threads)", 1, 2, 2000, 0, 500, 1500, 2048, 4096)
GPU = replace(CPU, device="gpu", cards=2, memory_bytes=9000, card_bytes=10_000)
SPEC = ModelSpec("m", EngineKind.VLLM, sequences_max=7, logprobs_max=5)


def options(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def test_on_a_cpu_the_engine_is_one_process_with_a_cache_in_bytes() -> None:
    words = command_line(SPEC, Path("/models/m"), CPU)
    for flag in ("--enable-prompt-tokens-details", "--disable-log-stats"):
        words.remove(flag)
    assert options(words) == {
        "--model": "/models/m",
        "--served-model-name": "m",
        "--max-model-len": "2048",
        "--max-num-seqs": "7",
        "--max-logprobs": "5",
        "--fingerprint-mode": "none",
        "--kv-cache-memory-bytes": "1500",
        "--distributed-executor-backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
    }


def test_on_gpus_the_share_of_the_card_and_the_cards_are_named() -> None:
    words = command_line(SPEC, Path("/models/m"), GPU)
    assert words[words.index("--gpu-memory-utilization") + 1] == "0.9"
    assert words[words.index("--tensor-parallel-size") + 1] == "2"
    assert "--kv-cache-memory-bytes" not in words


def test_engine_args_pass_in_every_form_and_win() -> None:
    args = {
        "max_model_len": 99,
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "limit_mm_per_prompt": {"image": 1},
        "middleware": ["a", "b"],
        "seed": None,
    }
    words = command_line(replace(SPEC, engine_args=args), Path("/models/m"), CPU)
    assert words.count("--max-model-len") == 1
    assert words[words.index("--max-model-len") + 1] == "99"
    assert words[-7:] == [
        "--enforce-eager",
        "--no-enable-prefix-caching",
        "--limit-mm-per-prompt",
        '{"image": 1}',
        "--middleware",
        "a",
        "b",
    ]


def test_no_engine_calls_home() -> None:
    for budget in (CPU, GPU):
        environment = engine_environment(budget)
        assert environment["VLLM_NO_USAGE_STATS"] == environment["DO_NOT_TRACK"] == "1"
        assert environment["HF_HUB_OFFLINE"] == "1"


def test_only_a_cpu_engine_is_told_of_threads() -> None:
    assert engine_environment(CPU)["OMP_NUM_THREADS"] == "2"
    assert engine_environment(CPU)["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert "OMP_NUM_THREADS" not in engine_environment(GPU)
