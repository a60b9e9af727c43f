"""The stages of a pipeline: the batches of its lanes pass them in the order in which they enter.

Source: SARATHI, arXiv 2308.16369, its three kinds of pipeline bubbles: between two batches of prompts (PB1), of prompts
and of decodes only (PB2), of decodes only (PB3).
"""

from planner.simulator.core.queues import head
from planner.simulator.core.state import NONE, PREFILLS, World
from planner.simulator.core.steps import hops_s


def entrance_free_s(w: World, i: int) -> float:
    """When the first stage can take the next batch."""
    return float(w.stages[w.instances[i].stage])


def enter(w: World, k: int, traversal_s: float, tokens: int, prompts: bool) -> float:
    """Send the step that a lane begins through the stages; the first one is free.

    It starts at a stage when it has arrived and the batch before it has left. A stage that waits for it is idle
    meanwhile: a bubble, but for the time in which there was no batch to send. What an empty pipeline waits is none.
    The token gaps of a step count from the end of the lane's last one.

    Args:
        w: the world.
        k: lane.
        traversal_s: what the step takes alone.
        tokens: of it.
        prompts: whether it computes any.

    Returns:
        Seconds until it has left the last stage.
    """
    me, now_s = w.lanes[k], w.cluster[0].now_s
    at, body = w.instances[me.instance], w.bodies[me.body]
    me.stage_s = (traversal_s - hops_s(body, tokens)) / at.lanes
    hop_s = body.hop_latency_s + body.hop_token_s * tokens
    flowing = now_s < at.until_s
    wanting_s = max(0.0, now_s - max(w.stages[at.stage], me.idle_s))
    arrives_s, idle_s, unfilled_s = now_s, 0.0, 0.0
    for stage in range(at.lanes):
        free_s = w.stages[at.stage + stage]
        start_s = max(arrives_s, free_s)
        unfilled = min(start_s - free_s, wanting_s)
        if flowing:
            idle_s += start_s - free_s - unfilled
            unfilled_s += unfilled
        w.stages[at.stage + stage] = w.stages[me.ends + stage] = start_s + me.stage_s
        arrives_s = start_s + me.stage_s + hop_s
    end_s = w.stages[at.stage + at.lanes - 1]
    at.until_s = end_s
    _note_bubble(w, k, idle_s, unfilled_s, prompts)
    at.carried = 1 if prompts else 0
    me.run_start_s = me.idle_s if me.decode else now_s
    me.run_step_s, me.busy_from_s = end_s - me.run_start_s, end_s - me.stage_s
    return float(end_s - now_s)


def _note_bubble(w: World, k: int, idle_s: float, unfilled_s: float, prompts: bool) -> None:
    """Keep the bubble before a step for its requests, and in the meter where it enters within the window."""
    me, c = w.lanes[k], w.cluster[0]
    at = w.instances[me.instance]
    me.run_prompts_s = idle_s if prompts and at.carried else 0.0
    me.run_phases_s = idle_s if prompts != bool(at.carried) else 0.0
    me.run_contexts_s = 0.0 if prompts or at.carried else idle_s
    if c.window_start_s <= c.now_s <= c.window_end_s:
        at.prompts_s += me.run_prompts_s
        at.phases_s += me.run_phases_s
        at.contexts_s += me.run_contexts_s
        at.unfilled_s += unfilled_s


def note_bubble(w: World, k: int) -> None:
    """Book the bubble before the step that ends now to all who took part in it."""
    me = w.lanes[k]
    slot = head(w, k, PREFILLS)
    while slot != NONE:
        r = w.requests[slot]
        r.prompts_s += me.run_prompts_s
        r.phases_s += me.run_phases_s
        r.contexts_s += me.run_contexts_s
        slot = r.next
    if me.decode:
        me.prompts_s += me.run_prompts_s
        me.phases_s += me.run_phases_s
        me.contexts_s += me.run_contexts_s


def share_bubbles(w: World, k: int, slot: int, sign: float) -> None:
    """Give a request that leaves a batch the bubbles of its time there: all at the end less all at the beginning."""
    me, r = w.lanes[k], w.requests[slot]
    r.prompts_s += sign * me.prompts_s
    r.phases_s += sign * me.phases_s
    r.contexts_s += sign * me.contexts_s


def clear_stages(w: World, i: int) -> None:
    """Lose everything in flight."""
    me = w.instances[i]
    for stage in range(me.lanes):
        w.stages[me.stage + stage] = 0.0
    me.until_s = 0.0
