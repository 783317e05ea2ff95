from __future__ import annotations

from typing import Any

from hypothesis import given

from helixflow.inference.frame import Frame, Sidecar
from helixflow.inference.principal import Principal
from helixflow.inference.request import EngineRequest
from helixflow.testing import values


def is_plain(value: Any) -> bool:
    """Whether another process can read this without our classes."""
    if type(value) is tuple:
        return all(map(is_plain, value))
    return value is None or type(value) in (bytes, str, int, float, bool)


def facts(frame: Frame) -> tuple[Any, ...]:
    """What two equal frames share; refusals are errors and compare by identity."""
    side = frame.sidecar
    if side is None:
        return (frame.data,)
    refused = side.refused
    wire = None if refused is None else (type(refused), refused.to_wire())
    return (frame.data, side.usage, side.finish_reason, side.load, wire)


@given(values.frames)
def test_a_frame_comes_back_from_the_wire_as_it_was(frame: Frame) -> None:
    assert facts(Frame.from_wire(frame.to_wire())) == facts(frame)
    assert is_plain(frame.to_wire())


@given(values.principals)
def test_a_principal_comes_back_from_the_wire_as_it_was(principal: Principal) -> None:
    assert Principal.from_wire(principal.to_wire()) == principal
    assert hash(Principal.from_wire(principal.to_wire())) == hash(principal)
    assert is_plain(principal.to_wire())


@given(values.engine_requests)
def test_an_engine_request_comes_back_from_the_wire_as_it_was(request: EngineRequest) -> None:
    assert EngineRequest.from_wire(request.to_wire()) == request
    assert is_plain(request.to_wire())


def test_a_refusal_of_a_newer_version_reaches_the_caller_as_an_internal_error() -> None:
    wire = (1, b"", (0, 0, 0, "", 0, 0, 0.0, ("sun_spots", "The sun shone.", None, None)))
    refused = Frame.from_wire(wire).sidecar
    assert isinstance(refused, Sidecar)
    assert refused.refused is not None
    assert refused.refused.to_wire() == ("internal_error", "The sun shone.", None, None)
