"""Where sentences are folded: a number stays with what it counts, on a page and on a terminal."""

import re
from collections.abc import Iterator, Sequence

_NUMBER = re.compile(r"[(+≤$-]*\d[\d.,]*")
_COUNTED = re.compile(r"[^\W\d_]|%")
_WORD = re.compile(r"\S+")


def together(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The words of a sentence, those in one group that a line holds whole where it can: ``("3", "dgx-h100,")``."""
    group: tuple[str, ...] = ()
    for word in words:
        if group and _NUMBER.fullmatch(group[-1]) and _COUNTED.match(word):
            group = (*group, word)
        else:
            yield from (group,) if group else ()
            group = (word,)
    yield from (group,) if group else ()


def starts(text: str, width: int) -> list[int]:
    """Where the lines of a text begin that is folded to ``width`` letters; the first begins at 0.

    What is longer than a line is folded between its words, and a word where the line ends.
    """
    found = list(_WORD.finditer(text))
    lines, line, at = [0], found[0].start() if found else 0, 0
    for group in together([word[0] for word in found]):
        mine, at = found[at : at + len(group)], at + len(group)
        if mine[-1].end() - line <= width:
            continue
        whole = mine[-1].end() - mine[0].start() <= width
        for part in mine[:1] if whole else mine:
            if not whole and part.end() - line <= width:
                continue
            if part.start() > line:
                line = part.start()
                lines.append(line)
            while part.end() - line > width:
                line += width
                lines.append(line)
    return lines


def folded(text: str, width: int) -> list[str]:
    """The lines of a text, without blanks at their ends."""
    begin = starts(text, max(1, width))
    return [text[one:end].strip() for one, end in zip(begin, [*begin[1:], len(text)], strict=True)]
