"""Laws of decode attention beyond the source's table: equal tokens, equal time; monotone; continuous at the knot."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.engines import EngineTiming, load_engines, timing_of
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiles import KernelProfile
from planner.perf.beyond import continued, splits_kv
from planner.perf.engine import as_run
from planner.perf.lines import Column, line, lines
from planner.perf.step_time import StepTime
from tests.planner.toy import toy_profile

BATCHES = st.integers(1, 1024)
FACTORS = st.floats(1.0, 4000.0)


def real(model: str, gpu: str, tp: int, **which: str) -> KernelProfile:
    """A profile of the catalog."""
    which = {"dtype": "bf16", "kv_dtype": "bf16"} | which
    found = load_profiles(None, model=model, gpu=gpu, profile_set="aiconfigurator-0.12")
    return next(p for p in found if p.tp == tp and all(getattr(p, k) == v for k, v in which.items()))


TABLES = {
    "toy": toy_profile(),
    "short": toy_profile(short=True),
    "8b": real("llama-3.1-8b", "h100-sxm", 8),
    "70b": real("llama-3.1-70b", "h100-sxm", 4),
    "dips": real("gpt-oss-120b", "b200-sxm", 8, dtype="fp4"),
}
STEPS = {name: StepTime(profile) for name, profile in TABLES.items()}
NAMES = st.sampled_from(sorted(TABLES))
REAL = st.sampled_from(["8b", "70b", "dips"])


def attention_s(step: StepTime, batch: int, context: float) -> float:
    """Decode attention alone."""
    return step.decode_s(batch, context) - step.decode_s(batch, 1) + step._decode_attention_s(batch, 1)


@given(name=REAL, batch=st.sampled_from([1, 2, 4, 8, 16, 32]), more=st.sampled_from([2, 4, 8, 16]))
def test_equal_tokens_take_equal_time(name: str, batch: int, more: int) -> None:
    """Beyond the table one long request is read as fast as as many tokens in several, to interpolation."""
    step = STEPS[name]
    last = step.max_table_tokens
    ours, several = attention_s(step, batch, 2.0 * more * last), attention_s(step, batch * more, 2.0 * last)
    assert ours == pytest.approx(several, rel=1e-6)


@given(name=REAL, batch=BATCHES, factor=st.floats(2.0, 4000.0))
def test_any_batch_reads_its_tokens_within_interpolation(name: str, batch: int, factor: float) -> None:
    """Away from the knots, too, time follows from the total tokens alone, to what lines between knots leave."""
    step = STEPS[name]
    last, table = step.max_table_tokens, TABLES[name]
    column, knots = np.maximum.accumulate(table.decode_attention_s[:, -1]), table.attention_batch
    total = batch * factor
    slope = (column[-1] - column[-2]) / (knots[-1] - knots[-2])
    wanted = np.interp(total, knots, column) + max(0.0, total - knots[-1]) * slope
    assert attention_s(step, batch, factor * last) == pytest.approx(wanted, rel=0.05)


@given(name=NAMES, batch=BATCHES, factors=st.tuples(FACTORS, FACTORS))
def test_a_longer_context_never_takes_less_time(name: str, batch: int, factors: tuple[float, float]) -> None:
    """From the last knot on, decode steps grow with the context."""
    step = STEPS[name]
    near, far = sorted(factors)
    assert (
        step.decode_s(batch, near * step.max_table_tokens) <= step.decode_s(batch, far * step.max_table_tokens) + 1e-12
    )


@given(name=NAMES, batches=st.tuples(BATCHES, BATCHES), factor=st.floats(2.0, 4000.0))
def test_a_larger_batch_never_reads_in_less_time(name: str, batches: tuple[int, int], factor: float) -> None:
    """From twice the last knot on, attention grows with the batch, dips of the table's last column or not."""
    step = STEPS[name]
    few, many = sorted(batches)
    context = factor * step.max_table_tokens
    assert step._decode_attention_s(few, context) <= step._decode_attention_s(many, context) + 1e-12


@given(name=NAMES, batch=BATCHES)
def test_nothing_jumps_at_the_last_knot(name: str, batch: int) -> None:
    """A token more than the table holds takes hardly longer than what it holds."""
    step = STEPS[name]
    last = float(step.max_table_tokens)
    assert step.decode_s(batch, last + 1) == pytest.approx(step.decode_s(batch, last), rel=1e-3)


def test_what_the_table_holds_stays() -> None:
    """Inside the table nothing changes, and what is added is marked as extrapolated."""
    for profile in TABLES.values():
        after = continued(profile)
        rows, columns = profile.decode_attention_s.shape
        assert np.array_equal(after.decode_attention_s[:, :columns], profile.decode_attention_s)
        assert after.decode_extrapolated[:, columns:].all()
        assert after.decode_extrapolated.shape == after.decode_attention_s.shape
        assert continued(after) is after
        assert StepTime(profile).max_context_tokens <= profile.context_tokens[-1]
        assert rows == len(profile.attention_batch)


def test_host_time_per_request_is_that_of_the_requests_there_are() -> None:
    """One request of ten million tokens costs the host one request's time, whatever it is read like."""
    raw = TABLES["8b"]
    timing = timing_of(load_engines(None), raw)
    costly: EngineTiming = replace(timing, step_per_request_s=1e-3)
    plain = replace(timing, step_per_request_s=0.0)
    with_s, without_s = (StepTime(as_run(raw, t, 32)).decode_s(1, 10**7) for t in (costly, plain))
    assert with_s - without_s == pytest.approx(1e-3, rel=1e-6)


def test_a_kernel_that_does_not_split_a_request_keeps_its_slope() -> None:
    """Sixteen requests take as long as one (A100, no grouped queries): one of 16 times the tokens takes longer."""
    profile = real("llama-2-7b", "a100-sxm", 8)
    assert not splits_kv(profile)
    assert all(splits_kv(p) for p in TABLES.values())
    step = StepTime(profile)
    last = step.max_table_tokens
    assert step.decode_s(1, 16 * last) > 10 * step.decode_s(1, last)


@given(
    name=NAMES, batch=st.integers(0, 300), context=st.floats(1.0, 1e6),
    prompts=st.lists(st.tuples(st.integers(1, 200_000), st.integers(0, 2_000_000)), min_size=1, max_size=8),
)  # fmt: skip
def test_steps_read_together_are_those_read_one_by_one(
    name: str, batch: int, context: float, prompts: list[tuple[int, int]]
) -> None:
    """Reading the steps of many chunks at once gives each the very float that it has alone."""
    step, held = STEPS[name], batch * context
    assert step.each_s(*np.array(prompts).T, batch, held).tolist() == [
        step.prefill_s([p], batch, held) for p in prompts
    ]
    steps = [prompts[at : at + 3] for at in range(0, len(prompts), 3)]
    assert step.steps_s(steps) == [StepTime(TABLES[name]).prefill_s(each) for each in steps]


@given(name=NAMES, x=st.integers(0, 3000))
def test_columns_read_together_are_those_read_one_by_one(name: str, x: int) -> None:
    """Reading a table's columns at once gives each the very float that it has alone."""
    table = TABLES[name].decode_attention_s
    knots = TABLES[name].attention_batch.tolist()
    assert lines(knots, table, x).tolist() == [line(knots, column, x) for column in table.T.tolist()]
    column = Column(TABLES[name].tokens, TABLES[name].linear_prefill_s)
    dense = column.dense()
    assert [column.at(x), column.at(10 * x)] == column.each(np.array([x, 10 * x])).tolist()
    assert column.at(min(x, len(dense) - 1)) == dense[min(x, len(dense) - 1)]
    beyond = dense[-1] + (dense[-1] - dense[-2]) * (x + 1)
    assert column.at(len(dense) + x) == beyond
