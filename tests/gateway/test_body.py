from __future__ import annotations

import json
from typing import Any

import pytest

from helixflow.errors import InvalidRequest, Refusal
from helixflow.gateway.body import DEPTH_MAX, TOKENS_MAX, check_bounds, parse
from helixflow.inference.model_spec import EngineKind, ModelSpec
from helixflow.inference.request import Operation, ParsedBody

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TEXT: dict[str, Any] = {"model": "m", "prompt": "hi"}


def chat(**changes: Any) -> ParsedBody:
    return parse(Operation.CHAT, json.dumps({**CHAT, **changes}).encode())


def text(**changes: Any) -> ParsedBody:
    return parse(Operation.COMPLETION, json.dumps({**TEXT, **changes}).encode())


def refusal(operation: Operation, raw: bytes) -> tuple[Refusal, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        parse(operation, raw)
    return caught.value.reason, caught.value.param


def chat_refusal(**changes: Any) -> tuple[Refusal, str | None]:
    return refusal(Operation.CHAT, json.dumps({**CHAT, **changes}).encode())


def text_refusal(**changes: Any) -> tuple[Refusal, str | None]:
    return refusal(Operation.COMPLETION, json.dumps({**TEXT, **changes}).encode())


def content(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


class TestWhatIsRead:
    def test_a_plain_chat_has_one_choice_and_no_bounds(self) -> None:
        raw = json.dumps(CHAT).encode()
        body = parse(Operation.CHAT, raw)
        assert body == ParsedBody(
            "m", False, 1, None, 0, 0, len(raw), "n", logprobs_param="top_logprobs"
        )

    def test_a_chat_says_its_choices_tokens_and_logprobs(self) -> None:
        body = chat(stream=True, n=3, max_tokens=9, logprobs=True, top_logprobs=4)
        assert (body.stream, body.choices, body.max_tokens, body.logprobs) == (True, 3, 9, 4)
        assert (body.max_tokens_param, body.logprobs_param) == ("max_tokens", "top_logprobs")

    def test_max_completion_tokens_stands_above_max_tokens(self) -> None:
        body = chat(max_tokens=9, max_completion_tokens=5)
        assert (body.max_tokens, body.max_tokens_param) == (5, "max_completion_tokens")

    def test_null_means_the_default(self) -> None:
        body = chat(stream=None, n=None, max_tokens=None, tools=None, response_format=None)
        assert (body.stream, body.choices, body.max_tokens, body.schema_bytes) == (
            False, 1, None, 0,
        )  # fmt: skip

    @pytest.mark.parametrize("tier", ["auto", "default", "flex", "priority", "scale"])
    def test_the_service_tier_is_read(self, tier: str) -> None:
        assert chat(service_tier=tier).service_tier == text(service_tier=tier).service_tier == tier
        assert chat().service_tier == text(service_tier=None).service_tier == ""

    def test_unknown_fields_are_let_through(self) -> None:
        assert chat(store=True, metadata={"a": "b"}, top_k=5).model == "m"

    def test_a_completion_without_max_tokens_is_bound_to_sixteen(self) -> None:
        assert text().max_tokens == 16
        assert text(max_tokens=None).max_tokens == 16
        assert text(max_tokens=3).max_tokens == 3

    def test_a_completion_may_ask_for_no_tokens_where_it_echoes_its_prompt(self) -> None:
        assert text(max_tokens=0, echo=True).max_tokens == 0

    @pytest.mark.parametrize(
        ("prompt", "choices", "param"),
        [
            ("hi", 2, "n"),
            ([1, 2, 3], 2, "n"),
            (["hi"], 2, "n"),
            (["a", "b", "c"], 6, "prompt"),
            ([[1], [2, 3]], 4, "prompt"),
        ],
    )
    def test_the_choices_of_a_completion_are_those_of_all_its_prompts(
        self, prompt: Any, choices: int, param: str
    ) -> None:
        body = text(prompt=prompt, n=2)
        assert (body.choices, body.choices_param) == (choices, param)

    def test_prompt_logprobs_and_named_tokens_count_as_logprobs(self) -> None:
        body = text(logprobs=2, prompt_logprobs=7)
        assert (body.logprobs, body.logprobs_param) == (7, "prompt_logprobs")
        body = text(logprobs=9, prompt_logprobs=7)
        assert (body.logprobs, body.logprobs_param) == (9, "logprobs")
        body = text(logprobs=2, logprob_token_ids=[1, 2, 3])
        assert (body.logprobs, body.logprobs_param) == (3, "logprob_token_ids")

    def test_schema_bytes_are_those_of_formats_outputs_and_tools_together(self) -> None:
        wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}
        outputs = {"regex": "a+"}
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        sizes = [len(json.dumps(part)) for part in (wanted, outputs, tools)]
        body = chat(response_format=wanted)
        assert (body.schema_bytes, body.schema_param) == (sizes[0], "response_format")
        body = chat(response_format=wanted, structured_outputs=outputs)
        assert (body.schema_bytes, body.schema_param) == (sum(sizes[:2]), "structured_outputs")
        body = chat(response_format=wanted, structured_outputs=outputs, tools=tools)
        assert (body.schema_bytes, body.schema_param) == (sum(sizes), "tools")

    def test_the_last_of_repeated_keys_counts(self) -> None:
        raw = b'{"model":"a","stream":true,"messages":[{"role":"user","content":""}],'
        body = parse(Operation.CHAT, raw + b'"model":"b","stream":false}')
        assert (body.model, body.stream) == ("b", False)


class TestWhatIsNotJson:
    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (b"", Refusal.INVALID_JSON),
            (b"{", Refusal.INVALID_JSON),
            (b'{"model":"m",}', Refusal.INVALID_JSON),
            (b'{"model":"m"} x', Refusal.INVALID_JSON),
            (b'{"temperature":NaN}', Refusal.INVALID_JSON),
            (b'{"unknown":-Infinity}', Refusal.INVALID_JSON),
            (b"\xef\xbb\xbf{}", Refusal.INVALID_JSON),
            (b'{"model":"\\ud800"}', Refusal.INVALID_JSON),
            (b'{"unknown":"\\udc00 is alone"}', Refusal.INVALID_JSON),
            (b'{"unknown":"\\ud83d\\ud83d is not a pair"}', Refusal.INVALID_JSON),
            (b"[]", Refusal.INVALID_TYPE),
            (b'"text"', Refusal.INVALID_TYPE),
            (b"null", Refusal.INVALID_TYPE),
            (b'{"model":"\xff"}', Refusal.INVALID_ENCODING),
            (b'{"unknown":"\xed\xa0\x80"}', Refusal.INVALID_ENCODING),
            ("{}".encode("utf-16"), Refusal.INVALID_ENCODING),
            (b'{"temperature":1e999}', Refusal.INVALID_VALUE),
            (b'{"n":' + b"9" * 5000 + b"}", Refusal.INVALID_VALUE),
        ],
    )
    def test_it_is_refused(self, raw: bytes, reason: Refusal) -> None:
        assert refusal(Operation.CHAT, raw)[0] is reason

    @pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
    @pytest.mark.parametrize("depth", [DEPTH_MAX, DEPTH_MAX + 1, 5_000, 100_000])
    def test_deep_nesting_is_refused(self, pair: tuple[bytes, bytes], depth: int) -> None:
        inner = b"1".join((pair[0] * (depth - 1), pair[1] * (depth - 1)))
        raw = b'{"model":"m","messages":[{"role":"user","content":"x"}],"deep":' + inner + b"}"
        if depth <= DEPTH_MAX:
            assert parse(Operation.CHAT, raw).model == "m"
        else:
            assert refusal(Operation.CHAT, raw)[0] is Refusal.INVALID_JSON

    @pytest.mark.parametrize("opened", [60, 5_000])
    def test_brackets_that_are_never_closed_are_refused(self, opened: int) -> None:
        raw = b'{"deep":[' + b"[],{}," * 40 + b'{"a":' * opened
        assert refusal(Operation.CHAT, raw)[0] is Refusal.INVALID_JSON

    def test_brackets_that_hide_their_depth_and_are_never_closed_are_refused(self) -> None:
        raw = b'{"deep":' + b"[{}," * 5_000
        assert refusal(Operation.CHAT, raw)[0] is Refusal.INVALID_JSON

    def test_brackets_in_texts_nest_nothing(self) -> None:
        assert chat(messages=[{"role": "user", "content": '\\"[{' * 500}]).model == "m"

    def test_brackets_in_texts_hide_nothing(self) -> None:
        raw = b'{"model":"m","deep":' + b'["]",' * 100 + b"1" + b"]" * 100 + b"}"
        assert refusal(Operation.CHAT, raw)[0] is Refusal.INVALID_JSON


class TestFaults:
    @pytest.mark.parametrize(
        ("changes", "reason", "param"),
        [
            ({"model": None}, Refusal.MISSING_PARAMETER, "model"),
            ({"model": 7}, Refusal.INVALID_TYPE, "model"),
            ({"messages": None}, Refusal.MISSING_PARAMETER, "messages"),
            ({"messages": []}, Refusal.INVALID_VALUE, "messages"),
            ({"messages": "hi"}, Refusal.INVALID_TYPE, "messages"),
            ({"messages": ["hi"]}, Refusal.INVALID_TYPE, "messages[0]"),
            ({"messages": [{"content": "x"}]}, Refusal.MISSING_PARAMETER, "messages[0].role"),
            ({"messages": [{"role": 1}]}, Refusal.INVALID_TYPE, "messages[0].role"),
            ({"messages": [{"role": "bot"}]}, Refusal.INVALID_VALUE, "messages[0].role"),
            ({"messages": [{"role": "user"}]}, Refusal.MISSING_PARAMETER, "messages[0].content"),
            (
                {"messages": [{"role": "assistant", "tool_calls": 5}]},
                Refusal.INVALID_TYPE,
                "messages[0].tool_calls",
            ),
            ({"stream": "yes"}, Refusal.INVALID_TYPE, "stream"),
            ({"stream": 1}, Refusal.INVALID_TYPE, "stream"),
            ({"stream_options": {"include_usage": 3}}, Refusal.INVALID_TYPE,
             "stream_options.include_usage"),
            ({"service_tier": "gold"}, Refusal.INVALID_VALUE, "service_tier"),
            ({"service_tier": 1}, Refusal.INVALID_TYPE, "service_tier"),
            ({"n": 0}, Refusal.INVALID_VALUE, "n"),
            ({"n": -1}, Refusal.INVALID_VALUE, "n"),
            ({"n": 1.5}, Refusal.INVALID_TYPE, "n"),
            ({"n": True}, Refusal.INVALID_TYPE, "n"),
            ({"max_tokens": 0}, Refusal.INVALID_VALUE, "max_tokens"),
            ({"max_tokens": -1}, Refusal.INVALID_VALUE, "max_tokens"),
            ({"max_tokens": TOKENS_MAX + 1}, Refusal.INVALID_VALUE, "max_tokens"),
            ({"max_tokens": 10**40}, Refusal.INVALID_VALUE, "max_tokens"),
            ({"max_completion_tokens": 0}, Refusal.INVALID_VALUE, "max_completion_tokens"),
            ({"temperature": "hot"}, Refusal.INVALID_TYPE, "temperature"),
            ({"logit_bias": {"a": "b"}}, Refusal.INVALID_TYPE, "logit_bias"),
            ({"stop": 5}, Refusal.INVALID_TYPE, "stop"),
            ({"top_logprobs": -1}, Refusal.INVALID_VALUE, "top_logprobs"),
            ({"prompt_logprobs": -1}, Refusal.INVALID_VALUE, "prompt_logprobs"),
            ({"best_of": 2}, Refusal.UNSUPPORTED_PARAMETER, "best_of"),
            ({"repetition_detection": {"max_pattern_size": 65}}, Refusal.INVALID_VALUE,
             "repetition_detection.max_pattern_size"),
            ({"response_format": "json"}, Refusal.INVALID_TYPE, "response_format"),
            ({"response_format": {"type": "xml"}}, Refusal.INVALID_VALUE, "response_format.type"),
            ({"response_format": {"type": "json_schema"}}, Refusal.MISSING_PARAMETER,
             "response_format.json_schema"),
            ({"structured_outputs": []}, Refusal.INVALID_TYPE, "structured_outputs"),
            ({"tools": {}}, Refusal.INVALID_TYPE, "tools"),
            ({"tools": [{"type": "function"}]}, Refusal.MISSING_PARAMETER, "tools[0].function"),
            ({"tools": [{"type": "function", "function": {}}]}, Refusal.MISSING_PARAMETER,
             "tools[0].function.name"),
        ],
    )  # fmt: skip
    def test_of_a_chat_name_the_field(
        self, changes: dict[str, Any], reason: Refusal, param: str
    ) -> None:
        assert chat_refusal(**changes) == (reason, param)

    @pytest.mark.parametrize(
        ("changes", "reason", "param"),
        [
            ({"prompt": None}, Refusal.MISSING_PARAMETER, "prompt"),
            ({"prompt": ""}, Refusal.INVALID_VALUE, "prompt"),
            ({"prompt": []}, Refusal.INVALID_VALUE, "prompt"),
            ({"prompt": {}}, Refusal.INVALID_TYPE, "prompt"),
            ({"prompt": [1, "a"]}, Refusal.INVALID_TYPE, "prompt"),
            ({"prompt": [[1], "a"]}, Refusal.INVALID_TYPE, "prompt"),
            ({"logprobs": True}, Refusal.INVALID_TYPE, "logprobs"),
            ({"logprobs": -1}, Refusal.INVALID_VALUE, "logprobs"),
            ({"max_tokens": 0}, Refusal.INVALID_VALUE, "max_tokens"),
            ({"max_tokens": -1, "echo": True}, Refusal.INVALID_VALUE, "max_tokens"),
            ({"best_of": 3, "n": 2}, Refusal.UNSUPPORTED_PARAMETER, "best_of"),
        ],
    )
    def test_of_a_completion_name_the_field(
        self, changes: dict[str, Any], reason: Refusal, param: str
    ) -> None:
        assert text_refusal(**changes) == (reason, param)

    def test_messages_for_a_person_say_what_was_expected(self) -> None:
        with pytest.raises(InvalidRequest, match="expected an integer, but got a string instead"):
            chat(n="3")
        with pytest.raises(InvalidRequest, match="'bot' is not one of the supported values"):
            chat(messages=[{"role": "bot"}])


class TestSteering:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("cache_salt", "mine"),
            ("chat_template", "{{ x }}"),
            ("ec_transfer_params", {}),
            ("guided_json", {}),
            ("kv_transfer_params", {}),
            ("media_io_kwargs", {}),
            ("mm_processor_kwargs", {}),
            ("priority", 1),
            ("priority", "0"),
            ("prompt_embeds", ""),
            ("request_id", "mine"),
            ("session_id", "mine"),
            ("stream_interval", 1),
            ("use_beam_search", True),
            ("vllm_xargs", {}),
            ("watermarking", False),
        ],
    )
    def test_what_the_platform_decides_is_refused_in_both_operations(
        self, name: str, value: Any
    ) -> None:
        expected = (Refusal.UNSUPPORTED_PARAMETER, name)
        assert chat_refusal(**{name: value}) == expected
        assert text_refusal(**{name: value}) == expected

    @pytest.mark.parametrize(
        "changes",
        [
            {"priority": None, "request_id": None, "cache_salt": None, "vllm_xargs": None},
            {"priority": 0, "use_beam_search": False, "watermarking": True},
            {"best_of": 1},
            {"best_of": 2, "n": 2},
        ],
    )
    def test_what_asks_for_the_default_passes(self, changes: dict[str, Any]) -> None:
        assert chat(**changes).model == "m"

    def test_template_variables_pass_but_not_arguments_of_the_tokenizer(self) -> None:
        assert chat(chat_template_kwargs={"enable_thinking": False}).model == "m"
        assert chat_refusal(chat_template_kwargs={"tokenize": True}) == (
            Refusal.UNSUPPORTED_PARAMETER,
            "chat_template_kwargs.tokenize",
        )


class TestMedia:
    @pytest.mark.parametrize("kind", ["image_url", "audio_url", "video_url"])
    @pytest.mark.parametrize(
        "url", ["http://169.254.169.254/", "https://a/b.png", "file:///etc/passwd", "DATA:x", ""]
    )
    def test_nothing_is_fetched_for_a_client(self, kind: str, url: str) -> None:
        assert chat_refusal(messages=content({"type": kind, kind: {"url": url}})) == (
            Refusal.UNSUPPORTED_PARAMETER,
            f"messages[0].content[0].{kind}.url",
        )

    @pytest.mark.parametrize(
        "part",
        [
            {"type": "text", "text": "hi"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ],
    )
    def test_what_comes_inline_passes(self, part: dict[str, Any]) -> None:
        assert chat(messages=content(part)).model == "m"

    @pytest.mark.parametrize(
        ("part", "reason", "param"),
        [
            ({"text": "hi"}, Refusal.MISSING_PARAMETER, "messages[0].content[0].type"),
            ("hi", Refusal.INVALID_TYPE, "messages[0].content[0]"),
            ({"type": "image_url"}, Refusal.MISSING_PARAMETER, "messages[0].content[0].image_url"),
            ({"type": "image_pil"}, Refusal.UNSUPPORTED_PARAMETER, "messages[0].content[0].type"),
            (
                {"type": "prompt_embeds", "data": "x"},
                Refusal.UNSUPPORTED_PARAMETER,
                "messages[0].content[0].type",
            ),
            (
                {"type": "text", "text": "x", "uuid": "u", "image_url": "http://a"},
                Refusal.INVALID_TYPE,
                "messages[0].content[0].image_url",
            ),
            (
                {"type": "text", "text": "x", "uuid": "u"},
                Refusal.UNSUPPORTED_PARAMETER,
                "messages[0].content[0].uuid",
            ),
        ],
    )
    def test_other_parts_are_refused(self, part: Any, reason: Refusal, param: str) -> None:
        assert chat_refusal(messages=content(part)) == (reason, param)


class TestBounds:
    SPEC = ModelSpec(
        "m", EngineKind.ECHO, context_tokens=100, choices_max=2, logprobs_max=5,
        schema_bytes_max=64,
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (chat(n=3), "n"),
            (text(prompt=["a", "b", "c"]), "prompt"),
            (chat(logprobs=True, top_logprobs=6), "top_logprobs"),
            (text(prompt_logprobs=6), "prompt_logprobs"),
            (text(logprob_token_ids=[1] * 6), "logprob_token_ids"),
            (chat(max_tokens=101), "max_tokens"),
            (chat(max_completion_tokens=101), "max_completion_tokens"),
            (chat(structured_outputs={"regex": "a" * 64}), "structured_outputs"),
        ],
    )
    def test_what_passes_them_is_refused_by_its_field(self, body: ParsedBody, param: str) -> None:
        with pytest.raises(InvalidRequest) as caught:
            check_bounds(body, self.SPEC)
        assert (caught.value.reason, caught.value.param) == (Refusal.INVALID_VALUE, param)

    def test_what_reaches_them_passes(self) -> None:
        check_bounds(chat(n=2, logprobs=True, top_logprobs=5, max_tokens=100), self.SPEC)

    def test_a_context_of_unknown_size_bounds_nothing(self) -> None:
        check_bounds(chat(max_tokens=TOKENS_MAX), ModelSpec("m", EngineKind.ECHO))
