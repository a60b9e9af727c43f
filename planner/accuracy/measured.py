"""Measured runs of real engines: what was served, how it was asked, and what came out."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.perf.layout import Layout, Role
from planner.policies.batching import ChunkForm


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Equal engine processes of a run.

    Attributes:
        role: phase they work on.
        workers: how many.
        tp: tensor-parallel GPUs of an attention rank of each.
        ep: expert-parallel ways over all ranks.
        dp: attention ranks of each.
        max_batch_size: requests that one of them serves at once; None where the table does not say.
        max_batch_tokens: prompt tokens of one attention rank in a step; None where the table does not say.
    """

    role: Role
    workers: int
    tp: int
    ep: int
    dp: int = 1
    max_batch_size: int | None = None
    max_batch_tokens: int | None = None

    @property
    def gpus(self) -> int:
        """GPUs of all of them."""
        return self.workers * self.tp * self.dp

    @property
    def layout(self) -> str:
        """For example ``tp1dp8ep8``."""
        return Layout(tp=self.tp, ep=self.ep, dp=self.dp).name


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """One row of a table, in our terms.

    Attributes:
        row: file and line.
        dataset: name of the file, without its ending.
        engine: for example ``vllm``.
        engine_version: as the table gives it; empty where it does not.
        model: catalog id.
        gpu: catalog id.
        dtype: of the weights.
        kv_dtype: of the KV cache.
        fleet: what served.
        prompt_tokens: nominal length of a prompt.
        shared_tokens: of those, a system prompt that many requests begin with.
        distinct_prompts: after as many requests the same prompts come again, whole; 0 where a run before left them all;
            None where no prompt comes again.
        output_tokens: nominal length of an answer.
        shortest_frac: lengths were drawn evenly between this share of the nominal ones and all of it.
        rate_req_per_s: open loop at this rate; None in a closed loop.
        clients: closed loop with as many requests in flight; None in an open loop.
        requests: how many were sent.
        warm: what is reported begins in steady state; False where it begins with all clients at once.
        step_tokens: most tokens in one step.
        form: how prompts are cut and mixed with decodes; None computes them whole.
        mode: one of ``hw_catalog.engines.MODES``, where the engine ran so.
        wait_steps: steps a prompt waits for others, so that prompts are computed together.
        poisson: requests of an open loop come at random; otherwise evenly spaced.
        draft_tokens: that every decode step verifies beside its own (multi-token prediction).
        answered_by: role that sends first tokens of a disaggregated run.
        layouts_said: whether the table says what served, layout and draft length among it.
        cold_ratio: work of a prompt that comes for the first time, over that of its tokens.
        figures: metric -> measured value, for example ``ttft_mean_s`` or ``output_tokens_per_s_per_gpu``.
    """

    row: str
    dataset: str
    engine: str
    engine_version: str
    model: str
    gpu: str
    dtype: str
    kv_dtype: str
    fleet: tuple[Workers, ...]
    prompt_tokens: int
    shared_tokens: int
    distinct_prompts: int | None
    output_tokens: int
    shortest_frac: float
    rate_req_per_s: float | None
    clients: int | None
    requests: int
    warm: bool
    step_tokens: int
    figures: Mapping[str, float]
    form: ChunkForm | None = ChunkForm.STALL_FREE
    mode: str = ""
    wait_steps: float = 0.0
    poisson: bool = False
    draft_tokens: int = 0
    answered_by: Role = Role.PREFILL
    layouts_said: bool = False
    cold_ratio: float = 1.0

    @property
    def kind(self) -> str:
        """How it was run."""
        if any(w.role is Role.PREFILL for w in self.fleet):
            return "disaggregated"
        if self.rate_req_per_s is not None:
            return "open loop"
        return "maximum load" if self.clients is None else "closed loop"

    @property
    def layout(self) -> str:
        """Of the workers that decode, for example ``tp1dp8ep8``."""
        return self.fleet[-1].layout

    @property
    def gpus(self) -> int:
        """GPUs of the fleet."""
        return sum(w.gpus for w in self.fleet)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A row that is not compared, and why."""

    row: str
    reason: str


class Skip(ValueError):  # noqa: N818  an answer, not a failure
    """A row that cannot be replayed as it was run; says why."""


MOST_REQUESTS = 10_000
"""Sent in one open-loop replay; the tables' runs are longer but stationary."""
ROUNDS = 10
"""Requests of a closed-loop replay per client: what InferenceX and NVIDIA's client send."""
MOST_CLIENTS = 16384
"""Requests in flight at most: beyond it a row is taken for a mistake."""

COLD_RATIO, COLD_ROUNDS = 1.2, 2
"""Work of the first prompts of an engine over that of their nominal tokens, and how often each is computed until the
prefix cache holds it. Chosen by P99 of first tokens on 12 first stages of dense models in even rows of
``sim2real_vllm015.csv`` (15 to 7 % off, against one round and 1.4); 20 to 5 % in 6 odd ones. The client sends random
tokens as text, which may come back as more, and its users speak in turns: why it is twice was not established."""
