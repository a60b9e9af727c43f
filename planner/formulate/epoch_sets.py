"""Layouts that may stand together, where an engine moves no KV cache between some of them."""

from collections.abc import Iterable
from dataclasses import replace

from planner.formulate.epoch_program import served, thinned
from planner.formulate.epoch_question import EpochQuestion
from planner.perf.layout import Layout, Role
from planner.results.schedule import EpochOption

MOST_SETS = 8
"""Sets of layouts up to which each is a question of its own: exact, and without a column that says what stands."""


def whole_sets(question: EpochQuestion) -> tuple[EpochQuestion, ...]:
    """The question once for every largest set of layouts that may stand together; none where nothing is excluded.

    An answer of the question is one of these, so the least of their bounds is one of it. Sets that serve not every
    class, and those within another, are left out. None also where there are more than ``MOST_SETS``, or no set serves.
    """
    if not question.parted:
        return ()
    sets = {frozenset[Layout]()}
    for prefill in sorted({one for one, _ in question.parted}, key=lambda each: each.name):
        beside = frozenset(other for one, other in question.parted if one == prefill)
        sets |= {each | beside for each in sets}
        if len(sets) > 4 * MOST_SETS:
            return ()
    asked = [name for name, rates in question.load.peak_req_per_s.items() if rates.max() > 0]
    found = dict[frozenset[str], tuple[EpochOption, ...]]()
    for without in sorted(sets, key=lambda each: sorted(layout.name for layout in each)):
        options = tuple(_allowed(question, without))
        if all(served(options, name) for name in asked):
            found[frozenset(option.name for option in options)] = options
    largest = [names for names in found if not any(names < other for other in found)]
    if not largest or len(largest) > MOST_SETS:
        return ()
    names = tuple(question.load.peak_req_per_s)
    return tuple(replace(question, options=thinned(found[each], names), apart=()) for each in largest)


def _allowed(question: EpochQuestion, without: frozenset[Layout]) -> Iterable[EpochOption]:
    """The options without these layouts of decode, and of prefill those that exchange KV with all that are left."""
    decodes = {o.spec.layout for o in question.options if o.spec.role is Role.DECODE} - without
    barred = {one for one, other in question.parted if other in decodes}
    for option in question.options:
        layout = option.spec.layout
        if option.spec.role is Role.DECODE and layout in without:
            continue
        if option.spec.role is Role.PREFILL and layout in barred:
            continue
        yield option
