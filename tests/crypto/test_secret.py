from __future__ import annotations

import copy
import pickle

import pytest

from helixflow.crypto.secret import Secret


def test_a_secret_hides_its_text_in_every_form() -> None:
    secret = Secret("hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", f"{[secret]}"):
        assert "hunter2" not in shown
    assert secret.reveal() == "hunter2"


def test_secrets_compare_by_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_a_secret_does_not_travel() -> None:
    for leave in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="does not leave"):
            leave(Secret("a"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret("a"))
