from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest

from benchmarks.identity.revocation import Answer, Refusal, Revocation, outcome_of, refusal
from benchmarks.load.crew import LoadFailed
from benchmarks.systems.ports import Running

REVOKED = 10.0


def answers(*seen: tuple[float, int]) -> list[Answer]:
    """Each sent 10 ms before it came."""
    return [Answer(came - 0.01, came, status) for came, status in seen]


def test_a_connection_is_refused_for_good_after_its_last_acceptance() -> None:
    seen = refusal(answers((9.9, 200), (10.1, 401), (10.2, 200), (10.3, 401), (10.4, 401)), REVOKED)
    assert seen is not None
    assert seen.first_ms == pytest.approx(100.0)
    assert seen.for_good_ms == pytest.approx(300.0)
    assert seen.accepted_after == 1


def test_a_refusal_before_the_answer_of_the_revocation_counts_as_nothing() -> None:
    assert refusal(answers((9.9, 200), (9.95, 401), (10.1, 401)), REVOKED) == Refusal(0.0, 0.0, 0)


def test_a_request_that_was_on_its_way_is_not_late() -> None:
    seen = refusal([Answer(9.99, 10.02, 200), Answer(10.03, 10.05, 401)], REVOKED)
    assert seen is not None
    assert seen.accepted_after == 0


@pytest.mark.parametrize("last", [(), ((10.3, 200),)])
def test_a_key_that_is_accepted_to_the_end_was_never_refused(
    last: tuple[tuple[float, int], ...],
) -> None:
    assert refusal(answers((9.9, 200), (10.1, 401), (10.2, 200), *last), REVOKED) is None
    assert refusal(answers((9.9, 200)), REVOKED) is None


def test_unexpected_answers_and_keys_that_live_on_are_errors() -> None:
    watched = [
        answers((9.9, 200), (10.05, 503), (10.1, 401)),
        answers((9.9, 200), (10.1, 200)),
    ]
    outcome, late = outcome_of(watched, REVOKED)
    assert outcome.errors == {"status_503": 1, "never_refused": 1}
    assert outcome.latency_ms == pytest.approx([100.0])
    assert late == 0


class Platform:
    """A server that knows keys, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Platform:
        self._thread.start()
        assert self._ready.wait(5.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
                await reader.readexactly(length)
                method, path, _ = head.split(" ", 2)
                key = head.partition("authorization: Bearer ")[2].partition("\r")[0]
                status, body = self._answer(method, path, key)
                data = json.dumps(body).encode()
                answer = f"HTTP/1.1 {status} x\r\nContent-Length: {len(data)}\r\n\r\n"
                writer.write(answer.encode() + data)
        except asyncio.IncompleteReadError:
            writer.close()

    def _answer(self, method: str, path: str, key: str) -> tuple[int, object]:
        if path == "/v1/models":
            return (200 if key in self.keys else 401), {}
        if key != "admin":
            return 403, {}
        if method == "GET":
            return 200, {"data": [{"id": "proj_1"}]}
        if method == "POST":
            self.keys.add(f"key_{len(self.keys)}")
            return 200, {"id": max(self.keys), "value": max(self.keys)}
        self.keys.discard(path.rpartition("/")[2])
        return 200, {"deleted": True}


@pytest.fixture
def platform() -> Iterator[Platform]:
    with Platform() as running:
        yield running


PROBE = Revocation("revoke", "a revocation", 1, 2, known_s=0.05, watch_s=0.1)


def test_a_revocation_is_seen_by_every_connection(platform: Platform) -> None:
    private = {"HELIXFLOW_ADMIN_KEY": "admin"}
    running = Running("127.0.0.1", platform.port, 1.0, private=private)
    PROBE.prepare(running)
    probed = PROBE.measure(running)
    assert len(probed.outcome.latency_ms) == 2
    assert probed.outcome.errors == {}
    assert probed.figures["accepted_after"] == 0
    assert probed.figures["revoked_max_ms"] < 1000
    assert platform.keys == set()


def test_a_stack_without_an_admin_key_cannot_be_measured(platform: Platform) -> None:
    with pytest.raises(LoadFailed, match="HELIXFLOW_ADMIN_KEY"):
        PROBE.prepare(Running("127.0.0.1", platform.port, 1.0))


def test_an_admin_key_that_is_refused_is_said(platform: Platform) -> None:
    private = {"HELIXFLOW_ADMIN_KEY": "wrong"}
    with pytest.raises(LoadFailed, match="403"):
        PROBE.prepare(Running("127.0.0.1", platform.port, 1.0, private=private))
