"""A toy inference server: continuous batching over a paged KV cache, whatever computes its steps.

It is written apart from the simulator, so that the two can be held against each other: ``served_toy.py`` does, with a
model in PyTorch; tests do, with steps that a formula times.
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workloads.traces import Trace

Ints = NDArray[np.int64]


class Clock(Protocol):
    """What time it is for the server."""

    def now_s(self) -> float:
        """Seconds since some fixed moment."""

    def wait_until(self, moment_s: float) -> None:
        """Return when it is so late."""


class WallClock:
    """The wall's: for a device of one's own."""

    def now_s(self) -> float:
        """As the system has it."""
        return time.perf_counter()

    def wait_until(self, moment_s: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, moment_s - time.perf_counter()))


class CpuClock:
    """CPU seconds of this process; idle time is skipped. For steps that a CPU computes which others use as well."""

    def __init__(self) -> None:
        """Nothing skipped yet."""
        self._skipped_s = 0.0

    def now_s(self) -> float:
        """What was computed and what was skipped."""
        return time.process_time() + self._skipped_s

    def wait_until(self, moment_s: float) -> None:
        """Skip."""
        self._skipped_s += max(0.0, moment_s - self.now_s())


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server is started with.

    Attributes:
        max_tokens: prompt tokens of a step; a longer prompt is computed alone.
        max_requests: in the batch.
        pages: of the KV cache.
        page_tokens: tokens in a page.
    """

    max_tokens: int
    max_requests: int
    pages: int
    page_tokens: int = 16


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """A request on its path through the server.

    Attributes:
        number: its place in the trace.
        tokens: prompt, and output so far.
        prompt_tokens: how many of them were asked with.
        output_tokens: after how many it ends.
        pages: that hold its KV, in order.
        cached_tokens: tokens whose KV the pages hold.
        first_s: when its first token was there; negative before.
        end_s: when its last one was; negative before.
        evictions: how often it lost its pages.
    """

    number: int
    tokens: list[int]
    prompt_tokens: int
    output_tokens: int
    pages: list[int] = field(default_factory=list)
    cached_tokens: int = 0
    first_s: float = -1.0
    end_s: float = -1.0
    evictions: int = 0

    @property
    def done(self) -> bool:
        """Whether all of its output is there."""
        return len(self.tokens) - self.prompt_tokens >= self.output_tokens


class Runner(Protocol):
    """Computes steps."""

    def step(self, prompts: Sequence[Job], decodes: Sequence[Job]) -> list[int]:
        """The next token of each job: of prompts, all of whose tokens are computed, then of those that decode."""


class Pages:
    """Which pages of the KV cache are free.

    Args:
        count: of all.
        page_tokens: tokens in each.
    """

    def __init__(self, count: int, page_tokens: int) -> None:
        """All free."""
        self._free = list(range(count))[::-1]
        self.page_tokens = page_tokens

    @property
    def free(self) -> int:
        """How many are."""
        return len(self._free)

    def lacking(self, job: Job, tokens: int) -> int:
        """Pages that a job must be given to hold so many tokens."""
        return max(0, -(-tokens // self.page_tokens) - len(job.pages))

    def give(self, job: Job, tokens: int) -> None:
        """Pages for so many tokens; there have to be enough."""
        for _ in range(self.lacking(job, tokens)):
            job.pages.append(self._free.pop())

    def take(self, job: Job) -> None:
        """All pages of a job are free again."""
        self._free += job.pages[::-1]
        job.pages.clear()
        job.cached_tokens = 0


class Server:
    """First come, first served: whole prompts up to a limit of tokens, every running decode beside them.

    A prompt is admitted where pages for it and its next token are free, and one more for each running request. Where a
    decode finds no page, the request that came last loses its own and starts over with what it has put out so far.

    Args:
        runner: that computes.
        limits: that the server is started with.
    """

    def __init__(self, runner: Runner, limits: Limits) -> None:
        """Empty."""
        self._runner, self._limits = runner, limits
        self.pages = Pages(limits.pages, limits.page_tokens)
        self.waiting: deque[Job] = deque()
        self.running: list[Job] = []
        self.steps = 0

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not self.waiting and not self.running

    def step(self) -> list[Job]:
        """One step; the jobs that put out a token."""
        self._make_room()
        prompts = self._admitted()
        decodes, self.running = self.running, [*self.running, *prompts]
        computed = [*prompts, *decodes]
        for job in decodes:
            self.pages.give(job, len(job.tokens))
        for job, token in zip(computed, self._runner.step(prompts, decodes), strict=True):
            job.cached_tokens = len(job.tokens)
            job.tokens.append(token)
        for job in computed:
            if job.done:
                self.running.remove(job)
                self.pages.take(job)
        self.steps += 1
        return computed

    def _admitted(self) -> list[Job]:
        """Prompts that join, with their pages."""
        found: list[Job] = []
        tokens = 0
        while self.waiting:
            job = self.waiting[0]
            busy = len(self.running) + len(found)
            tokens += len(job.tokens)
            full = found and tokens > self._limits.max_tokens
            needed = self.pages.lacking(job, len(job.tokens) + 1) + busy
            if full or busy >= self._limits.max_requests or needed > self.pages.free:
                break
            self.pages.give(job, len(job.tokens) + 1)
            found.append(self.waiting.popleft())
        return found

    def _make_room(self) -> None:
        """Every running request has a page for the token that it computes next."""
        while sum(self.pages.lacking(job, len(job.tokens)) for job in self.running) > self.pages.free:
            last = max(self.running, key=lambda job: job.number)
            if len(self.running) == 1:
                raise MemoryError(f"request {last.number} needs more than all {self._limits.pages} pages")
            self.running.remove(last)
            self.pages.take(last)
            last.evictions += 1
            self.waiting.appendleft(last)


def jobs_of(trace: Trace, vocabulary: int, seed: int = 0) -> list[Job]:
    """The requests of a trace, with tokens drawn at random."""
    rng = np.random.default_rng(seed)
    return [
        Job(number=n, tokens=rng.integers(0, vocabulary, prompt).tolist(), prompt_tokens=prompt, output_tokens=output)
        for n, (prompt, output) in enumerate(
            zip(trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)
        )
    ]


def serve(server: Server, jobs: Sequence[Job], arrival_s: Sequence[float], clock: Clock) -> float:
    """Serve jobs that arrive at these times after the start; their times count from it.

    Returns:
        When the last one ended, seconds after the start.
    """
    began_s, coming = clock.now_s(), 0
    while coming < len(jobs) or not server.idle:
        now_s = clock.now_s()  # compared as it is waited for, or a rounded difference would never be reached
        while coming < len(jobs) and began_s + arrival_s[coming] <= now_s:
            server.waiting.append(jobs[coming])
            coming += 1
        if server.idle:
            clock.wait_until(began_s + arrival_s[coming])
            continue
        computed = server.step()
        now_s = clock.now_s() - began_s
        for job in computed:
            job.first_s = job.first_s if job.first_s >= 0 else now_s
            job.end_s = now_s if job.done else job.end_s
    return clock.now_s() - began_s
