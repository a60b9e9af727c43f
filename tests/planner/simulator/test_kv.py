"""Laws of KV memory: how much there is, and how a decoding batch fills it."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_catalog.engine_memory import engine_memory
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.instance import instance_physics
from planner.perf.kv import EngineSettings, blocks, kv_tokens
from planner.perf.layout import Layout
from planner.simulator.core import memory
from workloads.models import load_model

LLAMA = load_model("llama-3.1-70b")
H100_BYTES = 85_520_809_984.0
ENGINE = engine_memory("vllm", "0.24.0")
REFERENCE: dict[str, Any] = {
    "hbm_bytes": H100_BYTES, "layout": Layout(tp=4), "dtype": "bf16", "kv_dtype": "bf16", "memory_frac": 0.9,
    "max_batch_tokens": 8192,
}  # fmt: skip

STARTED = ("memory_frac", "max_batch_tokens")


def held(given_knobs: dict[str, Any]) -> float:
    """KV tokens of the model, engine settings and sizes in one table."""
    settings = EngineSettings(**{key: given_knobs[key] for key in STARTED})
    return kv_tokens(LLAMA, ENGINE, settings, **{k: v for k, v in given_knobs.items() if k not in STARTED})


@given(
    hbm_bytes=st.floats(16.0, 300.0).map(lambda gib: gib * 2**30),
    memory_frac=st.floats(0.5, 1.0),
    tp=st.sampled_from([1, 2, 4, 8]),
    tokens=st.integers(1, 32_768),
    more=st.floats(1.0, 2.0),
)
def test_more_memory_never_holds_fewer_tokens(
    hbm_bytes: float, memory_frac: float, tp: int, tokens: int, more: float
) -> None:
    """Capacity grows with memory and with the share the engine may use, and shrinks with the tokens of a step."""
    given_knobs = {
        **REFERENCE, "hbm_bytes": hbm_bytes, "memory_frac": memory_frac, "layout": Layout(tp=tp),
        "max_batch_tokens": tokens,
    }  # fmt: skip
    base = held(given_knobs)
    assert held({**given_knobs, "hbm_bytes": hbm_bytes * more}) >= base
    assert held({**given_knobs, "memory_frac": min(1.0, memory_frac * more)}) >= base
    assert held({**given_knobs, "max_batch_tokens": int(tokens * more)}) <= base
    assert held({**given_knobs, "layout": Layout(tp=2 * tp)}) >= base


def test_a_smaller_format_holds_more() -> None:
    """Weights of half the size leave room for more tokens, and a KV cache of half the size holds twice as many."""
    base = held(REFERENCE)
    assert held({**REFERENCE, "dtype": "fp8"}) > base
    assert held({**REFERENCE, "kv_dtype": "fp8"}) == pytest.approx(2 * base)


def test_the_cache_is_not_split_beyond_its_heads() -> None:
    """A model with eight KV heads keeps them twice over on sixteen GPUs: more GPUs no longer divide the cache."""
    per_gpu = {tp: (held({**REFERENCE, "hbm_bytes": 300 * 2**30, "layout": Layout(tp=tp)})) for tp in (8, 16)}
    assert per_gpu[16] < 1.1 * per_gpu[8]


def test_an_instance_without_room_has_no_blocks() -> None:
    """Where the weights alone overflow the GPU there are no KV blocks, rather than fewer than none."""
    machine = load_catalog().machines["dgx-h100"]
    profile = load_profiles(None, model="llama-3.1-70b", gpu="h100-sxm", profile_set="aiconfigurator-0.12")[0]
    small, large = (
        instance_physics(
            LLAMA,
            machine,
            Layout(tp=tp),
            profile,
            EngineSettings(memory_frac=0.9, max_batch_tokens=2048, block_tokens=16),
        )
        for tp in (1, 8)
    )
    assert (small.kv_blocks, small.kv_tokens, small.instances_per_machine) == (0, 0, 8)
    assert large.kv_blocks > 0
    assert (large.kv_tokens, large.instances_per_machine) == (16 * large.kv_blocks, 1)


@given(tokens=st.integers(0, 10_000), block_tokens=st.integers(1, 64))
def test_blocks_hold_their_tokens_without_one_to_spare(tokens: int, block_tokens: int) -> None:
    """The blocks of a context hold it, and one block fewer would not."""
    count = blocks(tokens, block_tokens)
    assert (count - 1) * block_tokens < tokens <= count * block_tokens


HELD = st.lists(st.tuples(st.integers(1, 500), st.integers(0, 40)), min_size=1, max_size=20)


def batch(held: list[tuple[int, int]], step: int, block_tokens: int) -> Any:
    """A world of one lane after so many steps; its requests hold so many tokens and joined after such a step."""
    lane = SimpleNamespace(body=0, batch=len(held), steps=step)
    world = SimpleNamespace(
        lanes=[lane], bodies=[SimpleNamespace(block_tokens=block_tokens)], residues=[0] * block_tokens,
        cluster=[SimpleNamespace(residue_rows=block_tokens, reserving=0)],
    )  # fmt: skip
    for tokens, joined in held:
        world.residues[memory.residue(world, 0, tokens, joined)] += 1  # type: ignore[arg-type]
    return world


@given(held=HELD, step=st.integers(40, 80), steps=st.integers(0, 100), block_tokens=st.sampled_from([1, 7, 16]))
def test_growth_is_counted_in_closed_form(
    held: list[tuple[int, int]], step: int, steps: int, block_tokens: int
) -> None:
    """A batch needs the blocks that its requests need one by one, each a token longer with every step.

    A request that holds h tokens when it joins writes its next token, and so holds h + s tokens after s steps.
    """
    one_by_one = sum(
        blocks(tokens + step + steps - joined, block_tokens) - blocks(tokens + step - joined, block_tokens)
        for tokens, joined in held
    )
    assert memory.growth(batch(held, step, block_tokens), 0, steps) == one_by_one


@given(held=HELD, step=st.integers(40, 80), free=st.integers(0, 300), block_tokens=st.sampled_from([1, 7, 16]))
def test_a_run_ends_when_memory_does(held: list[tuple[int, int]], step: int, free: int, block_tokens: int) -> None:
    """The longest run that fits needs no more blocks than are free, and one step more would."""
    world = batch(held, step, block_tokens)
    fits = memory.steps_that_fit(world, 0, free, 1 << 40)
    assert memory.growth(world, 0, fits) <= free < memory.growth(world, 0, fits + 1)
