"""The kernel profile of the toy model of ``toy_model.py``: whole steps of it, timed on the device that serves it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.toy_model import ToyModel
from benchmarks.toy_server import Clock, Job, Limits, Pages, Server, jobs_of, serve
from hw_catalog.profiler import PROFILE_SET, filled
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Provenance
from workloads.traces import Trace

MODEL = "toy"
ROUNDS, FEWEST_SAMPLES = 3, 2
"""Over all knots, and samples of each in one of them."""
LEAST_S = 1e-6
"""Of the rest of a step beside its attention, where both are within noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is measured, and how long.

    Attributes:
        limits: of the server.
        tokens: knots of prompts, tokens.
        batch: knots of decode steps, requests.
        context_tokens: knots of their mean context.
        point_s: seconds spent on each knot.
        shrink_ratio: lengths of the workload are divided by.
        serve_s: seconds of arrivals at each load.
    """

    limits: Limits
    tokens: tuple[int, ...]
    batch: tuple[int, ...]
    context_tokens: tuple[int, ...]
    point_s: float
    shrink_ratio: float
    serve_s: float

    @property
    def longest_tokens(self) -> int:
        """Of a prompt: what a step holds."""
        return self.limits.max_tokens


SETTINGS = {
    "cuda": Setting(
        limits=Limits(max_tokens=4096, max_requests=64, pages=16384),
        tokens=(1, 16, 64, 128, 256, 512, 1024, 2048, 4096), batch=(1, 2, 4, 8, 16, 32, 64),
        context_tokens=(1, 256, 1024, 2048, 4096), point_s=0.3, shrink_ratio=1.0, serve_s=60.0,
    ),
    "cpu": Setting(
        limits=Limits(max_tokens=512, max_requests=32, pages=1024),
        tokens=(1, 8, 32, 64, 128, 256, 512), batch=(1, 2, 4, 8, 16, 32), context_tokens=(1, 64, 256, 512),
        point_s=0.15, shrink_ratio=8.0, serve_s=20.0,
    ),
}  # fmt: skip
"""By device; about five and one and a half minutes with three loads."""


Key = tuple[str, int, int]
"""What is timed, and at which sizes."""


@dataclass(frozen=True, slots=True)
class Call:
    """Something to time.

    Attributes:
        run: does it.
        times: how often for one sample.
    """

    run: Callable[[], object]
    times: int = 1


class Nothing:
    """A runner that computes nothing: what a step takes under it is the server's own time."""

    def step(self, prompts: Sequence[Job], decodes: Sequence[Job]) -> list[int]:
        """A token for each."""
        return [0] * (len(prompts) + len(decodes))


def loop_s(setting: Setting, clock: Clock, trace: Trace) -> float:
    """Seconds of the server's own loop a step, all requests of a trace being there at once."""
    server = Server(Nothing(), setting.limits)
    return serve(server, jobs_of(trace, 10), [0.0] * len(trace), clock) / server.steps


def held(limits: Limits, count: int, tokens: int) -> list[Job]:
    """Jobs of so many tokens, with pages."""
    pages = Pages(limits.pages, limits.page_tokens)
    jobs = [Job(number=n, tokens=[1] * tokens, prompt_tokens=tokens, output_tokens=2) for n in range(count)]
    for job in jobs:
        pages.give(job, tokens + 1)
    return jobs


def fits(limits: Limits, count: int, tokens: int) -> bool:
    """Whether the cache holds so many jobs of so many tokens."""
    return count * -(-(tokens + 1) // limits.page_tokens) <= limits.pages


def timed(model: ToyModel, setting: Setting, clock: Clock, calls: Mapping[Key, Call]) -> dict[Key, float]:
    """Median seconds of every call, in rounds, so that a slow minute falls on all of them."""
    samples: dict[Key, list[float]] = {key: [] for key in calls}
    for _ in range(ROUNDS):
        for key, call in calls.items():
            call.run()
            model.sync()
            end_s, enough = clock.now_s() + setting.point_s / ROUNDS, len(samples[key]) + FEWEST_SAMPLES
            while len(samples[key]) < enough or clock.now_s() < end_s:
                before_s = clock.now_s()
                for _ in range(call.times):
                    call.run()
                model.sync()
                samples[key].append(clock.now_s() - before_s)
    return {key: float(np.median(found)) for key, found in samples.items()}


def calls_of(model: ToyModel, setting: Setting) -> dict[Key, Call]:
    """Whole steps at every knot that the cache holds; attention of prompts and of the shortest contexts alone."""
    limits, layers = setting.limits, model.sizes.layers
    calls: dict[Key, Call] = {}
    for tokens in setting.tokens:
        calls["prompt", tokens, 0] = Call(partial(model.step, held(limits, 1, tokens), []))
        calls["attention of a prompt", tokens, 0] = Call(model.attention_of_prompt(tokens), layers)
    for batch in setting.batch:
        for context in setting.context_tokens:
            if fits(limits, batch, context):
                calls["decode", batch, context] = Call(partial(model.step, [], held(limits, batch, context)))
        least = setting.context_tokens[0]
        calls["attention of a batch", batch, least] = Call(model.attention_of_batch(held(limits, batch, least)), layers)
    return calls


def measured(
    model: ToyModel, setting: Setting, clock: Clock, *, loop: float, gpu: str, provenance: Provenance
) -> KernelProfile:
    """Whole steps: what is not attention at the shortest context is the rest of a step, what comes on top is attention.

    Args:
        model: that is timed.
        setting: where, and how long.
        clock: that times it.
        loop: seconds of the server around a step.
        gpu: catalog id, or ``cpu``.
        provenance: of the profile.
    """
    found = timed(model, setting, clock, calls_of(model, setting))
    contexts, least = setting.context_tokens, setting.context_tokens[0]
    alone = np.array([found["attention of a prompt", n, 0] for n in setting.tokens])
    whole = np.array([found["prompt", n, 0] for n in setting.tokens])
    short = np.array([found["attention of a batch", b, least] for b in setting.batch])
    steps = np.array([[found.get(("decode", b, c), np.nan) for c in contexts] for b in setting.batch])
    rest = np.maximum(steps[:, 0] - short, LEAST_S)
    beside, guessed = filled(
        np.maximum(steps - rest[:, None], short[:, None]), np.outer(setting.batch, contexts).astype(np.float64)
    )
    return KernelProfile(
        gpu=gpu, model=MODEL, dtype="bf16", kv_dtype="bf16", tp=1, ep=1, engine="toy", engine_version="1",
        profile_set=PROFILE_SET, overhead_s=loop, tokens=np.array(setting.tokens),
        linear_prefill_s=np.maximum(whole - alone, LEAST_S), batch=np.array(setting.batch), linear_decode_s=rest,
        new_tokens=np.array(setting.tokens), past_tokens=np.array([0, setting.tokens[-1]]),
        prefill_attention_s=np.stack((alone, 3 * alone), axis=1), attention_batch=np.array(setting.batch),
        context_tokens=np.array(contexts), decode_attention_s=beside, decode_extrapolated=guessed,
        prefill_extrapolated=np.array([[False, True]] * len(alone)), measured_frac=1.0, provenance=provenance,
    )  # fmt: skip
