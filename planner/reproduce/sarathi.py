"""SARATHI (Agrawal et al., arXiv 2308.16369): its comparisons, repeated from its own figures."""

from collections.abc import Callable

from hw_catalog.profile_files import load_profiles
from planner.reproduce import sarathi_claims as paper
from planner.reproduce import sarathi_figures as figures
from planner.reproduce.claims import Claim, Reproduction
from planner.reproduce.gpt3_pipeline import gpt_3

AS_PRINTED, AS_DRAWN, CURRENT = "as-printed", "as-drawn", "current"
LINEAR_1024_MS = {AS_PRINTED: figures.LINEAR_MS[1024], AS_DRAWN: figures.DRAWN_1024_MS}
"""A prefill of 1,024 tokens: 224.8 ms by Table 2, 240 ms by Fig. 7."""

CURRENT_SET = "aiconfigurator-0.12"


def sarathi(*, progress: Callable[[str, float], None]) -> Reproduction:
    """Every claim under both readings of the figures, the pipeline under today's kernels too.

    Args:
        progress: takes what is being computed, and the share that is done.
    """
    claims: list[Claim] = []
    for i, (reading, linear_ms) in enumerate(LINEAR_1024_MS.items()):
        small, large = paper.models(linear_ms)
        for k, (words, chapter) in enumerate(paper.OF_13B.items()):
            progress(f"{reading}: {words}", (i + k / 6) / 3)
            claims += chapter(small, reading)
        for model in (small, large):
            claims += paper.table_4(model, reading)
        progress(f"{reading}: GPT-3 on 64 GPUs", (i + 5 / 6) / 3)
        claims += gpt_3(figures.gpt_3(linear_ms), reading)
        claims += paper.underivable(reading)
    progress("current: GPT-3 on 64 GPUs", 5 / 6)
    (today,) = load_profiles(None, model="gpt-3-175b", gpu="a100-sxm", profile_set=CURRENT_SET)
    claims += gpt_3(today, CURRENT)
    return Reproduction(claims=tuple(claims))
