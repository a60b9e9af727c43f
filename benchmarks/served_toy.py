"""A small transformer, served on this machine under the arrivals of a trace, beside what phasewise predicts of it.

    python -m benchmarks.served_toy [--device cuda|cpu] [--out DIR] [--loads 0.3,0.6,0.8] [--seconds 60] [--anew]

Its steps are timed first, at the knots of a kernel profile (set ``measured``), on the same device and by the code that
then serves. The profile holds whole steps, launches and host time included: nothing is fitted to the runs that it
predicts. Then requests of a built-in workload arrive at shares of the rate that the profile allows, and are served by
continuous batching over a paged KV cache (``toy_server.py``, ``toy_model.py``). Printed, and written to DIR as small
tables: mean, P50, P90 and P99 of TTFT, TPOT and E2E, and on an NVIDIA GPU mean watts by NVML's energy counter.

Every load is written as soon as it is served. Called again on the same device and libraries, the profile that is there
is taken and the loads that the table lacks are served; ``--anew`` begins again.

A CPU counts its own seconds instead of the wall's and skips idle time, so that other processes matter less: it tries
the procedure. Needs ``pip install phasewise[profile]``. Nothing is changed on the machine.
"""

import argparse
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.toy_model import ON_CPU, ON_GPU, Sizes, ToyModel, torch_here
from benchmarks.toy_profile import MODEL, SETTINGS, Setting, loop_s, measured
from benchmarks.toy_server import Clock, CpuClock, Job, Limits, Runner, Server, WallClock, jobs_of, serve
from benchmarks.toy_table import Figures, Row, compare, loads_left, row, whole_loads, write
from hw_catalog.errors import CatalogError
from hw_catalog.gpus import Gpu
from hw_catalog.links import Link
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from hw_catalog.profiler import PROFILE_SET
from hw_catalog.profiler_files import add_profile
from hw_catalog.profiler_torch import TorchBench, torch_bench
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance
from planner.cli.profiling import gpu_id
from planner.errors import BadInput
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Layout, Role
from planner.perf.power import InstancePower, Unmetered, Watts
from planner.perf.step_time import StepTime
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import window
from planner.simulator.pools import Events, PoolModel, Run
from planner.simulator.serve import serve as simulate
from workloads.builtin import load_builtin
from workloads.models import model_from_config
from workloads.synthesis import synthesize
from workloads.traces import Trace, plain_trace

WORKLOAD = "azure-conv-2023"
CUTOFF_S = 1e6
LOADS = (0.3, 0.6, 0.8)
RUSH = 200
"""Requests at once, from which the rate that the profile allows is read."""


class Watched:
    """A runner whose steps are written down.

    Args:
        model: that computes.
        clock: that times it.
    """

    def __init__(self, model: Runner, clock: Clock) -> None:
        """Nothing yet."""
        self._model, self._clock = model, clock
        self.steps: list[tuple[list[tuple[int, int]], int, int, float]] = []

    def step(self, prompts: Sequence[Job], decodes: Sequence[Job]) -> list[int]:
        """As the model does; with its prompts, requests, KV tokens and seconds."""
        asked = [(len(job.tokens), 0) for job in prompts], len(decodes), sum(len(job.tokens) for job in decodes)
        before_s = self._clock.now_s()
        found = self._model.step(prompts, decodes)
        self.steps.append((*asked, self._clock.now_s() - before_s))
        return found

    def against(self, step: StepTime, loop: float) -> Iterator[tuple[str, int, float, float]]:
        """Kind of step, how many, seconds of all of them as measured and as the profile has them without the loop."""
        for kind, some in (
            ("decodes alone", [each for each in self.steps if not each[0]]),
            ("prompts alone", [each for each in self.steps if each[0] and not each[1]]),
            ("prompts beside decodes", [each for each in self.steps if each[0] and each[1]]),
        ):
            if some:
                ours = [step.prefill_s(p, b, c) if p else step.decode_s(b, c / b) for p, b, c, _ in some]
                yield kind, len(some), sum(each[3] for each in some), sum(ours) - loop * len(some)


def physics(profile: KernelProfile, sizes: Sizes, limits: Limits, gpu: Gpu | None) -> InstancePhysics:
    """The server as phasewise sees it; with watts where the GPU is known."""
    step, model = StepTime(profile), model_from_config(sizes.config, MODEL)
    power: Watts = InstancePower(model, gpu, Layout(tp=1), step) if gpu else Unmetered()
    alone = Link(name="none", bandwidth_bytes_per_s=0, latency_s=0, sync_s=0, provenance=profile.provenance)
    return InstancePhysics(
        step=step, kv_blocks=limits.pages, block_tokens=limits.page_tokens, layers=sizes.layers, link=alone,
        kv_bytes_per_token=model.kv_bytes_per_token("bf16"), instances_per_machine=1, power=power,
    )  # fmt: skip


def simulated(body: InstancePhysics, limits: Limits, trace: Trace) -> Run:
    """The trace, served by one instance under the policy ``colocated``: whole prompts beside every decode."""
    pool = PoolModel(name=MODEL, role=Role.MIXED, physics=body, instances=1, speed=1.0, classes=frozenset({0}))
    rules = policy(
        "colocated",
        PolicySection(
            max_batch_tokens=limits.max_tokens, max_batch_size=limits.max_requests, block_tokens=limits.page_tokens
        ),
    )
    whole = window(trace, warmup_frac=0.0, cooldown_frac=0.0, slices=1)
    return simulate([pool], rules, trace, whole, cutoff_s=CUTOFF_S, beside=Events())


def predicted(body: InstancePhysics, limits: Limits, trace: Trace) -> Figures:
    """What phasewise says of the trace."""
    run = simulated(body, limits, trace)
    span_s = float(trace.arrival_s[-1] - trace.arrival_s[0])
    (meter,) = next(iter(run.meters.values()), None) or [None]
    watts_w = body.power.idle_w + sum(meter.above_j) / span_s if meter and body.power.limit_w else None
    ttft_s, e2e_s = np.asarray(run.ledger.ttft_s), np.asarray(run.ledger.e2e_s)
    return Figures(ttft_s=ttft_s, e2e_s=e2e_s, output_tokens=trace.output_tokens, watts_w=watts_w)


def served(
    runner: Runner, limits: Limits, trace: Trace, clock: Clock, sizes: Sizes, bench: TorchBench | None
) -> Figures:
    """What the server makes of it."""
    jobs = jobs_of(trace, sizes.vocab)
    before_j = bench.energy_j() if bench else None
    took_s = serve(Server(runner, limits), jobs, trace.arrival_s.tolist(), clock)
    after_j = bench.energy_j() if bench else None
    first_s, end_s = (np.array([getattr(job, name) for job in jobs]) for name in ("first_s", "end_s"))
    return Figures(
        ttft_s=first_s - trace.arrival_s, e2e_s=end_s - trace.arrival_s, output_tokens=trace.output_tokens,
        watts_w=None if before_j is None or after_j is None else (after_j - before_j) / took_s,
    )  # fmt: skip


def requests(setting: Setting, rate_req_per_s: float, duration_s: float) -> Trace:
    """Requests of the workload, its lengths shrunk and cut to what a step holds."""
    drawn = synthesize(
        load_builtin(WORKLOAD), rate_req_per_s=rate_req_per_s, duration_s=duration_s, rng=np.random.default_rng(0)
    )
    prompts, outputs = (
        np.maximum(1, np.rint(lengths / setting.shrink_ratio)).astype(np.int64)
        for lengths in (drawn.prompt_tokens, drawn.output_tokens)
    )
    prompts = np.minimum(prompts, setting.longest_tokens)
    return plain_trace(WORKLOAD, drawn.arrival_s, prompts, outputs, duration_s=drawn.duration_s)


def most_req_per_s(body: InstancePhysics, setting: Setting) -> float:
    """Requests a second when all are there at once, as phasewise has it."""
    rush = requests(setting, RUSH, 1.0)
    rush = replace(rush, arrival_s=np.zeros(len(rush)))
    return len(rush) / float(np.max(simulated(body, setting.limits, rush).ledger.e2e_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What serves, and what is known of it.

    Attributes:
        model: that computes; ``ToyModel``, or what stands for it in tests.
        sizes: of it.
        setting: what is measured, and how long.
        clock: that times it.
        bench: that tells watts; None where no device does.
        gpu: catalog id, or ``cpu``.
        provenance: of its profile.
    """

    model: Any
    sizes: Sizes
    setting: Setting
    clock: Clock
    bench: TorchBench | None
    gpu: str
    provenance: Provenance

    def table(self, out: Path) -> Path:
        """Where its figures go."""
        return out / f"served-toy-{self.gpu}.csv"

    def profile(self, out: Path, *, anew: bool) -> KernelProfile:
        """Of an earlier run in this directory, where the same device and libraries measured it, else measured now.

        What was served under another profile is no part of this run: its table is removed.
        """
        if not anew and (known := self._kept(out)):
            return known
        self.table(out).unlink(missing_ok=True)
        loop = loop_s(self.setting, self.clock, requests(self.setting, RUSH, 1.0))
        made = measured(
            self.model, self.setting, self.clock, loop=loop, gpu=self.gpu, provenance=self.provenance
        )  # fmt: skip
        print(f"wrote {add_profile(out, made)}")
        return self._kept(out) or made  # as it is written, digits and all

    def _kept(self, out: Path) -> KernelProfile | None:
        """The profile that is written there, if this device and these libraries measured it."""
        try:
            found = load_profiles(out, model=MODEL, gpu=self.gpu, profile_set=PROFILE_SET)
        except CatalogError:
            return None  # none yet
        return next((p for p in found if p.provenance.source == self.provenance.source), None)

    def serve_loads(self, out: Path, loads: Sequence[float], seconds: float | None, *, anew: bool) -> list[Row]:
        """The table of all loads; those that it lacks are served now, each written as soon as it is.

        Args:
            out: catalog directory.
            loads: shares of the rate that the profile allows.
            seconds: of arrivals at each; None is the setting's.
            anew: measure and serve again whatever is there.
        """
        profile, limits = self.profile(out, anew=anew), self.setting.limits
        body = physics(profile, self.sizes, limits, load_catalog(None).gpus.get(self.gpu))
        most, rows = most_req_per_s(body, self.setting), whole_loads(self.table(out))
        print(f"{most:.3g} requests/s when all are there at once (predicted)")
        for load in loads_left(rows, loads):
            trace = requests(self.setting, load * most, seconds or self.setting.serve_s)
            watched = Watched(self.model, self.clock)
            mine = served(watched, limits, trace, self.clock, self.sizes, self.bench)
            rows += compare(load, mine, predicted(body, limits, trace))
            for kind, n, measured_s, ours_s in watched.against(body.step, profile.overhead_s):
                rows.append(row(load, n, f"steps, {kind}", measured_s, ours_s))
            write(self.table(out), rows)
        return rows


def on(device: str) -> Served:
    """The toy on a device of this machine.

    Raises:
        CatalogError: PyTorch is missing or sees no GPU.
        BadInput: the catalog does not know the GPU.
    """
    torch, bench, cuda = torch_here(device), torch_bench(device), device == "cuda"
    setting, sizes, found = SETTINGS[device], ON_GPU if cuda else ON_CPU, bench.device
    where = found.name if cuda else f"{platform.machine()} CPU, one thread"
    return Served(
        model=ToyModel(torch, device, sizes, pages=setting.limits.pages, page_tokens=setting.limits.page_tokens),
        sizes=sizes, setting=setting, clock=WallClock() if cuda else CpuClock(), bench=bench if cuda else None,
        gpu=gpu_id(found.name) if cuda else "cpu",
        provenance=Provenance(
            kind=Kind.MEASURED, date=datetime.now(tz=UTC).date().isoformat(),
            source=f"python -m benchmarks.served_toy: {found.library} on {where}, driver {found.driver or 'none'}",
            note="whole steps, launches and host time included",
        ),
    )  # fmt: skip


def main() -> None:
    """Time steps, serve each load, compare."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", choices=sorted(SETTINGS), default="cuda")
    options.add_argument("--out", type=Path, default=Path("measured-catalog"))
    options.add_argument("--loads", type=lambda text: [float(part) for part in text.split(",")], default=LOADS)
    options.add_argument("--seconds", type=float, help="of arrivals at each load")
    options.add_argument("--anew", action="store_true", help="measure and serve again what is there")
    chosen = options.parse_args()
    try:
        rows = on(chosen.device).serve_loads(chosen.out, chosen.loads, chosen.seconds, anew=chosen.anew)
    except (CatalogError, BadInput) as error:
        sys.exit(str(error))
    for each in rows:
        print(*each.values())


if __name__ == "__main__":
    main()
