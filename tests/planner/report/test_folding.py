"""Rules of where sentences are folded."""

from io import StringIO

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from planner.report.folding import folded, together
from planner.report.html.typeset import typeset
from planner.report.page import Page
from planner.report.rich import drawn

words = st.one_of(
    st.sampled_from(["3", "1,200", "(2", "$57.80/h,", "dgx-h100,", "machines,", "%", "of", "-", "hgx-h200"]),
    st.text("ab-/", min_size=1, max_size=30),
)
sentences = st.lists(words, min_size=1, max_size=14).map(" ".join)


@given(sentences, st.integers(1, 60))
def test_folding_loses_no_word_and_keeps_to_the_width(sentence: str, width: int) -> None:
    """No line is longer than the width, and the lines put together are the sentence."""
    lines = folded(sentence, width)
    assert all(len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(sentence.split())


@given(sentences, st.integers(1, 60))
def test_a_number_stays_with_what_it_counts(sentence: str, width: int) -> None:
    """A count and the name after it stand on one line wherever both fit on one, and every line is as full as it can be.

    So does every other group of words that belong together; a line ends only before one that does not fit on it.
    """
    lines, groups = folded(sentence, width), [" ".join(group) for group in together(sentence.split())]
    if any(len(group) > width for group in groups):
        return
    filled, line = [], groups[0]
    for group in groups[1:]:
        if len(line) + 1 + len(group) <= width:
            line += f" {group}"
        else:
            filled.append(line)
            line = group
    assert lines == [*filled, line]


@given(sentences, st.integers(20, 60))
def test_a_terminal_folds_headlines_there(sentence: str, width: int) -> None:
    """The verdict with its headline and what was asked are printed in exactly these lines."""
    page = Page(title="t", verdict="VALIDATED", good=True, headline=sentence, about=sentence)
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(drawn(page))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines() == [
        *folded(f"VALIDATED: {sentence}", width), *folded(sentence, width)
    ]  # fmt: skip


def test_pages_keep_the_same_words_together() -> None:
    """A count and its name are one span that is not folded, as they are one group on a terminal."""
    told = ["for", "3", "dgx-h100,", "2", "hgx-h200"]
    assert [" ".join(group) for group in together(told)] == ["for", "3 dgx-h100,", "2 hgx-h200"]
    assert typeset(" ".join(told)) == ('for <span class="k">3 dgx-h100,</span> <span class="k">2 hgx-h200</span>')
