"""Traces that were drawn before: every candidate is judged on the same few."""

from collections import OrderedDict
from threading import Lock

from planner.resolve.drawing import Draw
from workloads.traces import Trace

MOST_KEPT = 2_000_000
"""Requests of all kept traces together, some 60 MiB: of three seeds at some rates, which are asked for in turn."""


def kept(draw: Draw) -> Draw:
    """What draws the same traces, those asked for last only once; one longer than ``MOST_KEPT`` every time."""
    traces, lock = OrderedDict[tuple[int, float, float], Trace](), Lock()

    def drawn(seed: int, factor: float, times: float) -> Trace:
        key = seed, factor, times
        with lock:
            if key in traces:
                traces.move_to_end(key)
                return traces[key]
        trace = draw(seed, factor, times)  # not locked: threads draw those of several seeds at once
        with lock:
            if len(trace) <= MOST_KEPT:
                traces[key] = trace
            while sum(map(len, traces.values())) > MOST_KEPT:
                traces.popitem(last=False)
        return trace

    return drawn
