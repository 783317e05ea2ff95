from __future__ import annotations

from functools import partial

import pytest

from helixflow.gateway.pipeline import Pipeline
from helixflow.testing import stage as testing_stage

Stage = partial(testing_stage.Stage, Pipeline)


async def test_a_stage_notices_what_is_still_held() -> None:
    stage = Stage()
    async with stage.exchange():
        with pytest.raises(AssertionError, match="'ongoing': 1"):
            stage.assert_over("ok")
    with pytest.raises(AssertionError, match="Usage"):
        stage.assert_over("ok")


async def test_a_stage_notices_an_answer_where_there_should_be_none() -> None:
    with pytest.raises(AssertionError, match="there was an answer"):
        await Stage().refused()
