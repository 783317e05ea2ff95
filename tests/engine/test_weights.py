from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from helixflow.engine.weights import WeightFacts, read_facts
from helixflow.errors import ModelLoadError

CONFIG: dict[str, Any] = {
    "hidden_size": 64,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "torch_dtype": "bfloat16",
}


def write_model(
    folder: Path, config: dict[str, Any], **tensors: tuple[str, list[int], int]
) -> Path:
    """A folder with a config and one file of tensors: name = (type, shape, bytes)."""
    (folder / "config.json").write_text(json.dumps(config))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape, size) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    data = len(text).to_bytes(8, "little") + text + bytes(offset)
    (folder / "model.safetensors").write_bytes(data)
    return folder


def test_sizes_come_from_headers_and_config(tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIG, a=("BF16", [8, 4], 64), b=("BF16", [4], 8))
    assert read_facts(folder) == WeightFacts(72, 2 * 2 * 2 * 16 * 2, 512)


def test_wide_floats_are_counted_as_they_run(tmp_path: Path) -> None:
    folder = write_model(tmp_path, CONFIG, a=("F32", [8, 4], 128), q=("U8", [100], 100))
    assert read_facts(folder).weights_bytes == 64 + 100


def test_a_multimodal_config_nests_the_language_model(tmp_path: Path) -> None:
    folder = write_model(tmp_path, {"text_config": CONFIG, "hidden_size": 9}, a=("BF16", [1], 2))
    assert read_facts(folder).context_tokens == 512


def test_latent_attention_keeps_one_vector_per_layer(tmp_path: Path) -> None:
    config = {**CONFIG, "kv_lora_rank": 32, "qk_rope_head_dim": 8}
    folder = write_model(tmp_path, config, a=("BF16", [1], 2))
    assert read_facts(folder).kv_bytes_per_token == 2 * 40 * 2


def test_old_names_are_known(tmp_path: Path) -> None:
    config = {"n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 256}
    folder = write_model(tmp_path, config, a=("F16", [1], 2))
    assert read_facts(folder) == WeightFacts(2, 2 * 2 * 4 * 16 * 2, 256)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"config\.json"):
        read_facts(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelLoadError, match="safetensors"):
        read_facts(tmp_path)


def test_an_incomplete_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match="incomplete"):
        read_facts(write_model(tmp_path, {"hidden_size": 64}, a=("BF16", [1], 2)))


def test_a_file_that_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, CONFIG)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ModelLoadError, match="not a safetensors file"):
        read_facts(tmp_path)
