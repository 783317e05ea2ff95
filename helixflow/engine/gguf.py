"""Converts a GGUF file to a folder in Hugging Face's layout: `python -m helixflow.engine.gguf SRC DST`.

A program of its own, so that the memory that the conversion takes is given back when it ends.
Imports torch and transformers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def convert(source: Path, target: Path) -> None:
    """Write the tokenizer and the weights, dequantized to bfloat16, to `target`."""
    place = {"gguf_file": source.name}
    AutoTokenizer.from_pretrained(source.parent, **place).save_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        **place,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
