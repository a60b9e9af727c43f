"""Occupancy: how long machines spend at each number of active tokens, worked out from what became of their requests.

A decode counts as one token from its first token to its last. Prompts that got their first token at one instant at one
machine were one step: its tokens are theirs and its decodes', and its length follows from the step time.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from planner.perf.step_time import StepTime
from planner.reproduce.designs import Cluster
from planner.reproduce.trial import Bench, at_rate
from workloads.traces import Trace

Floats = NDArray[np.float64]
Spent = tuple[Floats, Floats]
"""(stretches,) active tokens and seconds."""


def occupancy(
    bench: Bench, cluster: Cluster, rate_req_per_s: float, duration_s: float, upto: Sequence[float]
) -> Mapping[str, Floats]:
    """Share of the time of each kind of machine at no more than so many active tokens; idle time counts as none.

    Args:
        bench: one reading of one workload.
        cluster: what serves.
        rate_req_per_s: of the trace.
        duration_s: of the trace, and of the time that is counted.
        upto: numbers of tokens.

    Returns:
        Prompt machines and token machines, or all of a baseline; a machine that is borrowed counts where it belongs.
    """
    trace = at_rate(bench.drawn, rate_req_per_s, duration_s)
    ledger = bench.serve(cluster, trace, cutoff_s=2 * duration_s + 60.0).ledger
    first_s, last_s = trace.arrival_s + ledger.ttft_s, trace.arrival_s + ledger.e2e_s
    made = cluster.design
    kinds = [("prompt machines", made.prompt_machine, range(cluster.prompt_machines))]
    if made.token_machine is None:
        kinds = [("machines", made.prompt_machine, range(cluster.prompt_machines))]
    else:
        kinds += [("token machines", made.token_machine, range(cluster.prompt_machines, cluster.machines))]
    found = {}
    for words, machine, instances in kinds:
        step = bench.reading.physics[machine].step
        spent = [_spent(i, step, trace, (first_s, last_s), ledger.served_by, duration_s) for i in instances]
        tokens, seconds = (np.concatenate(column) for column in zip(*spent, strict=True))
        found[words] = np.array([seconds[tokens <= most].sum() for most in upto]) / seconds.sum()
    return found


def _spent(
    i: int, step: StepTime, trace: Trace, times_s: tuple[Floats, Floats], served_by: NDArray[np.int32],
    duration_s: float,
) -> Spent:  # fmt: skip
    """Stretches of the time of one machine in which its active tokens stay the same."""
    first_s, last_s = times_s
    here = (served_by[:, 1] == i) & np.isfinite(last_s) & (trace.output_tokens > 1)
    starts, ends = np.sort(first_s[here]), np.sort(last_s[here])
    computed = np.flatnonzero((served_by[:, 0] == i) & np.isfinite(first_s))
    ended_s, places = np.unique(first_s[computed], return_inverse=True)
    batches = np.searchsorted(starts, ended_s) - np.searchsorted(ends, ended_s)
    prompts = [trace.prompt_tokens[computed[places == k]].tolist() for k in range(len(ended_s))]
    context = float(np.mean(trace.prompt_tokens + trace.output_tokens / 2))
    took_s = [
        step.prefill_s([(n, 0) for n in together], batch, batch * context)
        for together, batch in zip(prompts, batches.tolist(), strict=True)
    ]
    began_s = ended_s - np.array(took_s)
    edges = np.concatenate([starts, ends, began_s, ended_s, [0.0, duration_s]])
    edges = np.unique(np.clip(edges, 0.0, duration_s))
    middle = (edges[1:] + edges[:-1]) / 2
    tokens = (np.searchsorted(starts, middle) - np.searchsorted(ends, middle)).astype(np.float64)
    if len(ended_s):
        k = np.minimum(np.searchsorted(ended_s, middle), len(ended_s) - 1)
        computing = (began_s[k] < middle) & (middle < ended_s[k])
        tokens += np.where(computing, np.array([float(sum(together)) for together in prompts])[k], 0.0)
    return tokens, np.diff(edges)
