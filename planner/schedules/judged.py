"""What the simulator says of a moment of a schedule: of all of it, or of as much as tells whether to go on looking."""

from collections.abc import Sequence

from planner.resolve.case import Case
from planner.results.evidence import Judgement
from planner.results.timetable import Served
from planner.schedules.scenes import Scene
from planner.simulator.judge import Bench, judge, judge_longer
from planner.simulator.pools import Events, Failure
from planner.simulator.traffic import Judging, Traffic
from workloads.slo import Slo


def judged(
    case: Case, scene: Scene, slos: Sequence[Slo], *, epoch: int, failures: Sequence[Failure] = (), brief: bool = False
) -> Judgement:  # fmt: skip
    """What the simulator says of a scene in which machines may be lost.

    Args:
        case: the question.
        scene: what is served.
        slos: the objectives that it is judged by.
        epoch: its number.
        failures: machines that are lost.
        brief: enough to go on looking: the first seed where that tells, and no longer look.
    """
    return judge(
        scene.pools, case.policy, _traffic(case, scene, epoch), slos, _judging(case, scene, brief=brief),
        events=Events(shifts=scene.shifts, failures=failures), reference=case.reference,
    )  # fmt: skip


def longer_of(case: Case, scene: Scene, epoch: int, slos: Sequence[Slo], known: Judgement) -> Judgement:
    """What ``judged`` would say in full after a brief look that served as many seeds; none of them is served again."""
    traffic = _traffic(case, scene, epoch)
    bench = Bench(
        pools=scene.pools, policy=case.policy, slos=slos, reference=case.reference,
        judging=_judging(case, scene, brief=False), exact=traffic.exact,
        aligned=traffic.aligned and len(traffic.seeds) > 1, events=Events(shifts=scene.shifts),
    )  # fmt: skip
    return judge_longer(bench, traffic, known)


def _traffic(case: Case, scene: Scene, epoch: int) -> Traffic:
    return Traffic(
        draw=scene.draw, seeds=case.asked.seeds_at(1.0), workload=f"epoch {epoch}", exact=scene.exact,
        aligned=scene.aligned, longer=scene.longer,
    )  # fmt: skip


def _judging(case: Case, scene: Scene, *, brief: bool) -> Judging:
    checks = case.scenario.validation
    return Judging(
        warmup_frac=scene.warmup_frac, confidence_frac=checks.confidence_frac, early=True, brief=brief,
        patient=True,  # a brief look too: what it finds wrong is told, and not looked at again
        cooldown_frac=0.0 if scene.exact or scene.aligned else checks.cooldown_frac / 2,
    )  # fmt: skip


def idle(epochs: Sequence[int], standing_w: float) -> Served:
    """Epochs without requests."""
    return Served(
        epochs=tuple(epochs), rate_req_per_s=0.0, changed=0, evidence=(), seeds=(), arrived=0, unfinished=0, refused=0,
        steady=True, engine="no requests", planned_w=standing_w, simulated_w=standing_w,
    )  # fmt: skip
