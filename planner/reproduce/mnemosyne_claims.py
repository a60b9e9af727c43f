"""The claims of Mnemosyne (arXiv 2409.17264, since version 2 Medha), one by one.

Version 1 is at hand as its abstract alone; all other numbers are those of version 5.
"""

from collections.abc import Iterator

from planner.perf.parallel import kv_groups, prefill_flops
from planner.reproduce.claims import Claim, bound, claim
from planner.reproduce.long_alone import CHUNK_TOKENS, Served
from workloads.models import ModelSpec

EVERY_PAIR, CAUSAL = "roofline, every pair", "roofline, causal"
"""Conventions for the operations of attention: all n² pairs, or the half that a causal mask leaves."""
FORMULA = "formula"
SURFACES = "surfaces"
"""Step times of the catalog's H100, vLLM 0.24; prefill attention beyond its last knots goes on along its
last slope, decode attention beyond 131,072 tokens is read at equal total tokens."""

M = 10**6
H100_FLOPS = 989e12
UTILISATION_FRAC = 0.55
"""Of the peak: the middle of the published 50 to 60 %."""
TP = 8
CLOSE_FRAC = 0.05
"""Read off figures and rounded text."""


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
            SURFACES: (served.alone(tokens, pp=pp).ttft_s, _beyond(served, tokens)),
        }
        for reading, (ours, note) in times.items():
            yield bound(title, axis_s * (1 + CLOSE_FRAC), ours, at_most=True, source="Fig. 17, end of the axis + 5 %",
                        reading=reading, note=note)  # fmt: skip


def utilisation(small: Served, large: Served) -> Iterator[Claim]:
    """Operations over time and peak: what counting every pair does to it."""
    for served, name, paper in ((small, "8B", 0.55), (large, "70B", 0.55)):
        time_s = served.alone(M, pp=16).ttft_s
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
        ours = served.alone(tokens, pp=1).ttft_s / served.alone(tokens, pp=pp).ttft_s / pp
        yield _close(f"{name}, 1M tokens: efficiency of SPP {pp}", paper, ours, "text", SURFACES,
                     "fill, drain and hops alone; the paper's own losses are not broken down")  # fmt: skip
    for served, name in ((small, "8B"), (large, "70B")):
        ours = served.alone(M, pp=1).ttft_s / served.alone(M, pp=8).ttft_s / 8
        yield bound(
            f"{name}, 1M tokens: efficiency of SPP 8", 0.8, ours, at_most=False, source="text", reading=SURFACES
        )
    slower = large.alone(M, pp=8).token_s / large.alone(M).token_s - 1
    note = f"seven hops of one token; engine overheads between stages are not modelled; {_beyond_decode(large, M)}"
    yield _close("70B, 1M tokens: what SPP 8 adds to a token, share", 0.16, slower, "text", SURFACES, note)


def groups(small: Served) -> Iterator[Claim]:
    """What KV groups do to the time of a token of Llama-3-8B at ten million tokens, TP8 SPP4."""
    alone_s = small.alone(10 * M, pp=4).token_s
    for kvp, says in ((2, "the captions"), (4, "the appendix")):
        note = f"{says} give this degree for 40 %; {_beyond_decode(small, 10 * M / kvp)}"
        yield _close(f"8B, 10M tokens, KVP {kvp}: TPOT saved, share", 0.40,
                     1 - small.alone(10 * M, pp=4, kvp=kvp).token_s / alone_s, "text", SURFACES, note)  # fmt: skip
        floor = 1 - small.floor_s(10 * M, kvp) / small.floor_s(10 * M)
        yield _close(f"8B, 10M tokens, KVP {kvp}: TPOT saved, share", 0.40, floor, "text", FLOOR, note)
    for reading, ours, more in (
        (SURFACES, small.alone(10 * M, pp=4, kvp=2).token_s, f"; {_beyond_decode(small, 5 * M)}"),
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
            (FLOOR, served.floor_s(millions * M, kvp)), (SURFACES, served.alone(millions * M, pp=4, kvp=kvp).token_s),
        ):  # fmt: skip
            note = _beyond_decode(served, millions * M / kvp) if reading == SURFACES else ""
            yield bound(title, 30.0, ours * 1e3, at_most=True, source="abstract of version 1", reading=reading,
                        note="out of reach" if reading == FLOOR and ours > 0.03 else note)  # fmt: skip


def three_dimensions(large: Served) -> Iterator[Claim]:
    """SPP4 KVP2 against SPP8 on 64 H100, one request of two million tokens."""
    note = "published under load, 1.75 requests/s with 5 % of 2M tokens; here one request alone"
    slower = large.alone(2 * M, pp=8).token_s / large.alone(2 * M, pp=4, kvp=2).token_s
    yield bound("70B, 2M tokens, 64 H100: TPOT of SPP8 over SPP4 KVP2", 2.0, slower, at_most=False, source="text",
                reading=SURFACES, note=f"{note}; {_beyond_decode(large, 2 * M)}")  # fmt: skip
    for joining, words in ((False, "both groups from the start"), (True, "the second group joins half-way")):
        ratio = (
            large.alone(2 * M, pp=4, kvp=2, group_tokens=None if joining else 1).ttft_s
            / large.alone(2 * M, pp=8).ttft_s
        )
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
            prefill_s = served.alone(2 * M, pp=4, kvp=4, group_tokens=None if joining else 1).ttft_s
            yield claim(f"{name}, 2M tokens, TP8 SPP4 KVP4: prefill, {words}, s", 90.0, prefill_s, 10.0,
                        source="figure", reading=SURFACES, note="80 to 100 s; of which model is not said")  # fmt: skip
    for context in (M, 5 * M // 2, 5 * M, 10 * M):
        ours = small.alone(context, pp=4, kvp=4, group_tokens=5 * M // 2).token_s
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
