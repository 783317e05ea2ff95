"""What a model's folder says about its size, read from headers and config.json alone."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helixflow.errors import ModelLoadError

_HEADER_BYTES_MAX = 100 * 1024 * 1024
_DTYPE_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1,
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WeightFacts:
    """What a budget needs to know of a model.

    Attributes:
        weights_bytes: the weights in the type that they run in.
        kv_bytes_per_token: keys and values of one token, over all layers.
        context_tokens: the longest context that the model was made for.
    """

    weights_bytes: int
    kv_bytes_per_token: int
    context_tokens: int


def read_facts(folder: Path) -> WeightFacts:
    """Read a folder in Hugging Face's layout. Raises `ModelLoadError` where it is not one."""
    config = _config(folder)
    run_bytes = _DTYPE_BYTES.get(str(config.get("dtype") or config.get("torch_dtype")), 2)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelLoadError(f"{folder} has no *.safetensors files.")
    try:
        return WeightFacts(
            sum(_tensor_bytes(file, run_bytes) for file in files),
            _kv_values(config) * min(run_bytes, 2),
            int(config.get("max_position_embeddings") or config.get("n_positions") or 2048),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ModelLoadError(f"{folder}: config.json or a header is incomplete: {error}") from error


def _config(folder: Path) -> dict[str, Any]:
    """The configuration of the language model (multimodal ones nest it in `text_config`)."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{folder} has no readable config.json: {error}") from error
    return {**config, **config.get("text_config", {})}


def _kv_values(config: dict[str, Any]) -> int:
    """Numbers that the cache keeps per token.

    Two vectors per key-value head and layer; models with latent attention keep one compressed
    vector per layer instead (DeepSeek-V2, arXiv:2405.04434).
    """
    layers = int(config.get("num_hidden_layers") or config["n_layer"])
    if latent := config.get("kv_lora_rank"):
        return layers * (int(latent) + int(config.get("qk_rope_head_dim") or 0))
    heads = int(config.get("num_attention_heads") or config["n_head"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    width = int(config.get("hidden_size") or config["n_embd"])
    return 2 * layers * kv_heads * int(config.get("head_dim") or width // heads)


def _tensor_bytes(file: Path, run_bytes: int) -> int:
    """Bytes that a file's tensors take in memory: floats at most as wide as the run type.

    Format: 8 bytes of little-endian length, then a JSON header
    (https://github.com/huggingface/safetensors#format).
    """
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _HEADER_BYTES_MAX:
            raise ValueError(f"{file.name} is not a safetensors file")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    return sum(_entry_bytes(entry, run_bytes) for entry in header.values())


def _entry_bytes(entry: dict[str, Any], run_bytes: int) -> int:
    begin, end = entry["data_offsets"]
    stored = int(end) - int(begin)
    if entry["dtype"] not in _DTYPE_BYTES:
        return stored
    return min(stored, int(math.prod(entry["shape"])) * run_bytes)
