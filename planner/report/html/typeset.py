"""How words are set on a page: a number stays with what it counts, and no name is folded at a hyphen or a slash."""

import re

from markupsafe import Markup, escape

_NUMBER = re.compile(r"[(+≤$-]*\d[\d.,]*")
_COUNTED = re.compile(r"[^\W\d_]|%")
_MOST = 40
"""Letters that stay together; longer ones, such as paths, may be folded."""


def typeset(words: str) -> Markup:
    """Words as HTML, escaped; what belongs together in a span that a line holds whole where it can."""
    if isinstance(words, Markup):
        return words
    parts = list[str]()
    for word in words.split(" "):
        if parts and _NUMBER.fullmatch(parts[-1]) and _COUNTED.match(word):
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    return Markup(" ").join(map(_kept, parts))


def _kept(part: str) -> Markup:
    folds = len(part) <= _MOST and any(sign in part.strip("-/") for sign in " -/")
    return Markup('<span class="k">{}</span>').format(part) if folds else escape(part)
