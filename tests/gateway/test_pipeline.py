from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from helixflow.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    Overloaded,
    QuotaExceeded,
    Refusal,
    Refused,
    Unauthenticated,
    Unavailable,
)
from helixflow.gateway.pipeline import Pipeline
from helixflow.inference.frame import Frame
from helixflow.inference.usage import Usage
from helixflow.limits.ports import LimitView
from helixflow.routing.ports import ModelState, ModelStatus
from helixflow.routing.registry import Catalog, Entry
from helixflow.settings import GatewaySettings
from helixflow.signals import Metric
from helixflow.testing import stage as testing_stage
from helixflow.testing.clock import ManualClock
from helixflow.testing.gateway import (
    KEY,
    READY,
    Step,
    last_frame,
    some_call,
    some_catalog,
    some_spec,
)
from helixflow.testing.identity import some_principal

Stage = partial(testing_stage.Stage, Pipeline)
WHOLE = testing_stage.WHOLE

DIED = Unavailable(Refusal.ENGINE_DIED, "The engine died.", retry_after_s=5.0)
SOON = GatewaySettings(request_s=600, first_token_s=0.002)


async def hang_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class TestAnswers:
    async def test_a_whole_answer_is_one_body_and_is_settled_with_its_usage(self) -> None:
        stage = Stage()
        async with stage.exchange() as exchange:
            assert exchange.first == b'{"id":"1"}'
            assert not exchange.streaming
            assert exchange.model == "echo-1"
            assert exchange.usage == Usage(3, 5)
            assert exchange.headers == ((b"x-ratelimit-limit-requests", b"60"),)
            assert [data async for data in exchange.rest()] == []
            assert stage.pipeline.ongoing == 1
        stage.assert_over("ok", settled=[Usage(3, 5)])

    async def test_a_stream_is_its_first_bytes_and_the_rest(self) -> None:
        stage = Stage([[Frame(b"1"), Frame(b"2"), Frame(b""), last_frame(b"3", Usage(1, 3))]])
        async with stage.exchange(stream=True) as exchange:
            assert exchange.streaming
            assert exchange.first == b"1"
            assert exchange.usage is None
            assert [data async for data in exchange.rest()] == [b"2", b"3"]
            assert [data async for data in exchange.rest()] == []
        stage.assert_over("ok", settled=[Usage(1, 3)])

    async def test_a_stream_may_be_a_single_frame(self) -> None:
        stage = Stage([[last_frame(b"all")]])
        assert await stage.answer(stream=True) == b"all"
        stage.assert_over("ok", settled=[Usage(3, 5)])

    async def test_the_engine_is_asked_for_the_registry_name_and_gets_the_body_untouched(
        self,
    ) -> None:
        stage = Stage(catalog=some_catalog(Entry(some_spec(aliases=("e",)), READY)))
        call = some_call(model="e", limit_s=7.0)
        async with stage.pipeline.exchange(call):
            pass
        (request,) = stage.dispatcher.requests
        assert (request.model, request.body) == ("echo-1", call.body)
        assert request.request_id == call.request_id
        assert request.tenant == stage.principal.organization
        assert 6.0 < request.timeout_s <= 7.0

    async def test_an_unknown_caller_is_asked_about_once(self) -> None:
        stage = Stage()
        stage.authenticator.remembers = False
        assert await stage.answer() == b'{"id":"1"}'
        assert stage.authenticator.asked == [KEY]

    async def test_the_metrics_name_the_model_and_no_caller(self) -> None:
        stage = Stage()
        await stage.answer()
        (labels,) = stage.signals.labels(Metric.REQUESTS)
        assert labels == {"model": "echo-1", "outcome": "ok", "region": ""}
        observed = {
            dict(labels).get("stage", metric): seconds
            for metric, seconds, labels in stage.signals.observed
        }
        stages = {
            "authenticate", "parse", "resolve", "authorize", "reserve", "first_token", "rest",
            "settle",
        }  # fmt: skip
        assert observed.keys() == {Metric.REQUEST_SECONDS, *stages}
        assert min(observed.values()) >= 0


class TestRefusals:
    async def test_a_missing_and_an_unknown_key_are_refused_before_anything_else(self) -> None:
        for credential in (None, "another"):
            stage = Stage()
            assert isinstance(await stage.refused(credential=credential), Unauthenticated)
            assert stage.limiter.asked == []
            assert stage.dispatcher.requests == []
            assert stage.pipeline.ongoing == 0

    async def test_a_caller_without_the_permission_is_refused(self) -> None:
        stage = Stage()
        stage.authenticator.known[KEY] = some_principal(permissions=frozenset({"model:list"}))
        error = await stage.refused()
        assert isinstance(error, Forbidden)
        assert "model:invoke" in error.message
        stage.assert_over("permission_denied")

    async def test_a_body_that_is_no_json_is_refused(self) -> None:
        stage = Stage()
        assert isinstance(await stage.refused(raw=b"{"), InvalidRequest)
        stage.assert_over("invalid_json")

    async def test_an_unknown_model_is_refused_and_is_no_label(self) -> None:
        stage = Stage()
        assert isinstance(await stage.refused(model="nobody"), NotFound)
        assert stage.signals.labels(Metric.REQUESTS) == [
            {"model": "", "outcome": "model_not_found", "region": ""}
        ]

    async def test_a_hidden_model_is_refused_as_a_missing_one(self) -> None:
        stage = Stage()
        stage.authenticator.known[KEY] = some_principal(models=frozenset({"another"}))
        error = await stage.refused()
        assert error.to_wire() == (
            "model_not_found", "The model 'echo-1' does not exist.", "model", None,
        )  # fmt: skip
        assert stage.signals.labels(Metric.REQUESTS)[0]["model"] == ""

    async def test_a_model_that_loads_is_refused_with_a_time_to_come_back(self) -> None:
        loading = Entry(some_spec(), ModelStatus(ModelState.LOADING, "reading weights", 0.5))
        stage = Stage(catalog=some_catalog(loading))
        error = await stage.refused()
        assert (error.reason, error.retry_after_s) == (Refusal.MODEL_LOADING, 5.0)
        stage.assert_over("model_loading")

    async def test_a_body_over_the_models_bounds_is_refused(self) -> None:
        stage = Stage(catalog=some_catalog(Entry(some_spec(choices_max=1), READY)))
        error = await stage.refused(n=2)
        assert (error.reason, error.param) == (Refusal.INVALID_VALUE, "n")
        stage.assert_over("invalid_value")

    async def test_a_caller_over_its_limits_is_refused_and_holds_nothing(self) -> None:
        stage = Stage()
        stage.limiter.refusal = QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "Slow down.")
        assert await stage.refused() is stage.limiter.refusal
        stage.assert_over("rate_limit_exceeded")
        assert stage.dispatcher.requests == []

    async def test_more_requests_than_the_bound_are_refused_at_once(self) -> None:
        held = asyncio.Event()
        stage = Stage([[held, WHOLE]], settings=GatewaySettings(ongoing_max=1))
        first = asyncio.create_task(stage.answer())
        await stage.dispatcher.waiting.wait()
        error = await stage.refused()
        assert isinstance(error, Overloaded)
        assert error.retry_after_s == 1.0
        held.set()
        assert await first == b'{"id":"1"}'
        assert stage.pipeline.ongoing == 0

    @pytest.mark.parametrize("stream", [False, True])
    async def test_an_engines_refusal_is_raised_before_the_first_byte(self, stream: bool) -> None:
        too_long = Refused(Refusal.CONTEXT_LENGTH_EXCEEDED, "Too long.")
        stage = Stage([[last_frame(usage=Usage(9, 0), refused=too_long)]])
        assert await stage.refused(stream=stream) is too_long
        stage.assert_over("context_length_exceeded", settled=[Usage(9, 0)])
        assert len(stage.dispatcher.requests) == 1


NO_ECHO = 'forbid (principal, action == Action::"model:invoke", resource) when {{ {} }};'


class TestPolicies:
    def under(self, stage: testing_stage.Stage, policy: str, **changes: Any) -> None:
        caller = replace(stage.principal, **changes)
        stage.authenticator.known[KEY] = stage.office.put(caller, pol_1=policy)

    async def test_a_denial_is_refused_before_anything_is_reserved(self) -> None:
        stage = Stage()
        self.under(stage, NO_ECHO.format('resource.name == "echo-1"'))
        error = await stage.refused()
        assert isinstance(error, Forbidden)
        assert error.message == (
            "The policies of your organization do not permit model:invoke on 'echo-1' (pol_1)."
        )
        assert stage.limiter.asked == []
        stage.assert_over("permission_denied")

    async def test_what_they_leave_alone_is_answered_and_they_are_asked_for_once(self) -> None:
        stage = Stage()
        self.under(stage, NO_ECHO.format('resource.name == "another"'))
        for _ in range(3):
            assert await stage.answer() == b'{"id":"1"}'
        assert stage.office.asked == 1

    async def test_who_is_under_none_asks_for_none(self) -> None:
        stage = Stage()
        await stage.answer()
        assert stage.office.asked == 0

    @pytest.mark.parametrize(
        "condition",
        [
            'resource.owner == "us"',
            'resource.region == "eu"',
            'resource.dataClass == "secret"',
            'context has source && context.source.isInRange(ip("10.0.0.0/8"))',
            'context.claims.contains("group=interns")',
            "context.time.hour == 22 && context.time.weekday == 2",
            'principal.name == "a test\'s key"',
        ],
    )
    async def test_they_see_the_model_the_caller_and_the_circumstances(
        self, condition: str
    ) -> None:
        spec = some_spec(owner="us", region="eu", data_class="secret")
        stage = Stage(catalog=some_catalog(Entry(spec, READY)), clock=ManualClock())
        self.under(stage, NO_ECHO.format(condition), claims=frozenset({"group=interns"}))
        call = replace(some_call(clock=stage.clock), source="::ffff:10.1.2.3")
        with pytest.raises(Forbidden):
            async with stage.pipeline.exchange(call):
                pass

    async def test_a_denied_caller_learns_nothing_of_a_models_bounds(self) -> None:
        stage = Stage(catalog=some_catalog(Entry(some_spec(choices_max=1), READY)))
        self.under(stage, NO_ECHO.format("true"))
        assert (await stage.refused(n=2)).reason is Refusal.PERMISSION_DENIED

    async def test_policies_that_cannot_be_asked_for_permit_nothing(self) -> None:
        stage = Stage()
        self.under(stage, NO_ECHO.format("false"))
        stage.office.away = True
        assert (await stage.refused()).reason is Refusal.AUTH_UNAVAILABLE
        stage.assert_over("auth_unavailable")

    async def test_they_hide_models_from_lists_and_refuse_their_cards(self) -> None:
        entries = Entry(some_spec(), READY), Entry(some_spec("echo-2"), READY)
        stage = Stage(catalog=some_catalog(*entries))
        self.under(
            stage,
            'forbid (principal, action in [Action::"model:list", Action::"model:read"],'
            ' resource == Model::"echo-2");',
        )
        caller = await stage.pipeline.authenticate(KEY)
        assert [card.id for card in stage.pipeline.models(caller)] == ["echo-1"]
        assert stage.pipeline.model("echo-1", caller).id == "echo-1"
        with pytest.raises(Forbidden, match="model:read"):
            stage.pipeline.model("echo-2", caller)

    async def test_a_list_without_its_policies_is_refused(self) -> None:
        stage = Stage()
        self.under(stage, NO_ECHO.format("true"))
        with pytest.raises(Unavailable):
            stage.pipeline.models(stage.authenticator.known[KEY])


class TestCallers:
    async def test_the_clients_address_reaches_the_authenticator(self) -> None:
        stage = Stage()
        call = replace(some_call(), source="10.1.2.3")
        async with stage.pipeline.exchange(call):
            pass
        await stage.pipeline.authenticate(KEY, "10.1.2.4")
        assert stage.authenticator.sources == ["10.1.2.3", "10.1.2.4"]

    async def test_every_use_of_a_key_is_noted(self) -> None:
        stage = Stage()
        await stage.refused(credential="another")
        assert len(stage.last_used) == 0
        await stage.answer()
        assert len(stage.last_used) == 1


class TestRetries:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("died", [DIED, last_frame(b"lost", Usage(9, 9), DIED)])
    async def test_a_replica_lost_before_the_first_byte_is_replaced(
        self, stream: bool, died: Step
    ) -> None:
        stage = Stage([[died], [died], [WHOLE]])
        assert await stage.answer(stream=stream) == b'{"id":"1"}'
        assert len(stage.dispatcher.requests) == 3
        stage.assert_over("ok", settled=[Usage(3, 5)])

    async def test_a_stream_that_ends_without_a_frame_counts_as_lost(self) -> None:
        stage = Stage([[], [WHOLE]])
        assert await stage.answer(stream=True) == b'{"id":"1"}'
        stage.assert_over("ok", settled=[Usage(3, 5)])

    @pytest.mark.parametrize("stream", [False, True])
    async def test_after_three_replicas_the_caller_is_told(self, stream: bool) -> None:
        stage = Stage([[DIED]])
        assert await stage.refused(stream=stream) is DIED
        assert len(stage.dispatcher.requests) == 3
        stage.assert_over("engine_died", settled=[None])

    async def test_a_lost_attempts_usage_is_not_taken_for_the_next_ones(self) -> None:
        broken = RuntimeError("the next replica broke otherwise")
        stage = Stage([[last_frame(b"", Usage(9, 9), DIED)], [broken]])
        with pytest.raises(RuntimeError):
            await stage.answer(stream=True)
        stage.assert_over("internal_error", settled=[None])

    @pytest.mark.parametrize(
        "error",
        [
            Unavailable(Refusal.MODEL_FAILED, "It failed."),
            Overloaded(Refusal.OVERLOADED, "Full."),
            RuntimeError("a bug"),
        ],
    )
    async def test_nothing_else_is_tried_again(self, error: Exception) -> None:
        stage = Stage([[error], [WHOLE]])
        with pytest.raises(type(error)):
            await stage.answer()
        assert len(stage.dispatcher.requests) == 1

    async def test_what_was_never_let_in_has_used_no_token(self) -> None:
        stage = Stage([[Overloaded(Refusal.OVERLOADED, "Full.")]])
        await stage.refused()
        stage.assert_over("overloaded", settled=[Usage()])

    @pytest.mark.parametrize("died", [DIED, last_frame(b"", Usage(2, 1), DIED)])
    async def test_a_stream_that_has_begun_is_not_begun_again(self, died: Step) -> None:
        stage = Stage([[Frame(b"1"), died], [WHOLE]])
        assert (await stage.refused(stream=True)).reason is Refusal.ENGINE_DIED
        assert len(stage.dispatcher.requests) == 1
        assert stage.pipeline.ongoing == 0
        assert stage.dispatcher.open == 0

    async def test_a_stream_that_ends_without_a_sidecar_breaks_off(self) -> None:
        stage = Stage([[Frame(b"1"), Frame(b"2")]])
        async with stage.exchange(stream=True) as exchange:
            rest = exchange.rest()
            assert await anext(rest) == b"2"
            with pytest.raises(Unavailable) as caught:
                await anext(rest)
        assert caught.value.reason is Refusal.ENGINE_DIED
        stage.assert_over("ok", settled=[None])


class TestHangUps:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_before_the_first_byte(self, stream: bool) -> None:
        stage = Stage([[asyncio.Event()]])
        task = asyncio.create_task(stage.answer(stream=stream))
        await stage.dispatcher.waiting.wait()
        await hang_up(task)
        assert stage.dispatcher.canceled == 1
        stage.assert_over("canceled", settled=[None])

    async def test_in_the_middle_of_a_stream(self) -> None:
        stage = Stage([[Frame(b"1"), asyncio.Event()]])
        task = asyncio.create_task(stage.answer(stream=True))
        await stage.dispatcher.waiting.wait()
        await hang_up(task)
        assert stage.dispatcher.canceled == 1
        stage.assert_over("canceled", settled=[None])

    async def test_by_leaving_the_block_early(self) -> None:
        stage = Stage([[Frame(b"1"), Frame(b"2"), WHOLE]])
        async with stage.exchange(stream=True) as exchange:
            async for _ in exchange.rest():
                break
        assert stage.dispatcher.canceled == 1
        stage.assert_over("ok", settled=[None])

    async def test_while_the_key_is_looked_up(self) -> None:
        stage = Stage()
        stage.authenticator.remembers = False
        stage.authenticator.held = asyncio.Event()
        task = asyncio.create_task(stage.answer())
        await asyncio.sleep(0)
        await hang_up(task)
        stage.assert_over("canceled")

    async def test_while_the_limits_are_asked(self) -> None:
        stage = Stage()
        stage.limiter.held = asyncio.Event()
        task = asyncio.create_task(stage.answer())
        await asyncio.sleep(0)
        await hang_up(task)
        stage.assert_over("canceled")

    async def test_by_a_generator_that_is_closed(self) -> None:
        stage = Stage([[Frame(b"1"), Frame(b"2"), WHOLE]])

        async def face() -> AsyncGenerator[bytes, None]:
            async with stage.exchange(stream=True) as exchange:
                yield exchange.first

        frames = face()
        assert await anext(frames) == b"1"
        await frames.aclose()
        assert stage.dispatcher.canceled == 1
        stage.assert_over("canceled", settled=[None])

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (ConnectionResetError("gone"), "canceled"),
            (Unavailable(Refusal.SLOW_READER, "Too slow."), "slow_reader"),
            (ZeroDivisionError(), "internal_error"),
        ],
    )
    async def test_what_breaks_in_the_face_ends_the_generation_and_is_passed_on(
        self, error: Exception, outcome: str
    ) -> None:
        stage = Stage([[Frame(b"1"), asyncio.Event()]])
        with pytest.raises(type(error)) as caught:
            async with stage.exchange(stream=True):
                raise error
        assert caught.value is error
        assert stage.dispatcher.canceled == 1
        stage.assert_over(outcome, settled=[None])


class TestCatalogue:
    def pipeline(self) -> Pipeline:
        loading = ModelStatus(ModelState.LOADING, "reading weights", 0.5)
        first = Entry(some_spec(aliases=("e",), owner="us"), READY)
        second = Entry(some_spec("echo-2"), loading)
        pipeline: Pipeline = Stage(catalog=some_catalog(first, second)).pipeline
        return pipeline

    def test_models_are_those_that_the_caller_may_see(self) -> None:
        pipeline = self.pipeline()
        assert [card.id for card in pipeline.models(some_principal())] == ["echo-1", "echo-2"]
        only = some_principal(models=frozenset({"echo-2"}))
        (card,) = pipeline.models(only)
        assert (card.id, card.state, card.detail, card.progress) == (
            "echo-2", "loading", "reading weights", 0.5,
        )  # fmt: skip

    def test_one_model_is_found_by_its_alias(self) -> None:
        card = self.pipeline().model("e", some_principal())
        assert (card.id, card.owned_by, card.created) == ("echo-1", "us", 1_700_000_000)
        with pytest.raises(NotFound):
            self.pipeline().model("e", some_principal(models=frozenset()))

    async def test_a_caller_sees_its_limits_for_the_models_that_exist_for_it(self) -> None:
        stage = Stage(catalog=some_catalog(*(Entry(some_spec(m), READY) for m in ("a", "b"))))
        stage.limiter.views = [LimitView("tokens_per_day", "model=b", 5.0, 5.0, 0.0)]
        caller = some_principal(models=frozenset({"b"}))
        assert await stage.pipeline.limits(caller) == stage.limiter.views
        assert stage.limiter.viewed == [(caller, ("b",))]

    async def test_a_caller_is_known_or_is_asked_about(self) -> None:
        stage = Stage()
        assert await stage.pipeline.authenticate(KEY) is stage.principal
        assert stage.authenticator.asked == []
        with pytest.raises(Unauthenticated):
            await stage.pipeline.authenticate("another")
        assert stage.authenticator.asked == ["another"]

    def test_without_a_registry_nothing_is_ready(self) -> None:
        readiness = Stage(catalog=Catalog(5.0)).pipeline.readiness()
        assert not readiness.ready
        assert readiness.waiting == ("the model registry has not been received",)

    def test_one_ready_model_is_enough(self) -> None:
        readiness = self.pipeline().readiness()
        assert readiness.ready
        assert readiness.waiting == ("model echo-2: reading weights",)
        assert len(readiness.models) == 2

    def test_without_a_ready_model_nothing_is_ready(self) -> None:
        pending = Entry(some_spec(), ModelStatus(ModelState.PENDING))
        readiness = Stage(catalog=some_catalog(pending)).pipeline.readiness()
        assert not readiness.ready
        assert readiness.waiting == ("model echo-1: pending",)
