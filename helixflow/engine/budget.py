"""What fits: weights, key-value cache and sequences in the memory that a replica is given.

Everything here is a pure function of the spec, the model's facts and the hardware, so that the same
question always gets the same answer, with a reason that a person can read.
"""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.engine.hardware import Hardware
from helixflow.engine.weights import WeightFacts
from helixflow.errors import ModelLoadError
from helixflow.inference.model_spec import ModelSpec

GIB = 1024**3
_CONTEXT_TOKENS_MIN = 128
_GPU_WORK_BYTES = GIB
"""Held back on a card for activations and the CUDA context; vLLM measures the true figure."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How much of a machine may be used: of main memory, and of a card (0 to 1)."""

    memory: float = 0.5
    gpu: float = 0.9


@dataclass(frozen=True, slots=True)
class Budget:
    """What a replica uses, and what that is enough for.

    Attributes:
        device: `cpu` or `gpu`.
        device_name: the card's name, or how many cores.
        cards: cards that share the weights (1 on a CPU).
        threads: threads of the arithmetic on a CPU.
        memory_bytes: what it may use, per card.
        card_bytes: the card's whole memory; 0 on a CPU.
        weights_bytes, kv_bytes: what of it goes where, per card.
        context_tokens: the longest sequence.
        kv_tokens: tokens that the cache holds.
        note: what was changed to make it fit, or empty.
    """

    device: str
    device_name: str
    cards: int
    threads: int
    memory_bytes: int
    card_bytes: int
    weights_bytes: int
    kv_bytes: int
    context_tokens: int
    kv_tokens: int
    note: str = ""

    @property
    def full_sequences(self) -> int:
        """Sequences of full length that fit at once."""
        return self.kv_tokens // self.context_tokens

    @property
    def gpu_memory_utilization(self) -> float:
        """The share of the card, as vLLM wants it; 0 on a CPU."""
        return self.memory_bytes / self.card_bytes if self.card_bytes else 0.0

    def explain(self) -> str:
        """A few lines for a person."""
        lines = [
            f"device   {self.device_name}, {_gib(self.memory_bytes)} to use",
            f"weights  {_gib(self.weights_bytes)}",
            f"KV cache {_gib(self.kv_bytes)}: {self.kv_tokens:,} tokens",
            f"fits     {self.full_sequences} sequences of {self.context_tokens:,} tokens",
        ]
        return "\n".join([*lines, self.note] if self.note else lines)


@dataclass(frozen=True, slots=True)
class _Room:
    """Where the model goes: `bytes` for weights and cache on each of `cards`."""

    device: str
    name: str
    cards: int
    bytes: int
    card_bytes: int
    remedy: str


def plan(spec: ModelSpec, facts: WeightFacts, hardware: Hardware, shares: Shares) -> Budget:
    """Decide. Raises `ModelLoadError` saying what does not fit and what to change."""
    room = _gpu_room(spec, hardware, shares) if _on_gpu(spec, hardware) else None
    room = room or _cpu_room(spec, hardware, shares)
    weights = -(-facts.weights_bytes // room.cards)
    per_token = max(1, facts.kv_bytes_per_token // room.cards)
    work = _GPU_WORK_BYTES if room.device == "gpu" else 0
    free = room.bytes - weights - work
    if free < per_token * _CONTEXT_TOKENS_MIN:
        raise ModelLoadError(
            f"{spec.name} does not fit: its weights take {_gib(weights)}, and {room.name} gives it "
            f"{_gib(room.bytes)}. {room.remedy}"
        )
    context, note = _context(spec, facts, free // per_token, room)
    if room.device == "cpu":
        free = min(free, per_token * context * spec.sequences_max)
    return Budget(
        room.device, room.name, room.cards, spec.resources.threads or hardware.cpus, room.bytes,
        room.card_bytes, weights, free, context, free // per_token, note,
    )  # fmt: skip


def _on_gpu(spec: ModelSpec, hardware: Hardware) -> bool:
    return bool(hardware.gpus) if spec.resources.gpus is None else spec.resources.gpus > 0


def _gpu_room(spec: ModelSpec, hardware: Hardware, shares: Shares) -> _Room:
    wanted = 1.0 if spec.resources.gpus is None else spec.resources.gpus
    cards = max(1, int(wanted))
    if len(hardware.gpus) < cards:
        raise ModelLoadError(
            f"{spec.name} asks for {wanted:g} GPUs, and this node shows {len(hardware.gpus)}. "
            "Lower resources.gpus (0 runs it on the CPU) or add a GPU node."
        )
    card = min(hardware.gpus[:cards], key=lambda gpu: gpu.memory_bytes)
    name = f"{wanted:g} x {card.name}" if wanted != 1 else card.name
    room = int(card.memory_bytes * min(1.0, wanted) * shares.gpu)
    remedy = "Raise resources.gpus or engine.gpu_share, or choose a smaller model."
    return _Room("gpu", name, cards, room, card.memory_bytes, remedy)


def _cpu_room(spec: ModelSpec, hardware: Hardware, shares: Shares) -> _Room:
    name = f"CPU ({spec.resources.threads or hardware.cpus} threads)"
    given = int(spec.resources.memory_gib * GIB)
    if given > hardware.memory_bytes:
        raise ModelLoadError(
            f"{spec.name} asks for {_gib(given)} of memory, and this machine has "
            f"{_gib(hardware.memory_bytes)}. Lower resources.memory_gib."
        )
    room = given or int(hardware.memory_bytes * shares.memory)
    remedy = "Raise resources.memory_gib or engine.memory_share, or choose a smaller model."
    return _Room("cpu", name, 1, room, 0, remedy)


def _context(spec: ModelSpec, facts: WeightFacts, tokens: int, room: _Room) -> tuple[int, str]:
    """The context length, and a note where it is less than what the model allows."""
    asked = spec.context_tokens
    if asked > facts.context_tokens:
        raise ModelLoadError(
            f"{spec.name}: context_tokens is {asked:,}, and the model was made for at most "
            f"{facts.context_tokens:,}."
        )
    if asked > tokens:
        raise ModelLoadError(
            f"{spec.name}: one sequence of {asked:,} tokens does not fit beside the weights in "
            f"{_gib(room.bytes)}; {tokens:,} tokens do. Lower context_tokens to that, or: "
            f"{room.remedy}"
        )
    if asked or facts.context_tokens <= tokens:
        return asked or facts.context_tokens, ""
    return tokens, f"The context is cut from {facts.context_tokens:,} tokens to what fits."


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"
