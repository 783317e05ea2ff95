"""Whatever comes in: a body or a refusal, and never a body that the engine would read otherwise."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from helixflow.errors import Refused
from helixflow.gateway.body import parse
from helixflow.inference.request import Operation, ParsedBody

OPERATIONS = st.sampled_from(Operation)
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class EngineSide(BaseModel):
    """The fields as vLLM declares them."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    stream: bool | None = False
    n: int | None = 1
    max_tokens: int | None = None


def try_parse(operation: Operation, raw: bytes) -> ParsedBody | Refused:
    try:
        return parse(operation, raw)
    except Refused as refused:
        return refused


texts = st.text(max_size=8)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": texts}
    ),
    min_size=1,
    max_size=3,
)
known = st.fixed_dictionaries(
    {"model": texts, "messages": messages, "prompt": st.text(min_size=1, max_size=8)},
    optional={
        "stream": st.none() | st.booleans(),
        "n": st.none() | st.integers(1, 5),
        "max_tokens": st.none() | st.integers(1, 5000),
        "temperature": st.floats(0, 2),
        "service_tier": st.none() | st.sampled_from(["auto", "default", "flex", "priority"]),
        "user": texts,
    },
)
NAMES = [
    "model", "stream", "n", "max_tokens", "messages", "prompt", "priority", "tools", "stop",
    "response_format", "logprobs", "top_logprobs", "stream_options", "chat_template_kwargs",
    "service_tier",
]  # fmt: skip


@QUICK
@given(OPERATIONS, st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(operation: Operation, raw: bytes) -> None:
    try_parse(operation, raw)


@QUICK
@given(OPERATIONS, st.dictionaries(st.sampled_from(NAMES) | texts, values, max_size=4))
def test_any_json_object_is_parsed_or_refused(operation: Operation, tree: dict[str, Any]) -> None:
    try_parse(operation, json.dumps(tree).encode())


@QUICK
@given(OPERATIONS, known, st.data())
def test_a_body_cut_or_changed_at_one_place_is_parsed_or_refused(
    operation: Operation, tree: dict[str, Any], data: st.DataObject
) -> None:
    raw = bytearray(json.dumps(tree, ensure_ascii=False).encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    changed = bytes(raw)
    if isinstance(try_parse(operation, changed), ParsedBody):
        json.loads(changed)
    try_parse(operation, changed[:place])


@QUICK
@given(OPERATIONS, known, st.booleans())
def test_a_valid_body_means_to_the_gateway_what_json_says(
    operation: Operation, tree: dict[str, Any], ascii_only: bool
) -> None:
    raw = json.dumps(tree, ensure_ascii=ascii_only).encode()
    body = parse(operation, raw)
    default = 16 if operation is Operation.COMPLETION else None
    assert body.model == tree["model"]
    assert body.stream == bool(tree.get("stream"))
    assert body.choices == (tree.get("n") or 1)
    assert body.max_tokens == (tree.get("max_tokens") or default)
    assert body.prompt_bytes == len(raw)
    assert body.service_tier == (tree.get("service_tier") or "")


def escaped(name: str, which: int) -> str:
    """The name as a JSON string with some of its letters as escapes."""
    letters = [f"\\u{ord(c):04x}" if which >> index & 1 else c for index, c in enumerate(name)]
    return f'"{"".join(letters)}"'


pairs = st.lists(
    st.tuples(
        st.sampled_from(["model", "stream", "n", "max_tokens"]),
        st.integers(0, 2**11),
        st.sampled_from(
            ['"a"', '"b"', "true", "false", "null", "1", "2", "3.0", "1e0", '"1"', '"true"', "0"]
        ),
    ),
    max_size=8,
)


@QUICK
@given(pairs)
def test_repeated_and_escaped_keys_mean_the_same_to_the_gateway_and_the_engine(
    fields: list[tuple[str, int, str]],
) -> None:
    items = [f"{escaped(name, which)}:{value}" for name, which, value in fields]
    items.insert(0, '"model":"first"')
    items.append('"messages":[{"role":"user","content":"hi"}]')
    raw = ("{" + ",".join(items) + "}").encode()
    body = try_parse(Operation.CHAT, raw)
    if isinstance(body, Refused):
        return
    for engine in (EngineSide.model_validate_json(raw), EngineSide(**json.loads(raw))):
        assert body.model == engine.model
        assert body.stream == bool(engine.stream)
        assert body.choices == (1 if engine.n is None else engine.n)
        assert body.max_tokens == engine.max_tokens


@QUICK
@given(st.binary(max_size=40))
def test_what_passes_inside_an_ignored_field_is_json_to_the_engine_too(inner: bytes) -> None:
    raw = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"ignored":' + inner + b"}"
    if isinstance(try_parse(Operation.CHAT, raw), ParsedBody):
        json.loads(raw)
        try:
            EngineSide.model_validate_json(raw)
        except ValidationError as error:
            raise AssertionError(raw) from error
