"""Text from outside stays text: in headers, in logs, in SQL and in answers."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from helixflow.identity.permissions import Role
from helixflow.testing.http import exchange_bytes, serving
from helixflow.testing.platform import MODEL, Platform, Tenant

SQL = (
    "' OR '1'='1", "'; DROP TABLE api_keys; --", '" OR ""="', "1; SELECT pg_sleep(10)", "%' --",
    "\\'; --", "x' UNION SELECT mac FROM api_keys --", "${jndi:ldap://x}", "{{7*7}}", "%00", "\x00",
)  # fmt: skip
EVIL = ("a\r\nx-evil: 1", "a\nb", "\x1b[31mred", "a\x00b", "caf\xe9", "\u2028line", "A" * 9000)


def chat(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "a"}], **more}


async def test_sql_in_a_credential_is_a_wrong_credential(platform: Platform) -> None:
    for text in SQL:
        for credential in (text, f"hx-proj-{text}", f"ey{text}..", f"hx-proj-{text:0<49}"):
            answer = await platform.ask("GET", "/v1/models", credential)
            assert (answer.status, answer.code) == (401, "invalid_api_key"), credential


async def test_sql_in_every_text_of_a_generation_is_text(
    platform: Platform, tenant: Tenant
) -> None:
    for text in SQL:
        for body in (
            chat(model=text), chat(user=text), chat(stop=text), chat(metadata={text: text}),
            chat(messages=[{"role": text, "content": text}]), {"model": text, "prompt": text},
            chat(messages=[{"role": "user", "content": text, "name": text}]), {text: text},
        ):  # fmt: skip
            for path in ("/v1/chat/completions", "/v1/completions"):
                answer = await platform.ask("POST", path, tenant.project_key, body)
                assert answer.status in (200, 400, 404), answer.body
    answer = await platform.ask("GET", "/v1/models", tenant.project_key)
    assert answer.status == 200


async def test_what_a_client_sends_never_becomes_a_header_of_an_answer(
    platform: Platform, tenant: Tenant
) -> None:
    for text in EVIL:
        try:
            text.encode("latin-1")
        except UnicodeEncodeError:
            continue
        sent = dict.fromkeys(
            ("x-request-id", "idempotency-key", "if-match", "origin", "accept", "cookie"), text
        )
        for path in ("/v1/models", "/v1/nothing", "/healthz"):
            answer = await platform.ask("GET", path, tenant.project_key, headers=sent)
            assert answer.status < 500
            assert not [value for _, value in answer.headers if "evil" in value or "\x1b" in value]
            assert [name for name, _ in answer.headers if name == "x-request-id"] == [
                "x-request-id"
            ]
            assert answer.header("x-request-id").startswith("req_")


async def test_a_line_break_in_a_header_is_refused_on_the_wire(platform: Platform) -> None:
    async with serving(platform.app) as port:
        for name, value in (
            (b"authorization", b"Bearer a\x00b"),
            (b"x-a\nb", b"c"),
            (b"x a", b"c"),
        ):
            raw = b"GET /v1/models HTTP/1.1\r\nhost: t\r\n" + name + b": " + value + b"\r\n"
            answer = await exchange_bytes(port, raw + b"connection: close\r\n\r\n")
            assert answer.status in (400, 401), (name, answer.body)


async def test_logs_hold_no_line_and_no_secret_from_outside(
    platform: Platform, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = await platform.token(tenant, Role.OWNER)
    secrets = (tenant.project_key, tenant.admin_key, token, token.rpartition(".")[2], "sk-strange")
    for credential in (*secrets, "ey.a.b"):
        for path in ("/v1/models", "/v1/models/a%0AFORGED%20LINE", "/v1/%0D%0AFORGED"):
            headers = {"x-request-id": "a\nFORGED LINE", "user-agent": "FORGED"}
            await platform.ask("GET", path, credential, headers=headers)
        await platform.ask("POST", "/v1/chat/completions", credential, chat(user="a\nFORGED"))
    written = "\n".join(record.getMessage() for record in caplog.records)
    assert not [secret for secret in secrets if secret in written]
    assert "\nFORGED" not in written


async def test_no_answer_tells_where_or_with_what_the_platform_runs(
    platform: Platform, tenant: Tenant
) -> None:
    for credential in (None, tenant.project_key):
        for path in ("/v1/models", "/v1/nothing", "/v1/models/none", "/docs/none", "/healthz"):
            answer = await platform.ask("GET", path, credential)
            seen = json.dumps([answer.headers, answer.body.decode()]).lower()
            for word in (
                "traceback",
                "sqlalchemy",
                "sqlite",
                "uvicorn",
                "/home/",
                str(platform.prepared.env.path.parent),
            ):
                assert word not in seen


async def test_oversized_names_and_ids_are_refused_in_short_words(
    platform: Platform, tenant: Tenant
) -> None:
    for length in (257, 5_000, 60_000):
        for path in (f"/v1/models/{'m' * length}", f"/v1/{'x' * length}", f"/docs/{'d' * length}"):
            answer = await platform.ask("GET", path, tenant.project_key)
            assert answer.status == 404
            assert len(answer.body) < 1024
        body = chat(model="m" * length)
        answer = await platform.ask("POST", "/v1/chat/completions", tenant.project_key, body)
        assert answer.status in (400, 404)
        assert len(answer.body) < 1024
