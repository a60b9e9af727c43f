"""Mnemosyne, later Medha (Agrawal et al., arXiv 2409.17264): its claims, compared with rooflines and surfaces."""

from collections.abc import Callable

from hw_catalog.engines import load_engines, timing_of
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import load_profiles
from planner.perf.beyond import continued
from planner.perf.step_time import StepTime
from planner.reproduce import mnemosyne_claims as paper
from planner.reproduce.claims import Claim, Reproduction
from planner.reproduce.long_alone import Served
from workloads.models import load_model

PROFILE_SET, MACHINE = "aiconfigurator-0.12", "dgx-h100"


def served(*names: str) -> tuple[Served, ...]:
    """Models on eight H100, in bf16."""
    machine, engines = load_catalog().machines[MACHINE], load_engines()
    found = []
    for name in names:
        profiles = load_profiles(None, model=name, gpu=machine.gpu.profile_gpu, profile_set=PROFILE_SET)
        (measured,) = (p for p in profiles if p.tp == paper.TP and p.dtype == "bf16")
        profile = continued(measured)  # once, not for each layout
        found.append(
            Served(
                model=load_model(name), machine=machine, profile=profile, step=StepTime(profile),
                timing=timing_of(engines, profile),
            )
        )  # fmt: skip
    return tuple(found)


def mnemosyne(*, progress: Callable[[str, float], None]) -> Reproduction:
    """Every claim, each under the readings it can be read in.

    Args:
        progress: takes what is being computed, and the share that is done.
    """
    small, large = served("llama-3.1-8b", "llama-3.1-70b")
    claims: list[Claim] = [*paper.arithmetic(large)]
    chapters = {
        "time to first token": paper.ttft, "utilisation": paper.utilisation, "scaling": paper.scaling,
        "30 ms": paper.thirty_ms, "chunks": paper.chunks,
    }  # fmt: skip
    for i, (words, chapter) in enumerate(chapters.items()):
        progress(words, i / 6)
        claims += chapter(small, large)
    progress("groups", 5 / 6)
    claims += paper.groups(small)
    claims += paper.three_dimensions(large)
    claims += paper.growing(small, large)
    claims += paper.underivable()
    return Reproduction(claims=tuple(claims))
