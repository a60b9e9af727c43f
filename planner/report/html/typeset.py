"""How words are set on a page: a number stays with what it counts, and no name is folded at a hyphen or a slash."""

from markupsafe import Markup, escape

from planner.report.folding import together

_MOST = 40
"""Letters that stay together; longer ones, such as paths, may be folded."""


def typeset(words: str) -> Markup:
    """Words as HTML, escaped; what belongs together in a span that a line holds whole where it can."""
    if isinstance(words, Markup):
        return words
    return Markup(" ").join(_kept(" ".join(group)) for group in together(words.split(" ")))


def _kept(part: str) -> Markup:
    folds = len(part) <= _MOST and any(sign in part.strip("-/") for sign in " -/")
    return Markup('<span class="k">{}</span>').format(part) if folds else escape(part)
