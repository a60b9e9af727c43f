"""Rules of the queue: which of the prompts that wait is computed next, whatever serves them."""

from dataclasses import dataclass, replace
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from planner.perf.step_time import StepTime
from planner.policies.order import SLACK, Order
from planner.policies.waiting import Queue
from tests.planner.toy import toy_profile


@dataclass
class Prompt:
    """What the order goes by."""

    index: int
    prompt_tokens: int
    cached_tokens: int = 0
    priority: int = 0
    due_s: float = inf
    arrival_s: float = 0.0
    preemptions: int = 0
    generated_tokens: int = 0

    @property
    def prefill_tokens(self) -> int:
        """The prompt, and what was generated before its memory was lost."""
        return self.prompt_tokens + self.generated_tokens

    @property
    def held_tokens(self) -> int:
        """As many as are computed."""
        return self.cached_tokens


STEP = StepTime(toy_profile())
PROMPTS = st.builds(
    Prompt, index=st.just(0), prompt_tokens=st.integers(2, 2000), cached_tokens=st.sampled_from([0, 0, 1]),
    priority=st.integers(-1, 1), due_s=st.sampled_from([0.1, 1.0, inf]), generated_tokens=st.sampled_from([0, 0, 5]),
)  # fmt: skip
QUEUES = st.lists(PROMPTS, max_size=12).map(lambda found: [replace(one, index=at) for at, one in enumerate(found)])
ORDERS = st.sampled_from([Order(), Order(rule=SLACK)])
CHUNKS = st.sampled_from([None, 64, 512])


def places(order: Order, *waiting: Prompt, now_s: float = 0.0, chunk_tokens: int | None = 512) -> list[int]:
    """The prompts' indices in the order in which they are computed."""
    return [one.index for one in Queue(order, STEP, chunk_tokens).arranged(waiting, now_s)]


@given(waiting=QUEUES, order=ORDERS, chunk_tokens=CHUNKS)
def test_every_prompt_stays_and_the_larger_priority_goes_first(
    waiting: list[Prompt], order: Order, chunk_tokens: int | None
) -> None:
    """No prompt is lost or doubled, and none of a lower priority stands before one of a higher."""
    found = Queue(order, STEP, chunk_tokens).arranged(waiting, 0.5)
    assert sorted(one.index for one in found) == [one.index for one in waiting]
    assert [one.priority for one in found] == sorted((one.priority for one in waiting), reverse=True)


@given(waiting=QUEUES, order=ORDERS, chunk_tokens=CHUNKS)
def test_an_order_once_found_stays(waiting: list[Prompt], order: Order, chunk_tokens: int | None) -> None:
    """Arranged again at the same moment a queue is the same: nothing in it goes by where a prompt stood by chance."""
    queue = Queue(order, STEP, chunk_tokens)
    once = queue.arranged(waiting, 0.5)
    assert [one.index for one in queue.arranged(once, 0.5)] == [one.index for one in once]


def test_by_arrival_prompts_in_part_go_on_first() -> None:
    """By arrival a prompt in part goes on before whole ones, which stay as they stand."""
    waiting = [Prompt(5, 100), Prompt(3, 100, cached_tokens=10), Prompt(1, 100), Prompt(2, 100, cached_tokens=20)]
    assert places(Order(), *waiting) == [2, 3, 5, 1]


def test_by_slack_a_short_prompt_passes_a_long_one_in_part_when_it_is_late() -> None:
    """A short prompt waits behind a long one in part while it has time, and passes it once it would be too late."""
    long, short = Prompt(0, 100_000, cached_tokens=512, due_s=1e4), Prompt(1, 100, due_s=1e4 + 1)
    assert places(Order(rule=SLACK), long, replace(short, due_s=1e9)) == [0, 1]
    assert places(Order(rule=SLACK), long, replace(short, due_s=0.1)) == [1, 0]


def test_by_slack_what_had_its_first_token_goes_before_all_others() -> None:
    """A request that lost its memory after its first token has a reader who waits: it goes first."""
    late, lost = Prompt(0, 100, due_s=-1.0), Prompt(1, 2000, generated_tokens=3)
    assert places(Order(rule=SLACK), late, lost) == [1, 0]
