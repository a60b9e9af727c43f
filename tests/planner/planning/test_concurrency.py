"""Rules of concurrency: how many requests run on a machine at once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.perf.layout import Role
from planner.planning.figures import concurrency
from planner.report.choices import choices_section
from planner.report.frontiers import frontier_page
from planner.report.page import Table
from planner.results.choice import Choice, Standing
from planner.results.precision import Variant
from planner.results.use import PoolUse
from tests.planner import plans
from tests.planner.sweeps import frontier

counts = st.lists(st.tuples(st.sampled_from(Role), st.integers(1, 9), st.integers(1, 4), st.floats(0, 300)), min_size=1,
                  max_size=5)  # fmt: skip


@given(counts)
def test_concurrency_is_of_the_machines_that_decode(pools: list[tuple[Role, int, int, float]]) -> None:
    """Concurrency times the machines that decode is the requests that run at once on all their instances.

    Machines that compute prompts alone count on neither side; where no machine decodes there is none.
    """
    base, seen = plans.candidate(), plans.judgement()
    made = [
        replace(base.pools[0], spec=replace(plans.DECODE, role=role, clock_mhz=1000 + n), machines=machines,
                instances=machines * each)
        for n, (role, machines, each, _) in enumerate(pools)
    ]  # fmt: skip
    uses = tuple(
        replace(seen.pools[0], pool=pool.spec.name, batch_mean=batch)
        for pool, (*_, batch) in zip(made, pools, strict=True)
    )
    found = concurrency(replace(base, pools=tuple(made)), replace(seen, pools=uses))
    running = sum(m * each * batch for role, m, each, batch in pools if role is not Role.PREFILL)
    machines = sum(m for role, m, _, _ in pools if role is not Role.PREFILL)
    assert (found is None) == (machines == 0)
    assert found is None or found * machines == pytest.approx(running)
    assert all(isinstance(use, PoolUse) for use in uses)


def test_concurrency_stands_beside_speeds() -> None:
    """One word in the table of alternatives and of designs; a row that no simulation has seen has none."""
    own = Choice(
        variant=Variant(dtype="bf16", kv_dtype="bf16", profile_set="any"), engine="vllm", engine_version="0.24",
        policy="splitwise", allowed=True, standing=Standing.CHOSEN, objective_value=1.0, bound=None, cost_usd_per_h=1.0,
        power_w=1.0, machines=1, gpus=8, gpu_tokens_per_s=300.0, user_tokens_per_s=30.0,
        usd_per_million_prompt_tokens=None, usd_per_million_output_tokens=None, concurrency=98.65,
    )  # fmt: skip
    unseen = replace(own, standing=Standing.BOUND, concurrency=None)
    (section,) = choices_section(replace(plans.plan(), choices=(own, unseen)))
    table = next(block for block in section.blocks if isinstance(block, Table))
    at = [column.name for column in table.columns].index("concurrency")
    assert [row[at] for row in table.rows] == ["98.65", "n/a"]
    front = frontier()
    designs = tuple(
        replace(d, outcome=replace(d.outcome, concurrency=40.0, gpu_tokens_per_s=300.0) if d.outcome else None)
        for d in front.designs
    )
    blocks = [b for s in frontier_page(replace(front, designs=designs)).sections for b in s.blocks]
    shown = next(block for block in blocks if isinstance(block, Table))
    at = [column.name for column in shown.columns].index("concurrency")
    assert {row[at] for row, d in zip(shown.rows, designs, strict=True) if d.outcome} == {"40"}
