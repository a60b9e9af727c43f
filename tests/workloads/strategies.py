"""Traces drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

from workloads.traces import Trace, plain_trace

tokens = st.integers(1, 100_000)


@st.composite
def traces(draw: st.DrawFn, min_size: int = 2) -> Trace:
    rows = draw(st.lists(st.tuples(st.floats(0.0, 1e4), tokens, tokens), min_size=min_size, max_size=40))
    gap_s, prompt, output = (np.array(column) for column in zip(*rows, strict=True))
    arrival_s = np.cumsum(np.round(gap_s, 6))
    arrival_s -= arrival_s[0]
    return plain_trace("drawn", arrival_s, prompt, output, duration_s=float(arrival_s[-1]) + 1.0)
