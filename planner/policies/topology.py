"""Topologies: which roles exist and how requests move between them."""

from dataclasses import dataclass

from planner.perf.layout import Role
from planner.policies.base import RequestView, Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class Colocated:
    """Every instance does both phases of its own requests."""

    def roles(self) -> tuple[Role, ...]:
        """Mixed instances only."""
        return (Role.MIXED,)

    def next_hop(self, role: Role) -> Role | None:  # noqa: ARG002  the protocol's shape
        """A request stays where it is."""
        return None

    def transfer(self, view: RequestView) -> Transfer:  # noqa: ARG002  the protocol's shape
        """Nothing ever moves; serialized is the cheaper of two unused answers."""
        return Transfer.SERIALIZED


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSplit:
    """Prefill instances compute prompts, decode instances continue them; the KV cache crosses the link.

    Source: Splitwise, ISCA'24, §IV: short prompts move serialized, longer ones layer by layer.

    Attributes:
        mode: ``serialized``, ``layerwise``, or ``auto`` to choose by prompt length.
        layerwise_from_tokens: shortest prompt that moves layer-wise under ``auto``.
        answered_by: instances that send the first token: those that compute it, or those that continue it, for a slot
            of which it then waits. Engines of today do the second: TensorRT-LLM, SGLang and Dynamo.
    """

    mode: str = "auto"
    layerwise_from_tokens: int = 512
    answered_by: Role = Role.PREFILL

    def roles(self) -> tuple[Role, ...]:
        """Prefill and decode instances."""
        return (Role.PREFILL, Role.DECODE)

    def next_hop(self, role: Role) -> Role | None:
        """From prefill to decode; a decode instance keeps what it recomputed."""
        return Role.DECODE if role is Role.PREFILL else None

    def transfer(self, view: RequestView) -> Transfer:
        """By mode, or by prompt length."""
        if self.mode != "auto":
            return Transfer(self.mode)
        return Transfer.LAYERWISE if view.prompt_tokens >= self.layerwise_from_tokens else Transfer.SERIALIZED
