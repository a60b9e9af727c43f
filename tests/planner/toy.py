"""A toy instance whose step times are simple formulas, for tests that need physics but no catalog."""

from dataclasses import replace
from typing import Any

import numpy as np

from hw_catalog.links import Link
from hw_catalog.power import SHARE_KNOTS
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance
from planner.perf.instance import InstancePhysics
from planner.perf.layout import Role
from planner.perf.power import WattTerms
from planner.perf.step_time import StepTime
from planner.policies.base import Policy
from planner.policies.batching import ChunkForm, Continuous
from planner.policies.presets import policy
from planner.scenario.policy_section import PolicySection
from planner.simulator.pools import PoolModel
from workloads.traces import Trace

TOY = Provenance(kind=Kind.ASSUMED, source="toy", date="2026-01-01")


def toy_profile(
    *,
    token_s: float = 1e-4,
    base_s: float = 0.01,
    decode_base_s: float = 0.02,
    request_s: float = 1e-4,
    context_s: float = 1e-8,
    bend: bool = True,
    short: bool = False,
) -> KernelProfile:
    """Linear surfaces with a bend in the context and a dip in the batch: corners for the closed forms to turn.

    A ``short`` table of decode attention ends at 333 tokens, and reads many tokens faster than few.
    """
    batch = np.array([1, 2, 8, 64, 256])
    context = np.array([1, 100, 333, 2000, 100_000])
    bent = np.where(context > 333, context, context * 0.5 + (50 if bend else 0)) if bend else context
    attention_s = context_s * np.outer(batch, bent)
    if short:
        context, attention_s = context[:3], context_s * np.outer(batch, bent[:3]) ** 0.9
    tokens = np.array([1, 64, 65, 128, 129, 8192])
    return KernelProfile(
        gpu="toy", model="toy", dtype="bf16", kv_dtype="bf16", tp=1, ep=1, engine="toy", engine_version="0",
        profile_set="toy", overhead_s=0.0, tokens=tokens,
        linear_prefill_s=base_s + token_s * tokens + np.array([0, 0, 1e-3, 1e-3, 2e-3, 2e-3]) * bend,
        batch=batch, linear_decode_s=decode_base_s + request_s * batch + np.array([0, -1e-4, 0, 0, 0]) * bend,
        new_tokens=np.array([1, 8192]), past_tokens=np.array([0, 8192]),
        prefill_attention_s=np.array([[0.0, 0.0], [0.0, 0.0]]) if not bend else np.array([[0.0, 1e-4], [0.05, 0.1]]),
        attention_batch=batch, context_tokens=context, decode_attention_s=attention_s,
        decode_extrapolated=np.zeros(attention_s.shape, bool), prefill_extrapolated=np.zeros((2, 2), bool),
        measured_frac=1.0, provenance=TOY,
    )  # fmt: skip


def toy_physics(
    *, kv_blocks: int = 10_000, bandwidth_bytes_per_s: float = 1e9, latency_s: float = 1e-3, sync_s: float = 2e-3,
    instances_per_machine: int = 1, profile: KernelProfile | None = None,
) -> InstancePhysics:  # fmt: skip
    """One toy replica: 16-token blocks, 1,000 bytes of KV per token, 10 layers."""
    link = Link(
        name="toy", bandwidth_bytes_per_s=bandwidth_bytes_per_s, latency_s=latency_s, sync_s=sync_s, provenance=TOY
    )
    return InstancePhysics(
        step=StepTime(profile or toy_profile()), kv_blocks=kv_blocks, block_tokens=16, kv_bytes_per_token=1000.0,
        layers=10, link=link, instances_per_machine=instances_per_machine,
    )  # fmt: skip


def flat_terms(prefill_above_w: float, decode_above_w: list[float]) -> WattTerms:
    """Watts above idle that depend on nothing but, in decode-only steps, on the batch."""
    decodes = np.array(decode_above_w)
    return WattTerms(
        gpus=1, base_w=prefill_above_w, compute_w=0.0, bandwidth_w=0.0, output_w=0.0, memory_w=0.0, room_w=1e9,
        most_w=1e9, hit_ratio=0.0, tile_tokens=1, token_flops=0.0, expert_flops=0.0, pair_flops=0.0, weight_bytes=0.0,
        expert_bytes=0.0, kv_bytes=0.0, correction_ratio=decodes / prefill_above_w,
        clocked_ratio=np.ones(SHARE_KNOTS), full_clock=StepTime(toy_profile()),
    )  # fmt: skip


def toy_policy(name: str, *, max_batch_size: int = 64, kv_transfer: str = "auto", **knobs: Any) -> Policy:
    """A preset with small knobs; forms of chunks that no scenario may name are set on the policy itself."""
    form = ChunkForm(knobs.pop("chunk_form", "stall-free"))
    names = ("gap_s", "ttft_limits_s", "output_tokens", "long", "priorities")
    outside = {key: knobs.pop(key) for key in names if key in knobs}
    given = {"max_batch_size": max_batch_size, "kv_transfer": kv_transfer, "layerwise_from_tokens": 300, **knobs}
    made = policy(name, PolicySection(**given), **outside)
    assert isinstance(made.batching, Continuous)
    keeps = made.batching.form is ChunkForm.ADAPTIVE  # the preset's own
    return made if keeps else replace(made, batching=replace(made.batching, form=form))


def toy_pools(
    name: str, *, prefills: int = 2, decodes: int = 2, physics: InstancePhysics | None = None,
    chunk_tokens: int | None = None,
) -> list[PoolModel]:  # fmt: skip
    """Pools for a policy: ``prefills`` + ``decodes`` instances when split, their sum when colocated."""
    physics = physics or toy_physics()
    parts = (
        [(Role.PREFILL, prefills), (Role.DECODE, decodes)]
        if name == "splitwise"
        else [(Role.MIXED, prefills + decodes)]
    )
    return [
        PoolModel(
            name=f"{role}/toy/tp1", role=role, physics=physics, instances=n, speed=1.0, classes=frozenset({0}),
            chunk_tokens=chunk_tokens,
        )
        for role, n in parts
    ]  # fmt: skip


def toy_trace(arrival_s: list[float], prompt: list[int], output: list[int]) -> Trace:
    """A trace of one class from three lists."""
    return Trace(
        name="toy", arrival_s=np.asarray(arrival_s, float), prompt_tokens=np.asarray(prompt, np.int64),
        output_tokens=np.asarray(output, np.int64), class_index=np.zeros(len(prompt), np.int64),
        duration_s=float(arrival_s[-1]) + 1.0,
    )  # fmt: skip


def random_trace(seed: int, n: int, rate_req_per_s: float, *, prompt_max: int = 900, output_max: int = 120) -> Trace:
    """Poisson arrivals with uniform lengths."""
    rng = np.random.default_rng(seed)
    return toy_trace(
        np.cumsum(rng.exponential(1 / rate_req_per_s, n)).tolist(),
        rng.integers(1, prompt_max, n).tolist(),
        rng.integers(1, output_max, n).tolist(),
    )
