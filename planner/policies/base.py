"""The seams of a policy. Everything here is pure: same view in, same decision out; no view shows an output length."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from planner.perf.layout import Role
from planner.policies.order import Order


class RequestView(Protocol):
    """What a policy may know of a request. Its output length is not here: no policy can read the future."""

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt."""

    @property
    def prefill_tokens(self) -> int:
        """Tokens to compute before the next output token: the prompt, or everything after a preemption."""

    @property
    def cached_tokens(self) -> int:
        """Of those, the leading ones whose KV is computed already."""

    @property
    def held_tokens(self) -> int:
        """Tokens whose KV memory it holds here: 0 until its first chunk is computed."""

    @property
    def arrival_s(self) -> float:
        """When it arrived."""

    @property
    def due_s(self) -> float:
        """When its first token is due; no end where nothing is promised."""

    @property
    def preemptions(self) -> int:
        """How often it lost its KV memory."""


class Transfer(StrEnum):
    """How a KV cache travels from the prefill to the decode machine."""

    SERIALIZED = "serialized"
    """After the prefill, in one piece."""
    LAYERWISE = "layerwise"
    """Layer by layer while the prefill computes the next ones."""


class Recovery(StrEnum):
    """What becomes of a request when a machine that holds part of it fails."""

    RESTART = "restart"
    """It starts over, from its prompt."""
    CHECKPOINT = "checkpoint"
    """The KV cache of its prompt was kept elsewhere: it is fetched, and the tokens since are recomputed."""


class Topology(Protocol):
    """Which roles exist, where a request goes next, what must move."""

    def roles(self) -> tuple[Role, ...]:
        """Roles of the instances a plan may hold."""

    def next_hop(self, role: Role) -> Role | None:
        """Role that continues a request whose prefill an instance in ``role`` has finished; None: it stays."""

    def transfer(self, view: RequestView) -> Transfer:
        """How the KV cache of this request travels to the next hop."""


class StepPredictor(Protocol):
    """How long a step would take: what a policy may ask of the physics of its instance."""

    @property
    def ranks(self) -> int:
        """Attention ranks, to which prompts are dealt one by one; they step together."""

    def prefill_s(self, prompts: list[tuple[int, int]], batch: int = 0, context_tokens: float = 0) -> float:
        """Seconds of a step that computes ``prompts`` (new tokens, past tokens) beside ``batch`` decodes."""

    def decode_s(self, batch: int, mean_context_tokens: float) -> float:
        """Seconds of a decode-only step."""

    def beside_tokens(self, parts: Sequence[tuple[int, int]], past_tokens: int) -> int:
        """Tokens of a step's prompts (new, past) that are computed on the GPUs of a further one with so long a past."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What an instance holds as a step begins.

    Attributes:
        running: requests that hold a decode slot: in the batch, landed, on the link, or computed in part.
        batch: of them, those that advance by one token in the step.
        context_tokens: KV tokens of the batch.
        free_blocks: KV blocks left when the batch has those of its next token.
        owed_blocks: KV blocks that prompts computed in part have still to take.
    """

    running: int
    batch: int
    context_tokens: int
    free_blocks: int
    owed_blocks: int = 0


@dataclass(frozen=True, slots=True)
class StepBatch:
    """What one step of an instance runs.

    Attributes:
        chunk_tokens: tokens computed of each request from the head of the waiting queue, in its order; a request that
            is not computed to its end stays at the head.
        decode: whether the running requests advance by one token in it.
    """

    chunk_tokens: tuple[int, ...]
    decode: bool


class Batching(Protocol):
    """What one step of an instance runs."""

    @property
    def max_batch_size(self) -> int:
        """Requests that may hold a decode slot at once."""

    @property
    def max_batch_tokens(self) -> int:
        """Prompt tokens in one step; a longer prompt runs alone."""

    def at(self, chunk_tokens: int | None, step: StepPredictor) -> "Batching":
        """The same rules at one kind of instance.

        Args:
            chunk_tokens: most tokens in one of its steps, prompts cut to fit; None computes whole prompts.
            step: how long its steps take.
        """

    def next_step(self, waiting: Iterable[RequestView], now: Occupancy) -> StepBatch:
        """The next step, given the waiting queue from its head and what else the instance holds.

        Where it takes nothing from the queue, that must stay so until a request arrives, ends, or frees memory.
        """

    def chunk(self, view: RequestView, now: Occupancy, parts: Sequence[tuple[int, int]]) -> int:
        """Most tokens of one prompt to compute in a step.

        Args:
            view: the prompt.
            now: what the instance holds.
            parts: (new tokens, past tokens) of the prompts that the step computes already.
        """

    def still(self, view: RequestView, now: Occupancy, new: int) -> bool:
        """Whether ``chunk`` of a prompt alone is what it was with a shorter past, where that slows steps.

        Args:
            view: the prompt.
            now: what the instance holds.
            new: what it was.
        """

    def admits(self, view: RequestView, running: int, free_blocks: int) -> bool:
        """Whether a request that holds nothing here may take its place now, with the KV cache of all its tokens."""

    def spares(self, view: RequestView) -> bool:
        """Whether a request keeps its KV memory as long as there is anyone else to throw out."""


class Routing(Protocol):
    """Which instance of a pool takes a request."""

    def choose(self, loads: Sequence[float]) -> int:
        """Position of the chosen instance; ``loads`` are pending tokens over the instance's planned speed."""


class Borrowing(Protocol):
    """When instances work for the other phase."""

    def borrows(self, role: Role, pressure_tokens: int) -> bool:
        """Whether a phase looks for help.

        Args:
            role: the phase.
            pressure_tokens: prompt tokens that wait at an instance: for the first phase those not yet computed, for
                the next those of the KV caches that wait for memory.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A way of serving: the sum of its parts.

    Attributes:
        name: for example ``splitwise``.
        topology: roles and movement.
        batching: what a step runs.
        order: which waiting prompt is computed first.
        routing: which instance of a pool.
        borrowing: when instances work for the other phase.
        recovery: what becomes of the requests of a failed machine.
        cuts: roles whose instances cut prompts into chunks.
        streams: the chunks of one prompt follow each other through pipeline stages.
        long: how long contexts are served beside the other requests, on instances of their own that do both phases;
            None: as the others.
    """

    name: str
    topology: Topology
    batching: Batching
    order: Order
    routing: Routing
    borrowing: Borrowing
    recovery: Recovery
    cuts: frozenset[Role] = frozenset()
    streams: bool = False
    long: "Policy | None" = None

    def of(self, beside: bool) -> "Policy":
        """The rules of an instance: its own, or those for long contexts beside it."""
        return self.long if beside and self.long else self

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles of the instances a plan may hold, those for long contexts included."""
        return tuple(dict.fromkeys((*self.topology.roles(), *(self.long.roles if self.long else ()))))
