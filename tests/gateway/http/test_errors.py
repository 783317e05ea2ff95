from __future__ import annotations

import json
import logging

import pytest

from helixflow.errors import Breach, QuotaExceeded, Refusal, Refused
from helixflow.gateway.http.errors import STATUS, answer_of, internal_error
from helixflow.ids import mint_request_id


def refused(reason: Refusal, retry_after_s: float | None = None) -> Refused:
    return Refused.from_wire((reason.value, "No.", "n", retry_after_s))


@pytest.mark.parametrize("reason", Refusal)
def test_every_reason_has_a_status_and_openais_body(reason: Refusal) -> None:
    status, headers, body = answer_of(refused(reason))
    assert 400 <= status <= 504
    assert json.loads(body)["error"]["code"] == reason.value
    assert dict(headers)[b"content-length"] == b"%d" % len(body)
    assert dict(headers)[b"content-type"] == b"application/json"


@pytest.mark.parametrize("reason", [r for r in Refusal if STATUS[r] == 401])
def test_a_missing_or_wrong_credential_is_told_the_scheme(reason: Refusal) -> None:
    assert dict(answer_of(refused(reason))[1])[b"www-authenticate"].startswith(b"Bearer")


@pytest.mark.parametrize(
    ("retry_after_s", "seconds", "milliseconds"),
    [(0.0, b"1", b"1"), (0.0301, b"1", b"31"), (2.0, b"2", b"2000"), (2.1, b"3", b"2100")],
)
def test_the_time_to_wait_is_rounded_up(
    retry_after_s: float, seconds: bytes, milliseconds: bytes
) -> None:
    headers = dict(answer_of(refused(Refusal.RATE_LIMIT_EXCEEDED, retry_after_s))[1])
    assert (headers[b"retry-after"], headers[b"retry-after-ms"]) == (seconds, milliseconds)


def test_what_waiting_may_mend_always_says_how_long() -> None:
    for reason, status in STATUS.items():
        named = b"retry-after" in dict(answer_of(refused(reason))[1])
        assert named == (status in (429, 503) and reason is not Refusal.MODEL_FAILED)


@pytest.mark.parametrize(
    ("breach", "unit", "told"),
    [
        (
            Breach("requests_per_hour", "key=k", 60.0, 60.0, 90.5),
            b"requests",
            (b"60", b"0", b"1m30.5s"),
        ),
        (
            Breach("tokens_per_day", "model=m", 100.0, 93.0, 0.0119),
            b"tokens",
            (b"100", b"7", b"12ms"),
        ),
        (Breach("tokens_per_day", "model=m", 100.0, 117.0, 1.0), b"tokens", (b"100", b"0", b"1s")),
    ],
)
def test_a_limit_is_told_in_openais_headers_too(
    breach: Breach, unit: bytes, told: tuple[bytes, ...]
) -> None:
    refusal = QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "No.", retry_after_s=1.0, breach=breach)
    status, headers, _ = answer_of(refusal)
    names = [b"x-ratelimit-%s-%s" % (what, unit) for what in (b"limit", b"remaining", b"reset")]
    assert status == 429
    assert [(name, value) for name, value in headers if name.startswith(b"x-ratelimit")] == list(
        zip(names, told, strict=True)
    )


@pytest.mark.parametrize("name", ["spend_per_day", "concurrent_requests"])
def test_what_openai_has_no_header_for_is_in_the_body_alone(name: str) -> None:
    breach = Breach(name, "organization", 5.0, 5.0, 1.0)
    refusal = QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "No.", breach=breach)
    _, headers, body = answer_of(refusal)
    assert not [header for header, _ in headers if header.startswith(b"x-ratelimit")]
    assert json.loads(body)["error"]["limit"]["name"] == name


def test_a_fault_of_ours_is_logged_and_told_by_its_request_id_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    request_id = mint_request_id()
    with caplog.at_level(logging.ERROR):
        told = internal_error(ValueError("secret"), request_id)
    assert told.reason is Refusal.INTERNAL_ERROR
    assert request_id in told.message
    assert "secret" not in told.message
    assert request_id in caplog.text
    assert "secret" in caplog.text
