from __future__ import annotations

from helixflow.engine.metering import Meter, Meters
from helixflow.inference.usage import Usage


def test_a_meter_adds_up_prompts_and_choices() -> None:
    meter = Meter()
    meter.read("a", 5, 2)
    meter.read("a", 5, 2)
    meter.read("b", 7, 0)
    meter.wrote_more("a", 0, 2)
    meter.wrote_more("a", 0, 1)
    meter.wrote("b", 1, 4)
    assert meter.usage == Usage(12, 7, 2)


def test_a_total_never_lowers_what_was_counted() -> None:
    meter = Meter()
    meter.wrote("a", 0, 5)
    meter.wrote("a", 0, 3)
    assert meter.usage.completion_tokens == 5


def test_an_ended_request_is_known_however_often_it_is_read() -> None:
    meters = Meters()
    meters.open("r").wrote("", 0, 3)
    assert meters.usage("r").completion_tokens == 3
    meters.close("r")
    assert meters.usage("r") == meters.usage("r") == Usage(0, 3, 0)
    assert meters.usage("other") == Usage()


def test_ended_requests_are_bounded() -> None:
    meters = Meters(ended_max=2)
    for name in "abc":
        meters.open(name).wrote("", 0, 1)
        meters.close(name)
    assert [meters.usage(name).completion_tokens for name in "abc"] == [0, 1, 1]


def test_closing_what_was_never_opened_is_harmless() -> None:
    Meters().close("nobody")
