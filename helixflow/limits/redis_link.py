"""A bounded, impatient connection to Redis or Valkey: one server by its URL, or a cluster.

`redis://HOST:6379/0` (with `USER:PASSWORD` and an @ before the host), with TLS
`rediss://...?ssl_ca_certs=/ca.pem` (certificates are always checked), `unix:///path`;
`redis+cluster://` and `rediss+cluster://` name one node of a cluster. `valkey` may stand for
`redis`.

Failure behavior: a call that has no answer after `call_s` raises `LimitStoreAway`, whatever the
reason. From then on calls raise it at once, without a connection, until a probe in the background
(one at a time, every 0.1 to 1 s) has written a key and had an answer in time; so a store that is
away costs nobody any time, and nobody must bring it back. Nothing is tried twice. Going away and
coming back is logged, at most once a minute. Neither errors nor logs hold the URL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from helixflow.clock import Clock
from helixflow.errors import ConfigError
from helixflow.limits.ports import LimitStoreAway
from helixflow.limits.redis_wire import PROBE, Command

_log = logging.getLogger(__name__)

Client: TypeAlias = "Redis | RedisCluster"

CALLS_MAX = 16
"""Calls at a time, and so connections (to each node)."""

_QUERY = {"db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_FAULTS = (RedisError, RedisClusterException, OSError, TimeoutError)
_CONNECT_S = 1.0
_PROBE_S_MIN = 0.1
_PROBE_S_MAX = 1.0
_STEADY_S = 5.0
_LOG_S = 60.0


class RedisLink:
    """Runs commands, a batch at a time. For one event loop.

    Args:
        url: where the server is. `ConfigError` where it cannot be one.
        scripts: texts of Lua scripts by their digest, for servers that do not know them yet.
        call_s: seconds that a batch may take.
        waiters_max: batches that may wait for a connection.
        clock: for how long the store is away.
    """

    def __init__(
        self, url: str, scripts: Mapping[str, str], call_s: float, waiters_max: int, clock: Clock
    ) -> None:
        self.is_cluster, self._client = _client(url)
        self._scripts = scripts
        self._call_s = call_s
        self._clock = clock
        self._slots = asyncio.Semaphore(CALLS_MAX)
        self._room = CALLS_MAX + waiters_max
        self._probe: asyncio.Task[None] | None = None
        self._probe_s = _PROBE_S_MIN
        self._back_at = float("-inf")
        self._said_at = float("-inf")

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, in order. Raises `LimitStoreAway`."""
        if self._probe is not None or self._room <= 0:
            raise LimitStoreAway("the store of the limits is away")
        self._room -= 1
        sent = False
        try:
            async with asyncio.timeout(self._call_s), self._slots:
                sent = True
                return await self._run(commands)
        except _FAULTS as error:
            if sent:  # else others wait for it, and they will tell
                self._leave(error)
            raise LimitStoreAway("the store of the limits does not answer") from error
        finally:
            self._room += 1

    async def close(self) -> None:
        """Let go of everything."""
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
        await self._client.aclose()

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        answers = await self._send(commands)
        unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            texts = [
                ("EVAL", self._scripts[str(commands[i][1])], *commands[i][2:]) for i in unknown
            ]
            for i, answer in zip(unknown, await self._send(texts), strict=True):
                answers[i] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)

    # Away and back.

    def _leave(self, error: Exception) -> None:
        if self._probe is not None:
            return
        now = self._clock.monotonic()
        if now - self._back_at > _STEADY_S:
            self._probe_s = _PROBE_S_MIN
        self._say(now, "the store of the limits does not answer: %s", type(error).__name__)
        self._probe = asyncio.get_running_loop().create_task(self._come_back())

    def _say(self, now: float, text: str, *words: str) -> None:
        if now - self._said_at >= _LOG_S:
            self._said_at = now
            _log.warning(text, *words)

    async def _come_back(self) -> None:
        while True:
            await asyncio.sleep(self._probe_s)
            self._probe_s = min(2 * self._probe_s, _PROBE_S_MAX)
            try:
                await self._drop_connections()
                await self._write_probe(_CONNECT_S)
                await self._write_probe(self._call_s)  # over a connection that is there
            except Exception as error:  # whatever it is: who else would try again?
                _log.debug("the store of the limits is still away: %s", type(error).__name__)
                continue
            self._back_at = self._clock.monotonic()
            self._probe = None
            _log.info("the store of the limits answers again")
            return

    async def _write_probe(self, within_s: float) -> None:
        """A write: a replica that was not promoted yet answers only reads."""
        async with asyncio.timeout(within_s):
            await cast(
                Awaitable[Any], self._client.execute_command("SET", PROBE, "1", "PX", "1000")
            )

    async def _drop_connections(self) -> None:
        """What was promoted or moved is found by connecting anew."""
        if isinstance(self._client, Redis):
            await self._client.connection_pool.disconnect(inuse_connections=False)
        else:
            await self._client.aclose()


def _client(url: str) -> tuple[bool, Client]:
    scheme, separator, rest = url.partition("://")
    name, _, kind = scheme.partition("+")
    name = {"valkey": "redis", "valkeys": "rediss"}.get(name, name)
    is_cluster = kind == "cluster"
    if not separator or (kind and not is_cluster) or name not in ("redis", "rediss", "unix"):
        raise ConfigError(
            "limits.store: use redis://, rediss://, redis+cluster://, rediss+cluster:// or unix://"
        )
    try:
        strange = set(parse_qs(urlsplit(f"{name}://{rest}").query)) - _QUERY
        options: dict[str, Any] = dict(parse_url(f"{name}://{rest}"))
    except ValueError:
        raise ConfigError("limits.store is not a valid URL") from None
    if strange:
        known = ", ".join(sorted(_QUERY))
        raise ConfigError(f"limits.store: unknown option {min(strange)!r}; known here: {known}")
    shared: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
        "socket_timeout": None,  # every wait is inside a deadline of the link
        "socket_connect_timeout": None,
    }
    if not is_cluster:
        pool = ConnectionPool(max_connections=CALLS_MAX + 1, **shared, **options)
        return False, Redis.from_pool(pool)
    if options.pop("connection_class", None) is not None:
        options["ssl"] = True
    options.setdefault("host", "localhost")
    return True, RedisCluster(max_connections=CALLS_MAX + 1, **shared, **options)
