"""OpenAI's own client with every kind of credential, over a real socket."""

from __future__ import annotations

import openai
import pytest

from helixflow.identity.permissions import Role
from helixflow.inference.facts import Admitted
from helixflow.testing.events import PRICE, SomeRequest
from helixflow.testing.http import serving
from helixflow.testing.platform import MODEL, Platform, Tenant

SAID = [{"role": "user", "content": "one two three"}]


def client(port: int, key: str) -> openai.AsyncOpenAI:
    url = f"http://127.0.0.1:{port}/v1"
    return openai.AsyncOpenAI(api_key=key, base_url=url, max_retries=0)


async def test_keys_and_tokens_that_infer_get_answers_whole_and_streamed(
    platform: Platform, tenant: Tenant
) -> None:
    token = await platform.token(tenant, Role.DEVELOPER)
    async with serving(platform.app) as port:
        for key in (tenant.project_key, tenant.service_key, token):
            async with client(port, key) as inferring:
                whole = await inferring.chat.completions.create(model=MODEL, messages=SAID)
                assert (whole.choices[0].message.content or "").startswith("one two three")
                stream = await inferring.chat.completions.create(
                    model=MODEL, messages=SAID, stream=True
                )
                pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
                assert "".join(pieces).startswith("one two three")
                assert [model.id async for model in inferring.models.list()] == [MODEL]


async def test_an_admin_key_does_not_infer(platform: Platform, tenant: Tenant) -> None:
    async with serving(platform.app) as port, client(port, tenant.admin_key) as administering:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await administering.chat.completions.create(model=MODEL, messages=SAID)
        assert refused.value.code == "permission_denied"
        with pytest.raises(openai.PermissionDeniedError):
            await administering.models.retrieve(MODEL)


async def test_a_viewer_sees_models_and_does_not_infer(platform: Platform, tenant: Tenant) -> None:
    token = await platform.token(tenant, Role.VIEWER)
    async with serving(platform.app) as port, client(port, token) as viewing:
        assert (await viewing.models.retrieve(MODEL)).id == MODEL
        with pytest.raises(openai.PermissionDeniedError):
            await viewing.chat.completions.create(model=MODEL, messages=SAID)


async def test_a_key_that_is_not_known_raises_the_client_s_own_error(platform: Platform) -> None:
    async with serving(platform.app) as port, client(port, "sk-nothing") as unknown:
        with pytest.raises(openai.AuthenticationError) as refused:
            await unknown.models.retrieve(MODEL)
        assert refused.value.code == "invalid_api_key"
        assert "sk-nothing" not in str(refused.value)


async def test_the_client_s_administration_works_with_an_admin_key_and_with_no_other(
    platform: Platform, tenant: Tenant
) -> None:
    async with serving(platform.app) as port:
        url = f"http://127.0.0.1:{port}/v1"
        for key, allowed in ((tenant.admin_key, True), (tenant.project_key, False)):
            async with openai.AsyncOpenAI(
                api_key=key, admin_api_key=key, base_url=url, max_retries=0
            ) as administering:
                organization = administering.admin.organization
                if allowed:
                    made = await organization.projects.create(name="by the client")
                    assert (await organization.projects.retrieve(made.id)).name == "by the client"
                    assert made.id in [one.id async for one in organization.projects.list()]
                else:
                    with pytest.raises(openai.PermissionDeniedError):
                        await organization.projects.create(name="by the client")


async def test_the_client_sets_what_a_project_may_use_of_a_model(
    platform: Platform, tenant: Tenant
) -> None:
    async with serving(platform.app) as port:
        url = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(
            api_key=tenant.admin_key, admin_api_key=tenant.admin_key, base_url=url, max_retries=0
        ) as administering:
            rates = administering.admin.organization.projects.rate_limits
            (one,) = [rate async for rate in rates.list_rate_limits(tenant.project)]
            assert (one.id, one.model, one.object) == (f"rl_{MODEL}", MODEL, "project.rate_limit")
            assert one.max_requests_per_1_minute is None
            changed = await rates.update_rate_limit(
                one.id,
                project_id=tenant.project,
                max_requests_per_1_minute=60,
                max_tokens_per_1_minute=6000,
            )
            assert (changed.max_requests_per_1_minute, changed.max_tokens_per_1_minute) == (
                60, 6000,
            )  # fmt: skip
            (one,) = [rate async for rate in rates.list_rate_limits(tenant.project)]
            assert one == changed
    await platform.authenticator.poll_revision()
    who = await platform.authenticator.authenticate(tenant.project_key)
    assert [(quota.model, quota.amount) for quota in who.quotas] == [(MODEL, 60), (MODEL, 6000)]


async def test_the_first_organization_alone_rotates_signing_keys(
    platform: Platform, tenant: Tenant
) -> None:
    path, first = "/v1/organization/signing_keys/rotate", platform.prepared.admin_key
    token, before = await platform.token(tenant, Role.OWNER), (await platform.signer()).kid
    assert first is not None
    assert (await platform.ask("POST", path, token)).status == 403
    assert (await platform.signer()).kid == before
    platform.clock.advance(1)
    assert (await platform.ask("POST", path, first.reveal())).status == 200
    assert (await platform.signer()).kid != before
    assert (await platform.ask("GET", "/v1/models", token)).status == 200


async def test_usage_and_costs_are_read_as_from_openai(platform: Platform, tenant: Tenant) -> None:
    now = int(platform.clock.now())
    who = Admitted(tenant.organization, tenant.project, "key_1", model=MODEL, price=PRICE)
    requests = [SomeRequest(now + second, admitted=who) for second in range(3)]
    for request in requests:
        await platform.usage.write(request.id, 3, request.events)
    platform.clock.advance(10)
    await platform.authenticator.poll_revision()
    url = "http://127.0.0.1:{}/v1"
    async with serving(platform.app) as port:
        administering = openai.AsyncOpenAI(
            admin_api_key=tenant.admin_key, base_url=url.format(port), max_retries=0
        )
        async with administering:
            usage = administering.admin.organization.usage
            used = await usage.completions(start_time=now, group_by=["model", "api_key_id"])
            (result,) = used.data[-1].results
            assert result.object == "organization.usage.completions.result"
            assert (result.model, result.api_key_id) == (MODEL, "key_1")
            assert (result.input_tokens, result.num_model_requests) == (30, 3)
            cost = await usage.costs(
                start_time=now, group_by=["line_item"], project_ids=[tenant.project]
            )
            lines = {one.line_item: one.amount for one in cost.data[-1].results}
            output = lines[f"{MODEL}, output_tokens"]
            assert output is not None
            assert (output.value, output.currency) == (3 * 6e-6, "usd")
