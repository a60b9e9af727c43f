"""A run of a lane: one step that computes prompts, or decode-only steps up to the next event, in closed form."""

from planner.simulator.core.ledger import allocate, note_longest, note_run, note_stretch, overlap_s
from planner.simulator.core.memory import growth
from planner.simulator.core.queues import schedule
from planner.simulator.core.state import World
from planner.simulator.core.steps import run_s, started_by
from planner.simulator.core.watts import spend


def end_after(w: World, k: int, steps: int) -> None:
    """End a run of decodes of a lane after ``steps``."""
    me = w.lanes[k]
    me.run_steps = steps
    schedule(w, k, max(0.0, me.run_start_s + run_s(w, k, steps) - w.cluster[0].now_s))


def book(w: World, k: int) -> None:
    """Do the books of the run of a lane that has ended now: its time and joules, and its steps."""
    me, now_s = w.lanes[k], w.cluster[0].now_s
    spent(w, k)
    me.idle_s = now_s
    me.on = 0
    me.last_start_s = me.run_start_s
    if me.decode:
        advance(w, k, me.run_steps)


def spent(w: World, k: int) -> None:
    """Book the time and the joules of a run up to now."""
    me = w.lanes[k]
    w.instances[me.instance].busy_s += overlap_s(w, me.busy_from_s, w.cluster[0].now_s)
    spend(w, k)


def advance(w: World, k: int, steps: int) -> None:
    """Book the tokens of the first ``steps`` steps of a run, the last of which ended at ``idle_s``."""
    me = w.lanes[k]
    at = w.instances[me.instance]
    me.run_steps = steps
    taken = growth(w, k, steps)
    # the blocks of a run are taken one after the other, on average half of them for its whole length
    at.kv_block_s += taken / 2 * overlap_s(w, me.run_start_s, me.idle_s)
    allocate(w, int(me.instance), taken)
    if me.prefilling or at.lanes > 1:
        note_stretch(w, k, me.run_step_s, 0.0, 1)
        longest = float(me.run_step_s)
    else:
        longest = note_run(w, k)
    me.steps += steps
    me.context += me.batch * steps
    counted = _in_window(w, k, steps)
    at.decode_steps += counted
    at.decode_tokens += counted * me.batch
    note_longest(w, k, longest)


def _in_window(w: World, k: int, steps: int) -> int:
    """Of the steps of a run, the last of which ended at ``idle_s``, those that end within the measured window."""
    me, c = w.lanes[k], w.cluster[0]
    if me.idle_s < c.window_start_s or me.run_start_s > c.window_end_s:
        return 0
    before = started_by(w, k, c.window_start_s) - 1 if me.run_start_s < c.window_start_s else 0
    return (steps if me.idle_s <= c.window_end_s else started_by(w, k, c.window_end_s) - 1) - before
