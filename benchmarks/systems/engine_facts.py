"""How HelixFlow runs a model's engine, so that vLLM alone can be run in the same way.

Read from the configuration by HelixFlow's own functions: the model's folder (prepared here if it is
not yet), the memory of the KV cache, the context, the threads, and every argument of the file.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from deployments.specs import model_spec
from helixflow.engine.budget import Shares, plan
from helixflow.engine.hardware import detect
from helixflow.engine.sources import resolve
from helixflow.engine.vllm_args import command_line, engine_environment
from helixflow.engine.weights import read_facts
from helixflow.settings import ModelSettings, Settings

_EXECUTOR = "--distributed-executor-backend"
_RIGHT_ANSWERS = "helixflow_attention"
_NAMED = {"--model", "--served-model-name"}


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """How the engine is to be run.

    Attributes:
        folder: the model, in Hugging Face's layout.
        name: what requests call it.
        arguments: vLLM's command line, without folder, name and executor.
        executor: the words that choose HelixFlow's executor: fewer processes than vLLM's own.
        environment: vLLM's variables.
    """

    folder: str
    name: str
    arguments: list[str]
    executor: list[str]
    environment: dict[str, str]


@cache
def real_model_of(config: Path) -> ModelSettings:
    """The first real model of a configuration."""
    return next(model for model in Settings.load(config).models if model.engine == "vllm")


@cache
def engine_facts(config: Path, models_dir: Path) -> EngineFacts:
    """Of the first real model of a configuration. Raises ModelLoadError where it cannot run."""
    settings = Settings.load(config)
    spec = model_spec(real_model_of(config))
    models_dir.mkdir(parents=True, exist_ok=True)
    folder = asyncio.run(resolve(spec.source, models_dir, lambda _stage, _done: None))
    shares = Shares(settings.engine.memory_share, settings.engine.gpu_share)
    budget = plan(spec, read_facts(folder), detect(), shares)
    arguments, executor = split(command_line(spec, folder, budget))
    # Of HelixFlow's plugins the one that ties an engine to its replica, for there is none here, is
    # left out; without the other one some CPUs give wrong answers (docs/decisions/0015).
    environment = {**engine_environment(budget), "VLLM_PLUGINS": _RIGHT_ANSWERS}
    return EngineFacts(str(folder), spec.name, arguments, executor, environment)


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Command-line words without folder and name, and apart from them those of the executor."""
    arguments: list[str] = []
    executor: list[str] = []
    flag = ""
    for word in words:
        if word.startswith("--"):
            flag = word
        if flag not in _NAMED:
            (executor if flag == _EXECUTOR else arguments).append(word)
    return arguments, executor
