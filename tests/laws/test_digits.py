"""Digits that people type: none is a number that Python cannot read, or one that no count has."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from planner.errors import BadInput
from planner.scenario.flags import Flags, question
from planner.scenario.reading import Document, override
from workloads.counts import whole_number

WORDS = st.one_of(
    st.text(st.characters(categories=["Nd", "No", "Nl"]), min_size=1, max_size=30),
    st.integers(1, 6000).map(lambda count: "9" * count),
)


@given(WORDS)
@example("\u00b2")
@example("9" * 5000)
def test_a_word_of_digits_is_a_count_or_none(word: str) -> None:
    """Plain digits of a sensible length are what they say; superscripts, other scripts and endless rows are none."""
    found = whole_number(word)
    assert (found is not None) == (word.isascii() and len(word) <= 18)
    assert found is None or str(found) == word.lstrip("0").rjust(1, "0")


@given(WORDS)
@example("9" * 400)
def test_lengths_of_any_digits_are_read_or_refused(word: str) -> None:
    """``--prompt`` and ``--output`` refuse what no number holds by their name, whatever digits it has."""
    asked = Flags(
        model="llama-3.1-8b", rate_req_per_s=1.0, prompt=word, output=f"1:{word}", ttft_s=1.0, machines="dgx-h100"
    )
    try:
        lengths = question(asked, ()).data["workload"]["lengths"]
    except BadInput as refused:
        told = refused.problems
    else:
        told = ()
        assert float(lengths["output"]["p95_tokens"]) == float(word)
    assert all("--prompt" in text or "--output" in text for text in told)


@given(WORDS)
@example("\u00b2")
def test_keys_of_any_digits_are_refused_or_set(word: str) -> None:
    """A step of ``--set`` that looks like a number is a place in a list or a key, and never a bug."""
    for inner in ({"a": {}}, {"a": [1]}):
        try:
            override(Document(data=inner, places={}), [f"a.{word}=1"])
        except BadInput as refused:
            told = refused.problems[0]
        else:
            told = ""
        assert not told or f"--set a.{word}" in told


@pytest.mark.parametrize("word", ["\u0662", "\u00b2", "9" * 5000, "0", "-1", ""])
def test_a_number_of_cores_is_one_or_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``PHASEWISE_CORES`` is a plain number of cores, 1 or more; a large one is as many as there are."""
    from planner.executor import CORES, cores

    monkeypatch.setenv(CORES, word)
    with pytest.raises(BadInput, match=CORES):
        cores()
