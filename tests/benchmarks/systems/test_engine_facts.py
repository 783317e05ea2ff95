from __future__ import annotations

from benchmarks.systems.engine_facts import split


def test_what_names_the_model_is_dropped_and_the_executor_stands_apart() -> None:
    words = [
        "--model", "/m", "--served-model-name", "a", "--max-model-len", "2048",
        "--distributed-executor-backend", "x.Y", "--enforce-eager",
    ]  # fmt: skip
    assert split(words) == (
        ["--max-model-len", "2048", "--enforce-eager"],
        ["--distributed-executor-backend", "x.Y"],
    )
