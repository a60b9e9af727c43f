"""How busy instances may be while few requests wait too long."""

from math import exp, factorial

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from planner.capacity.waiting import most_busy_frac


def _beyond_frac(count: int, busy: float, patience: float) -> float:
    """Erlang's delay formula, as textbooks have it, and the tail of the wait."""
    last = busy**count / factorial(count) * count / (count - busy)
    return last / (sum(busy**k / factorial(k) for k in range(count)) + last) * exp(-(count - busy) * patience)


@given(st.floats(0.01, 30.0), st.floats(0.0, 5.0), st.sampled_from([0.01, 0.1, 0.5]))
def test_a_share_keeps_the_limit_at_the_fewest_instances(busy: float, patience: float, beyond: float) -> None:
    """So many instances, at most that busy, keep the tail of Erlang's formula; one fewer does not carry the load."""
    share = most_busy_frac(busy, patience, beyond)
    edges = [_beyond_frac(n, busy, patience) / beyond for n in range(int(busy) + 1, int(busy) + 40)]
    assume(all(abs(edge - 1) > 1e-5 for edge in edges))  # rounding decides there, another way in each formula
    count = next(n for n in range(1, 500) if n * share >= busy * (1 - 1e-9) and n > busy and
                 _beyond_frac(n, busy, patience) <= beyond * (1 + 1e-6))  # fmt: skip
    assert 0 < share < 1
    assert _beyond_frac(count, count * share, patience) == pytest.approx(beyond, rel=1e-5)
    if count - 1 > busy:
        assert _beyond_frac(count - 1, busy, patience) > beyond * (1 - 1e-6)


@given(st.floats(0.01, 500.0), st.floats(0.0, 5.0), st.floats(0.0, 3.0))
def test_more_patience_is_never_less_work(busy: float, patience: float, more: float) -> None:
    """A limit that leaves longer to wait never asks for emptier instances than the same load at a tighter one."""
    tight, loose = (busy / most_busy_frac(busy, each, 0.01) for each in (patience, patience + more))
    assert loose <= tight * (1 + 1e-6) + 1


def test_many_instances_may_be_full() -> None:
    """Beyond some hundred busy instances the spare ones are a small share."""
    assert most_busy_frac(399.0, 1.0, 0.01) > 0.95
    assert most_busy_frac(1e6, 0.0, 0.01) == 1.0
