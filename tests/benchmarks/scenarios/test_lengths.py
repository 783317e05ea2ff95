from __future__ import annotations

from statistics import mean, median

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scenarios.lengths import WORDS, conversation, log_normal, words


@given(st.integers(0, 5000), st.integers(0, 50))
def test_a_text_has_as_many_words_as_asked(count: int, begin: int) -> None:
    text = words(count, begin).split()
    assert len(text) == count
    assert set(text) <= set(WORDS)


def test_texts_that_begin_elsewhere_are_others() -> None:
    assert len({words(50, begin) for begin in range(16)}) == 16


def test_lengths_have_the_mean_that_is_said() -> None:
    lengths = log_normal(4096, 161.0, 100_000)
    assert abs(mean(lengths) / 161.0 - 1) < 0.02
    assert abs(median(lengths) / (161.0 * 0.6065) - 1) < 0.02
    assert lengths == sorted(lengths)


def test_no_length_is_beyond_its_bounds() -> None:
    assert max(log_normal(64, 338.0, 900)) == 900
    assert min(log_normal(64, 1.0, 900)) == 1


@given(st.sampled_from([8, 16, 64]))
def test_a_conversation_has_every_length_once(count: int) -> None:
    pairs = conversation(count, 900)
    assert sorted(prompt for prompt, _ in pairs) == log_normal(count, 161.0, 900)
    assert sorted(answer for _, answer in pairs) == log_normal(count, 338.0, 900)
