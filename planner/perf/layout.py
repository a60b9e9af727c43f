"""How one replica of the model is spread over GPUs, and in which role, at which knobs it runs."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property


class Role(StrEnum):
    """What phase of a request an instance works on."""

    PREFILL = "prefill"
    DECODE = "decode"
    MIXED = "mixed"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one replica of the model is spread over GPUs.

    Attributes:
        tp: tensor-parallel ways, >= 1.
        pp: pipeline stages, >= 1; a long prompt may stream through them chunk by chunk (sequence parallelism).
        ep: expert-parallel ways over the GPUs of all attention ranks, >= 1; experts are divided further where they are
            fewer than those.
        kvp: groups that share the KV cache of one request along its sequence, >= 1.
        dp: attention ranks of ``tp`` GPUs, each with requests and KV of its own, that step together, >= 1.
    """

    tp: int
    pp: int = 1
    ep: int = 1
    kvp: int = 1
    dp: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of one replica (experts are spread over those of the attention ranks)."""
        return self.tp * self.dp * self.pp * self.kvp

    @cached_property
    def name(self) -> str:
        """For example ``tp8``, ``tp4pp2``, ``tp8ep8``, ``tp1dp8ep8``, ``tp8pp4kvp2``."""
        ways = (("dp", self.dp), ("pp", self.pp), ("ep", self.ep), ("kvp", self.kvp))
        return f"tp{self.tp}" + "".join(f"{word}{count}" for word, count in ways if count > 1)


@dataclass(frozen=True, kw_only=True)
class InstanceSpec:
    """One replica of the model: its role, its machine type, its layout, and the knobs it is run with.

    Attributes:
        role: phase it works on.
        machine: machine type.
        layout: how it is spread over GPUs.
        chunk_tokens: most tokens in one step, prompts cut to fit; None computes whole prompts.
        clock_mhz: SM clock its GPUs are locked at; None leaves the clock to the driver.
        cap_w: power limit of each of its GPUs; None is the board's own.
    """

    role: Role
    machine: str
    layout: Layout
    chunk_tokens: int | None = None
    clock_mhz: int | None = None
    cap_w: int | None = None

    @cached_property
    def name(self) -> str:
        """For example ``prefill/dgx-h100/tp8`` or ``decode/dgx-h100/tp8/1200mhz``; unique in a scenario."""
        knobs = (("chunk", self.chunk_tokens, ""), ("", self.clock_mhz, "mhz"), ("", self.cap_w, "w"))
        set_knobs = "".join(f"/{before}{value}{after}" for before, value, after in knobs if value is not None)
        return f"{self.role}/{self.machine}/{self.layout.name}{set_knobs}"
