"""The toy server that a GPU of one's own is measured with; its model where there is PyTorch."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.profile_gpu import SHAPES, commands, measure
from benchmarks.served_toy import LOADS, Served, physics, predicted, requests, served
from benchmarks.toy_model import ON_CPU, ON_GPU, Sizes, ToyModel
from benchmarks.toy_profile import SETTINGS, Nothing, held, loop_s, measured
from benchmarks.toy_server import CpuClock, Job, Limits, Pages, Server, jobs_of, serve
from benchmarks.toy_table import FIGURES, Figures, compare, loads_left, whole_loads, write
from hw_catalog.load import load_catalog
from planner.perf.step_time import StepTime
from tests.planner.toy import TOY, toy_profile
from workloads.traces import Trace, plain_trace

LIMITS = Limits(max_tokens=256, max_requests=8, pages=400)
REQUESTS = st.lists(
    st.tuples(st.floats(1e-3, 0.5), st.integers(1, 200), st.integers(1, 30)), min_size=1, max_size=40
)  # fmt: skip


class Stopped:
    """A clock that only steps move."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def wait_until(self, moment_s: float) -> None:
        self.time_s = max(self.time_s, moment_s)


class Formula:
    """A runner whose steps take what a profile says."""

    sizes = ON_CPU

    def __init__(self, step: StepTime, clock: Stopped) -> None:
        self._step, self._clock = step, clock

    def step(self, prompts: Sequence[Job], decodes: Sequence[Job]) -> list[int]:
        context, asked = sum(len(job.tokens) for job in decodes), [(len(job.tokens), 0) for job in prompts]
        self._clock.time_s += (
            self._step.prefill_s(asked, len(decodes), context)
            if asked
            else self._step.decode_s(len(decodes), context / len(decodes))
        )
        return Nothing().step(prompts, decodes)

    def _spend(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self._clock.time_s += seconds / self.sizes.layers

        return run

    def attention_of_prompt(self, tokens: int) -> Callable[[], None]:
        return self._spend(1e-5 * tokens)

    def attention_of_batch(self, jobs: Sequence[Job]) -> Callable[[], None]:
        return self._spend(1e-5 * len(jobs))

    def sync(self) -> None:
        """There is no device."""


def trace_of(asked: Sequence[tuple[float, int, int]]) -> Trace:
    arrivals = np.cumsum([gap * (1 + 1e-5 / 3) for gap, _, _ in asked])  # never at the end of a step
    prompts, outputs = (np.array([each[at] for each in asked]) for at in (1, 2))
    return plain_trace("drawn", arrivals, prompts, outputs, duration_s=float(arrivals[-1]) + 1.0)


@settings(max_examples=30)
@given(asked=REQUESTS)
def test_two_servers_agree(asked: list[tuple[float, int, int]]) -> None:
    """Steps taking the same, the toy server and the simulator give every request the same TTFT and E2E."""
    trace, clock, profile = trace_of(asked), Stopped(), toy_profile()
    mine = served(Formula(StepTime(profile), clock), LIMITS, trace, clock, ON_CPU, None)
    theirs = predicted(physics(profile, ON_CPU, LIMITS, None), LIMITS, trace)
    assert mine.ttft_s == pytest.approx(theirs.ttft_s, rel=1e-9)
    assert mine.e2e_s == pytest.approx(theirs.e2e_s, rel=1e-9)


@settings(max_examples=30)
@given(asked=REQUESTS, pages=st.integers(16, 40))
def test_pages_are_held_by_one(asked: list[tuple[float, int, int]], pages: int) -> None:
    """However short memory is, no page has two holders, every answer gets its length, and all pages are free again."""

    class Watching(Nothing):
        def step(self, prompts: Sequence[Job], decodes: Sequence[Job]) -> list[int]:
            used = [page for job in (*prompts, *decodes) for page in job.pages]
            assert len(used) == len(set(used)) == pages - server.pages.free
            assert all(len(job.pages) * 16 >= len(job.tokens) for job in (*prompts, *decodes))
            assert len(prompts) + len(decodes) <= LIMITS.max_requests
            return super().step(prompts, decodes)

    server = Server(Watching(), Limits(max_tokens=256, max_requests=8, pages=pages))
    jobs = jobs_of(trace_of(asked), 10)
    serve(server, jobs, [0.0] * len(jobs), Stopped())
    assert server.pages.free == pages
    assert [len(job.tokens) - job.prompt_tokens for job in jobs] == [output for _, _, output in asked]


def test_one_request_beyond_all_pages_is_told() -> None:
    """A request that outgrows the whole cache ends the run with its number, not in an endless loop."""
    server = Server(Nothing(), Limits(max_tokens=64, max_requests=2, pages=2))
    with pytest.raises(MemoryError, match="request 0 needs more than all 2 pages"):
        serve(server, jobs_of(trace_of([(0.0, 20, 40)]), 10), [0.0], Stopped())


def test_a_measured_profile_gives_back_whole_steps() -> None:
    """At its knots a profile of the toy says what whole steps of it took, the server's own loop added."""
    setting, clock = replace(SETTINGS["cpu"], point_s=0.0), Stopped()
    step = StepTime(toy_profile(bend=False))
    profile = measured(Formula(step, clock), setting, clock, loop=0.001, gpu="cpu", provenance=TOY)  # type: ignore[arg-type]
    again = StepTime(profile)
    for tokens in setting.tokens:
        assert again.prefill_s([(tokens, 0)]) == pytest.approx(step.prefill_s([(tokens, 0)]) + 0.001, rel=1e-6)
    for batch in setting.batch:
        for context in setting.context_tokens:
            assert again.decode_s(batch, context) == pytest.approx(step.decode_s(batch, context) + 0.001, rel=1e-6)


def test_the_comparison_is_a_small_table(tmp_path: Path) -> None:
    """A row for each figure, with n, both values and the error in percent; nothing where a device tells no watts."""
    ttft_s, e2e_s, outputs = np.array([0.1, 0.2]), np.array([0.1, 0.4]), np.array([1, 3])
    mine = Figures(ttft_s=ttft_s, e2e_s=e2e_s, output_tokens=outputs, watts_w=None)
    theirs = Figures(ttft_s=1.1 * ttft_s, e2e_s=1.1 * e2e_s, output_tokens=outputs, watts_w=300.0)
    rows = compare(0.5, mine, theirs)
    write(tmp_path / "served.csv", rows)
    lines = (tmp_path / "served.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "load_frac,n,figure,measured,predicted,error_pct"
    assert lines[1] == "0.5,2,ttft_mean_s,0.15,0.165,+10.0"
    assert {row["figure"] for row in rows} == {
        f"{metric}_{of}_s" for metric in ("ttft", "tpot", "e2e") for of in ("mean", "p50", "p90", "p99")
    }


def test_requests_fit_a_step() -> None:
    """Prompts of the workload are cut to what a step holds, and the loop around a step takes some time."""
    trace = requests(SETTINGS["cpu"], 50.0, 2.0)
    assert trace.prompt_tokens.max() <= SETTINGS["cpu"].limits.max_tokens
    assert trace.prompt_tokens.min() >= 1 <= trace.output_tokens.min()
    assert 0 < loop_s(SETTINGS["cpu"], CpuClock(), trace) < 0.01


def test_the_model_reads_its_own_pages() -> None:
    """Served in batches over pages, a request gets the tokens that it gets alone with its context computed anew."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the served toy model is not tried")
    torch.set_num_threads(1)
    sizes = Sizes(layers=2, hidden=64, heads=4, kv_heads=2, dim=16, inner=96, vocab=50)
    model = ToyModel(torch, "cpu", sizes, pages=60, page_tokens=16)
    jobs = jobs_of(trace_of([(0.0, 30 + 7 * n, 12) for n in range(6)]), sizes.vocab)
    asked = [list(job.tokens) for job in jobs]
    serve(Server(model, Limits(max_tokens=100, max_requests=4, pages=60)), jobs, [0.0] * len(jobs), Stopped())
    for job, prompt in zip(jobs, asked, strict=True):
        tokens = list(prompt)
        for _ in range(12):
            pages = Pages(60, 16)
            again = Job(number=0, tokens=tokens, prompt_tokens=len(tokens), output_tokens=1)
            pages.give(again, len(tokens))
            tokens = [*tokens, *model.step([again], [])]
        assert job.tokens == tokens
    assert len(held(LIMITS, 3, 40)) == 3


def test_a_first_run_on_a_gpu_ends_in_time(tmp_path: Path) -> None:
    """The served toy goes first, what fails is named and does not stop the rest, what the limit cuts off is told."""
    first, *rest = commands(tmp_path, 0.1, "cuda", [])
    assert first[1:3] == ["-m", "benchmarks.served_toy"]
    assert len(rest) == len(SHAPES) == sum("--resume" in words for words in rest)
    done, slow, broken = (
        [sys.executable, "-c", code] for code in ("pass", "import time; time.sleep(60)", "raise SystemExit(3)")
    )
    mark = tmp_path / "reached"
    ended = measure([broken, [sys.executable, "-c", f"open({str(mark)!r}, 'w')"]], 60)
    assert ended.in_time
    assert mark.exists()
    assert [words for words in ended.failed if "SystemExit" in words] == list(ended.failed) != []
    assert not measure([slow, done], 0.2).in_time


def toy_on(clock: Stopped, source: str = "toy") -> Served:
    """A toy whose steps take what a formula says."""
    return Served(
        model=Formula(StepTime(toy_profile(bend=False)), clock), sizes=ON_CPU,
        setting=replace(SETTINGS["cpu"], point_s=0.0, serve_s=2.0), clock=clock, bench=None, gpu="cpu",
        provenance=replace(TOY, source=source),
    )  # fmt: skip


@pytest.mark.parametrize("damage", ["cut off", "a line lost", "half a line"])
def test_a_table_that_was_cut_off_is_completed(tmp_path: Path, damage: str) -> None:
    """A load that lacks a figure is served again, whole ones stay as they are, and the profile is not timed twice."""
    whole = toy_on(Stopped()).serve_loads(tmp_path / "whole", LOADS, None, anew=False)
    part = tmp_path / "part"
    toy_on(Stopped()).serve_loads(part, LOADS[:2], None, anew=False)
    table, profile = toy_on(Stopped()).table(part), next(part.glob("profiles/*/*/*.json"))
    lines, timed_ns = table.read_text(encoding="utf-8").splitlines(), profile.stat().st_mtime_ns
    second = [at for at, line in enumerate(lines) if line.startswith("0.6,")]
    kept = {"cut off": lines, "a line lost": lines[: second[3]] + lines[second[4] :],
            "half a line": [*lines[: second[5]], lines[second[5]][:9]]}  # fmt: skip
    table.write_text("\n".join(kept[damage]) + "\n", encoding="utf-8")
    left = [0.8] if damage == "cut off" else [0.6, 0.8]
    assert loads_left(whole_loads(table), LOADS) == left
    clock = Stopped()
    assert toy_on(clock).serve_loads(part, LOADS, None, anew=False) == whole
    assert clock.time_s < 8.0 * len(left)  # two seconds of arrivals each, and their answers
    assert profile.stat().st_mtime_ns == timed_ns
    assert whole_loads(table) == whole
    assert not loads_left(whole, LOADS)


def test_a_table_of_other_libraries_is_made_anew(tmp_path: Path) -> None:
    """Figures that another driver or library was measured with do not stay beside those of this one."""
    toy_on(Stopped(), "driver 1").serve_loads(tmp_path, LOADS[:1], None, anew=False)
    rows = toy_on(Stopped(), "driver 2").serve_loads(tmp_path, LOADS[1:2], None, anew=False)
    assert {row["load_frac"] for row in rows} == {"0.6"}
    assert {row["figure"] for row in rows} >= set(FIGURES)
    assert whole_loads(tmp_path / "nothing.csv") == []


def test_watts_are_predicted_where_the_gpu_is_known() -> None:
    """On a GPU of the catalog a run is predicted to draw more than it idles at, and less than its rating."""
    gpu, trace = load_catalog(None).gpus["h200-sxm"], requests(SETTINGS["cpu"], 20.0, 5.0)
    watts_w = predicted(physics(toy_profile(), ON_GPU, LIMITS, gpu), LIMITS, trace).watts_w
    assert watts_w is not None
    assert gpu.idle_w < watts_w < gpu.tdp_w
