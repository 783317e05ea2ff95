"""A key that is bound to networks is bound to the address of the connection, whatever is claimed."""

from __future__ import annotations

from helixflow.identity.api_keys import KeyWish
from helixflow.testing.http import exchange_bytes, serving, some_request
from helixflow.testing.platform import MODEL, Platform, Tenant

CLAIMS = (
    "x-forwarded-for: 10.1.2.3", "X_Forwarded_For: 10.1.2.3", "forwarded: for=10.1.2.3",
    "x-real-ip: 10.1.2.3", "x-client-ip: 10.1.2.3", "true-client-ip: 10.1.2.3",
    "cf-connecting-ip: 10.1.2.3", "x-helixflow-source: 10.1.2.3",
)  # fmt: skip


async def bound(platform: Platform, tenant: Tenant, *networks: str) -> str:
    wish = KeyWish("bound", cidrs=networks)
    issued = await platform.keys.create(platform.owner(tenant), tenant.project, wish)
    return issued.secret.reveal()


async def test_a_key_works_from_its_networks_alone(platform: Platform, tenant: Tenant) -> None:
    key = await bound(platform, tenant, "10.0.0.0/8", "2001:db8::/32")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}]}
    for source, status in (
        ("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("2001:db8::1", 200),
        ("11.0.0.1", 403), ("2001:db9::1", 403), ("", 403), ("nonsense", 403), ("10.1.2.3", 200),
    ):  # fmt: skip
        for _ in range(2):  # asked of Auth, and kept
            answer = await platform.ask("GET", "/v1/models", key, source=source)
            assert answer.status == status, source
            answer = await platform.ask("POST", "/v1/chat/completions", key, body, source=source)
            assert answer.status == status, source


async def test_an_address_that_a_client_claims_is_not_believed(
    platform: Platform, tenant: Tenant
) -> None:
    key = await bound(platform, tenant, "10.0.0.0/8")
    async with serving(platform.app) as port:
        for claim in CLAIMS:
            sent = some_request("GET", "/v1/models", b"", f"authorization: Bearer {key}", claim)
            answer = await exchange_bytes(port, sent)
            assert (answer.status, answer.code) == (403, "permission_denied"), claim
