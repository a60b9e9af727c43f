"""The claims of Mnemosyne (arXiv 2409.17264, since version 2 Medha), one by one.

Version 1 is at hand as its abstract alone; all other numbers are those of version 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from planner.perf.layout import Layout
from planner.perf.parallel import (
    chunk_times_s,
    hop_s,
    kv_groups,
    longest_share_tokens,
    merge_s,
    pipelined_s,
    prefill_flops,
    token_floor_s,
)  # fmt: skip
from planner.perf.step_time import StepTime
from planner.reproduce.claims import Claim, bound, claim
from workloads.models import ModelSpec

EVERY_PAIR, CAUSAL = "roofline, every pair", "roofline, causal"
"""Conventions for the operations of attention: all n² pairs, or the half that a causal mask leaves."""
FORMULA = "formula"
SURFACES = "surfaces"
"""Step times of the catalog's H100, vLLM 0.24; prefill attention beyond its last knots goes on along its
last slope, decode attention beyond 131,072 tokens is read at equal total tokens."""

M = 10**6
H100_FLOPS, H100_BYTES_PER_S = 989e12, 3.35e12
UTILISATION_FRAC = 0.55
"""Of the peak: the middle of the published 50 to 60 %."""
BANDWIDTH_FRAC = 0.9
"""Of the memory bandwidth; published are up to 92 %."""
LATENCY_S, LINK_BYTES_PER_S = 10e-6, 50e9
"""Of InfiniBand between servers, one port of 400 Gb/s for each GPU."""
TP = 8
CHUNK_TOKENS = 2048
CLOSE_FRAC = 0.05
"""Read off figures and rounded text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model with its step time on eight H100.

    Attributes:
        model: sizes.
        step: step time at tp 8.
    """

    model: ModelSpec
    step: StepTime

    def ttft_s(self, prompt_tokens: int, *, pp: int, kvp: int = 1, joining: bool = True) -> float:
        """Prefill of a prompt alone, its chunks streaming through the stages.

        Its KV cache fills one group after the other (``joining``), or is spread evenly from the first token.
        """
        group = -(-prompt_tokens // kvp) if joining else 1
        link = {"latency_s": LATENCY_S, "bandwidth_bytes_per_s": LINK_BYTES_PER_S * TP}
        chunks = chunk_times_s(self.step, prompt_tokens, CHUNK_TOKENS, kvp=kvp, group_tokens=group)
        merges = [
            merge_s(self.model, kv_groups(past + CHUNK_TOKENS, group, kvp), CHUNK_TOKENS, **link)
            for past in range(0, prompt_tokens, CHUNK_TOKENS)
        ]
        both = [chunk + merge for chunk, merge in zip(chunks, merges, strict=True)]
        return pipelined_s(both, pp, hop_s(self.model, CHUNK_TOKENS, **link))

    def growing_token_s(self, context_tokens: int, group_tokens: int, *, pp: int, kvp: int) -> float:
        """A token of one request whose cache has filled so many groups: the fullest, then the merge."""
        link = {"latency_s": LATENCY_S, "bandwidth_bytes_per_s": LINK_BYTES_PER_S * TP}
        share = longest_share_tokens(context_tokens, group_tokens, kvp)
        merge = merge_s(self.model, kv_groups(context_tokens, group_tokens, kvp), 1, **link)
        return self.step.decode_s(1, share) + merge + (pp - 1) * hop_s(self.model, 1, **link)

    def token_s(self, context_tokens: int, *, pp: int = 1, kvp: int = 1) -> float:
        """A token of one request alone: every stage in turn, its cache spread evenly over the groups."""
        link = {"latency_s": LATENCY_S, "bandwidth_bytes_per_s": LINK_BYTES_PER_S * TP}
        hops = (pp - 1) * hop_s(self.model, 1, **link)
        return self.step.decode_s(1, context_tokens / kvp) + merge_s(self.model, kvp, 1, **link) + hops

    def floor_s(self, context_tokens: int, kvp: int = 1) -> float:
        """What reading weights and cache takes at nine tenths of the bandwidth."""
        return token_floor_s(
            self.model, Layout(tp=TP, kvp=kvp), context_tokens, dtype="bf16", kv_dtype="bf16",
            hbm_bytes_per_s=BANDWIDTH_FRAC * H100_BYTES_PER_S,
        )  # fmt: skip


def arithmetic(large: Served) -> Iterator[Claim]:
    """Operations of a prompt of a million tokens, counted both ways."""
    for reading, causal in ((EVERY_PAIR, False), (CAUSAL, True)):
        flops = prefill_flops(large.model, M, causal=causal)
        yield _close("70B, 1M tokens: operations, 1e18", 2.8, flops / 1e18, "text", reading, _formula(causal=causal))
        yield _close("70B, 1M tokens: minutes on one H100 at its peak", 48.0, flops / H100_FLOPS / 60, "text", reading,
                     "989e12 operations per second; the text says at least 48")  # fmt: skip


def ttft(small: Served, large: Served) -> Iterator[Claim]:
    """Time to first token, to ten million tokens. Of Fig. 17 only the ends of the axes are at hand."""
    rows = (
        (small, "8B", M, 1, 150.0), (small, "8B", M, 16, 150.0), (small, "8B", 10 * M, 4, 3000.0),
        (small, "8B", 10 * M, 16, 3000.0), (large, "70B", M, 2, 400.0), (large, "70B", M, 16, 400.0),
    )  # fmt: skip
    for served, name, tokens, pp, axis_s in rows:
        title = f"{name}, {tokens // M}M tokens on {TP * pp} H100 (TP{TP} SPP{pp}): TTFT within the axis, s"
        times = {
            EVERY_PAIR: (
                _roofline_s(served.model, tokens, pp, causal=False),
                f"55 % of peak, {_formula(causal=False)}",
            ),
            CAUSAL: (_roofline_s(served.model, tokens, pp, causal=True), f"55 % of peak, {_formula(causal=True)}"),
            SURFACES: (served.ttft_s(tokens, pp=pp), _beyond(served, tokens)),
        }
        for reading, (ours, note) in times.items():
            yield bound(title, axis_s * (1 + CLOSE_FRAC), ours, at_most=True, source="Fig. 17, end of the axis + 5 %",
                        reading=reading, note=note)  # fmt: skip


def utilisation(small: Served, large: Served) -> Iterator[Claim]:
    """Operations over time and peak: what counting every pair does to it."""
    for served, name, paper in ((small, "8B", 0.55), (large, "70B", 0.55)):
        time_s = served.ttft_s(M, pp=16)
        for causal in (False, True):
            ours = prefill_flops(served.model, M, causal=causal) / (time_s * 16 * TP * H100_FLOPS)
            words = "causal pairs" if causal else "every pair"
            yield claim(
                f"{name}, 1M tokens on 128 H100: model FLOPs utilisation, {words} counted", paper, ours, 0.05,
                source="text", reading=SURFACES, note="published are 50 to 60 %; above 1 no kernel can be",
            )  # fmt: skip


def scaling(small: Served, large: Served) -> Iterator[Claim]:
    """How much of p stages becomes speed."""
    for served, name, tokens, pp, paper in ((large, "70B", M, 8, 0.85), (small, "8B", M, 16, 0.70)):
        ours = served.ttft_s(tokens, pp=1) / served.ttft_s(tokens, pp=pp) / pp
        yield _close(f"{name}, 1M tokens: efficiency of SPP {pp}", paper, ours, "text", SURFACES,
                     "fill, drain and hops alone; the paper's own losses are not broken down")  # fmt: skip
    for served, name in ((small, "8B"), (large, "70B")):
        ours = served.ttft_s(M, pp=1) / served.ttft_s(M, pp=8) / 8
        yield bound(
            f"{name}, 1M tokens: efficiency of SPP 8", 0.8, ours, at_most=False, source="text", reading=SURFACES
        )
    slower = large.token_s(M, pp=8) / large.token_s(M) - 1
    note = f"seven hops of one token; engine overheads between stages are not modelled; {_beyond_decode(large, M)}"
    yield _close("70B, 1M tokens: what SPP 8 adds to a token, share", 0.16, slower, "text", SURFACES, note)


def groups(small: Served) -> Iterator[Claim]:
    """What KV groups do to the time of a token of Llama-3-8B at ten million tokens, TP8 SPP4."""
    alone_s = small.token_s(10 * M, pp=4)
    for kvp, says in ((2, "the captions"), (4, "the appendix")):
        note = f"{says} give this degree for 40 %; {_beyond_decode(small, 10 * M / kvp)}"
        yield _close(f"8B, 10M tokens, KVP {kvp}: TPOT saved, share", 0.40,
                     1 - small.token_s(10 * M, pp=4, kvp=kvp) / alone_s, "text", SURFACES, note)  # fmt: skip
        floor = 1 - small.floor_s(10 * M, kvp) / small.floor_s(10 * M)
        yield _close(f"8B, 10M tokens, KVP {kvp}: TPOT saved, share", 0.40, floor, "text", FLOOR, note)
    for reading, ours, more in (
        (SURFACES, small.token_s(10 * M, pp=4, kvp=2), f"; {_beyond_decode(small, 5 * M)}"),
        (FLOOR, small.floor_s(10 * M, 2), ""),
    ):
        yield claim("8B, 10M tokens, KVP 2: TPOT, ms", 33.0, ours * 1e3, 2.0, source="text", reading=reading,
                    note=f"about 30 tokens/s{more}")  # fmt: skip


FLOOR = "floor, 90 % of bandwidth"


def thirty_ms(small: Served, large: Served) -> Iterator[Claim]:
    """The claim of version 1: ten million tokens at less than 30 ms a token."""
    rows = (
        (small, "8B", 10, 2),
        (small, "8B", 10, 4),
        (large, "70B", 2, 2),
        (large, "70B", 10, 4),
        (large, "70B", 10, 8),
    )
    for served, name, millions, kvp in rows:
        title = f"{name}, {millions}M tokens, TP8 KVP{kvp}: a token within 30 ms"
        for reading, ours in (
            (FLOOR, served.floor_s(millions * M, kvp)), (SURFACES, served.token_s(millions * M, pp=4, kvp=kvp)),
        ):  # fmt: skip
            note = _beyond_decode(served, millions * M / kvp) if reading == SURFACES else ""
            yield bound(title, 30.0, ours * 1e3, at_most=True, source="abstract of version 1", reading=reading,
                        note="out of reach" if reading == FLOOR and ours > 0.03 else note)  # fmt: skip


def three_dimensions(large: Served) -> Iterator[Claim]:
    """SPP4 KVP2 against SPP8 on 64 H100, one request of two million tokens."""
    note = "published under load, 1.75 requests/s with 5 % of 2M tokens; here one request alone"
    yield bound("70B, 2M tokens, 64 H100: TPOT of SPP8 over SPP4 KVP2", 2.0,
                large.token_s(2 * M, pp=8) / large.token_s(2 * M, pp=4, kvp=2), at_most=False, source="text",
                reading=SURFACES, note=f"{note}; {_beyond_decode(large, 2 * M)}")  # fmt: skip
    for joining, words in ((False, "both groups from the start"), (True, "the second group joins half-way")):
        ratio = large.ttft_s(2 * M, pp=4, kvp=2, joining=joining) / large.ttft_s(2 * M, pp=8)
        yield claim(f"70B, 2M tokens, 64 H100: TTFT of SPP4 KVP2 over SPP8, {words}", 1.0, ratio, 0.1, source="text",
                    reading=SURFACES, note=f"about equal, says the text; {note}")  # fmt: skip


def growing(small: Served, large: Served) -> Iterator[Claim]:
    """Groups that join as a context grows: the published demonstration, 2M tokens on TP8 SPP4 KVP4."""
    group = 2 * M // 4
    for words, context, servers in (("its first token", 1, 4), ("its last", 2 * M, 16)):
        yield claim(f"2M tokens, TP8 SPP4 KVP4: servers at {words}", servers, 4 * kv_groups(context, group, 4), 0.0,
                    source="figure", reading=FORMULA, note="groups of 500,000 tokens")  # fmt: skip
    for served, name in ((small, "8B"), (large, "70B")):
        for joining, words in ((True, "groups join"), (False, "all groups from the start")):
            yield claim(f"{name}, 2M tokens, TP8 SPP4 KVP4: prefill, {words}, s", 90.0,
                        served.ttft_s(2 * M, pp=4, kvp=4, joining=joining), 10.0, source="figure", reading=SURFACES,
                        note="80 to 100 s; of which model is not said")  # fmt: skip
    for context in (M, 5 * M // 2, 5 * M, 10 * M):
        ours = small.growing_token_s(context, 5 * M // 2, pp=4, kvp=4)
        groups = kv_groups(context, 5 * M // 2, 4)
        yield claim(f"8B, KVP 4 growing to 10M tokens: a token at {context / M:g}M, ms", None, ours * 1e3, 0.0,
                    source="none published", reading=SURFACES,
                    note=f"{groups} of 4 groups at work; {_beyond_decode(small, 10 * M / 4)}")  # fmt: skip


def chunks(small: Served, large: Served) -> Iterator[Claim]:
    """What small chunks cost in attention, and large ones in the gaps of others."""
    attention = {
        size: sum(
            large.step.prefill_s([(size, past)]) - large.step.prefill_s([(size, 0)])
            for past in range(0, M, 64 * size)
        ) * 64
        for size in (32, CHUNK_TOKENS)
    }  # fmt: skip
    yield _close("70B TP8, 1M tokens: attention in chunks of 32 over chunks of 2,048", 9.17 / 8.31,
                 attention[32] / attention[CHUNK_TOKENS], "Fig. 3b", SURFACES,
                 "every 64th chunk; the catalog's chunks on a past are derived and bounded by a decode")  # fmt: skip
    step_ms = small.step.prefill_s([(512, M)]) * 1e3
    yield _close("8B on 8 H100: a step with a chunk of 512 at 1M tokens, ms", 250.0, step_ms, "text", SURFACES,
                 f"tp 8; how the paper lays out its eight GPUs is not said; {_beyond(small, M)}")  # fmt: skip


def underivable() -> Iterator[Claim]:
    """What needs systems that are not modelled, or configurations that are not published."""
    for name, source, note in (
        ("8B, 128 H100: 1.64x faster than context parallelism", "text", "context parallelism is not modelled"),
        ("throughput 5.7x LoongServe, median TTFT 30x and p99 174x lower", "text", "LoongServe is not modelled"),
        ("multi-prefill packing 1.6-1.8x lower latency than slack ordering alone", "text", "its load is not at hand"),
        ("separate pools cost up to 20 % of long completions", "text", "their sizes are not at hand"),
        ("preemption 16-86x finer than context parallelism", "figure", "context parallelism is not modelled"),
    ):  # fmt: skip
        yield claim(name, None, None, 0.0, source=source, reading=SURFACES, note=note)


def _roofline_s(model: ModelSpec, tokens: int, pp: int, *, causal: bool) -> float:
    """Operations over 55 % of the peak of all GPUs; fill, drain and hops left out, as the paper does."""
    return prefill_flops(model, tokens, causal=causal) / (TP * pp * H100_FLOPS * UTILISATION_FRAC)


def _close(name: str, paper: float, ours: float, source: str, reading: str, note: str = "") -> Claim:
    """A claim within 5 % of the published value."""
    return claim(name, paper, ours, CLOSE_FRAC * paper, source=source, reading=reading, note=note)


def _formula(*, causal: bool) -> str:
    """How the operations were counted."""
    return f"operations 2·parameters·n + {2 if causal else 4}·n²·width·layers"


def _beyond(served: Served, tokens: int) -> str:
    """What of the surfaces is extrapolated."""
    measured = served.step.max_past_tokens
    return f"prefill attention beyond {measured:,} past tokens is extrapolated" if tokens > measured else ""


def _beyond_decode(served: Served, share_tokens: float) -> str:
    """What of a token's time is extrapolated, of so many tokens in one group."""
    measured = served.step.max_context_tokens
    words = f"decode attention beyond {measured:,} tokens is extrapolated at equal total tokens (assumes split-KV)"
    return words if share_tokens > measured else ""
