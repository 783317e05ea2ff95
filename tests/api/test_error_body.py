from __future__ import annotations

import json

import pytest

from helixflow.api.error_body import error_body
from helixflow.api.errors import ErrorBody
from helixflow.errors import Breach, InvalidRequest, QuotaExceeded, Refusal, Refused


def test_it_has_openais_four_fields() -> None:
    body = error_body(InvalidRequest(Refusal.INVALID_VALUE, "No.", param="n"))
    assert json.loads(body) == {
        "error": {
            "message": "No.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_value",
        }
    }


def test_a_limit_is_told_beside_them() -> None:
    breach = Breach("spend_per_day", "key=key_1", 12.5, 12.49, 3600.0)
    refused = QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "No.", retry_after_s=2.0, breach=breach)
    body = error_body(refused)
    error = json.loads(body)["error"]
    assert list(error) == ["message", "type", "param", "code", "limit"]
    assert error["limit"] == {
        "name": "spend_per_day", "scope": "key=key_1", "limit": 12.5, "current": 12.49,
        "reset_seconds": 3600.0,
    }  # fmt: skip
    described = ErrorBody.model_validate_json(body).error.limit
    assert described is not None
    assert described.reset_seconds == 3600.0


def test_the_type_is_that_of_the_error() -> None:
    quota = json.loads(error_body(QuotaExceeded(Refusal.RATE_LIMIT_EXCEEDED, "No.")))
    assert quota["error"]["type"] == "rate_limit_error"
    fault = json.loads(error_body(Refused(Refusal.INTERNAL_ERROR, "No.")))
    assert fault["error"]["type"] == "server_error"


def test_a_message_that_is_no_valid_text_is_mended() -> None:
    body = error_body(Refused(Refusal.INTERNAL_ERROR, "broken \ud800 text", param="\udc00"))
    assert json.loads(body)["error"]["message"] == "broken ? text"


@pytest.mark.parametrize("reason", Refusal)
def test_every_body_is_as_openapi_describes_it(reason: Refusal) -> None:
    refused = Refused.from_wire((reason.value, "No \N{GRINNING FACE}.", None, None))
    assert ErrorBody.model_validate_json(error_body(refused)).error.code is reason
