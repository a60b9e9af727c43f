"""One long request alone on the engine of plans: its prompt streams through stages, its cache lies in KV groups."""

from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from hw_catalog.engines import EngineTiming
from hw_catalog.machines import Machine
from hw_catalog.profiles import KernelProfile
from planner.perf.instance import InstancePhysics, Streaming, instance_physics
from planner.perf.kv import EngineSettings
from planner.perf.layout import Layout, Role
from planner.perf.parallel import token_floor_s
from planner.perf.power import Unmetered
from planner.perf.step_time import StepTime
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.books import Window
from planner.simulator.pools import PoolModel
from planner.simulator.serve import serve
from workloads.models import ModelSpec
from workloads.traces import plain_trace

CHUNK_TOKENS = 2048
"""Of every chunk of a prompt; a step of p stages takes in p of them."""

OUTPUT_TOKENS = 9
"""After which a context is hardly longer; the mean of eight steps is the time of a token."""

BANDWIDTH_FRAC = 0.9
"""Of the memory bandwidth; published are up to 92 %."""

NEVER_S = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What became of the request.

    Attributes:
        ttft_s: time to first token.
        token_s: time of a token after it.
    """

    ttft_s: float
    token_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Served:
    """A model on servers of eight GPUs, one tensor-parallel group on each.

    Attributes:
        model: sizes.
        machine: the server.
        profile: measured surfaces at tp 8.
        step: step time of one tensor-parallel group, of kernels alone.
        timing: what the engine adds to them.
        known: what was served once: (prompt, stages, groups, tokens of a group) -> what became of it.
    """

    model: ModelSpec
    machine: Machine
    profile: KernelProfile
    step: StepTime
    timing: EngineTiming
    known: dict[tuple[int, int, int, int], Alone] = field(default_factory=dict)

    def alone(self, prompt_tokens: int, *, pp: int = 1, kvp: int = 1, group_tokens: int | None = None) -> Alone:
        """Serve one request.

        Args:
            prompt_tokens: of it.
            pp: pipeline stages.
            kvp: KV groups.
            group_tokens: cached tokens at which the next group joins; 1 is all from the start, None such that all are
                full at the end.
        """
        size = ceil((prompt_tokens + OUTPUT_TOKENS) / kvp) if group_tokens is None else group_tokens
        key = (prompt_tokens, pp, kvp, size)
        if key not in self.known:
            self.known[key] = self._served(*key)
        return self.known[key]

    def floor_s(self, context_tokens: int, kvp: int = 1) -> float:
        """What reading weights and cache takes at nine tenths of the bandwidth."""
        return token_floor_s(
            self.model, Layout(tp=self.profile.tp, kvp=kvp), context_tokens, dtype="bf16", kv_dtype="bf16",
            hbm_bytes_per_s=BANDWIDTH_FRAC * self.machine.gpu.hbm_bytes_per_s,
        )  # fmt: skip

    def _served(self, prompt_tokens: int, pp: int, kvp: int, group_tokens: int) -> Alone:
        most = CHUNK_TOKENS * pp
        pool = PoolModel(
            name="alone", role=Role.MIXED, physics=self._physics(most, pp, kvp, group_tokens), instances=1, speed=1.0,
            classes=frozenset({0}), chunk_tokens=most,
        )  # fmt: skip
        lengths = (np.array([tokens]) for tokens in (prompt_tokens, OUTPUT_TOKENS))
        trace = plain_trace("alone", np.zeros(1), *lengths, duration_s=1.0)
        window = Window(first=0, last=1, slices=1, start_s=0.0, end_s=NEVER_S)
        rules = policy("mnemosyne", PolicySection(max_batch_tokens=most))
        found = serve([pool], rules, trace, window, cutoff_s=NEVER_S).ledger
        first_s, last_s = float(found.ttft_s[0]), float(found.e2e_s[0])
        assert last_s < NEVER_S, f"{prompt_tokens:,} tokens: more than the memory of the layout holds"
        return Alone(ttft_s=first_s, token_s=(last_s - first_s) / (OUTPUT_TOKENS - 1))

    def _physics(self, max_batch_tokens: int, pp: int, kvp: int, group_tokens: int) -> InstancePhysics:
        body = instance_physics(
            self.model, self.machine, Layout(tp=self.profile.tp, pp=pp, kvp=kvp), self.profile,
            EngineSettings(memory_frac=0.9, max_batch_tokens=max_batch_tokens), timing=self.timing,
            streaming=Streaming(group_tokens=group_tokens),
        )  # fmt: skip
        return replace(body, power=Unmetered())  # nothing here is said of watts
