"""The weight matrices of a model, and the bytes that each GPU of an instance holds of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from workloads.formats import DTYPE_BYTES, Format


class Spread(StrEnum):
    """How tensor parallelism spreads a matrix."""

    DIVIDED = "divided"
    COPIED = "copied"
    BY_KV_HEAD = "by kv head"


class Kind(StrEnum):
    """What a matrix is, as far as quantisation asks."""

    EMBEDDING = "embedding"
    HEAD = "head"
    ROUTER = "router"
    EXPERT = "expert"
    LINEAR = "linear"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """Equal matrices of one layer, or one outside the layers.

    Attributes:
        name: of the module, as checkpoints name it; ``*`` stands for the index of an expert.
        rows: outputs.
        columns: inputs.
        count: how many of them.
        kind: what it is.
        spread: over the GPUs of a tensor-parallel group.
        hidden: the model width where it is one of its sides, which engines may round up; 0 elsewhere.
        as_computed: a second copy that engines make of it in the format of the activations when they load it.
    """

    name: str
    rows: int
    columns: int
    count: int = 1
    kind: Kind = Kind.LINEAR
    spread: Spread = Spread.DIVIDED
    hidden: int = 0
    as_computed: bool = False

    @property
    def params(self) -> int:
        """Elements of all of them."""
        return self.count * self.rows * self.columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Bytes of a model's weights in one checkpoint.

    Attributes:
        stored_bytes: in the checkpoint, layers that engines do not load left out.
        divided_bytes: that a tensor-parallel group shares, as loaded.
        expert_bytes: of those, the routed experts, which all ranks of attention data parallelism share.
        copied_bytes: that every GPU of it holds whole.
        kv_bytes: of key and value projections, shared by at most as many GPUs as there are KV heads.
        kv_heads: how many those are.
    """

    stored_bytes: float
    divided_bytes: float
    expert_bytes: float
    copied_bytes: float
    kv_bytes: float
    kv_heads: int

    def gpu_bytes(self, tp: int, pp: int = 1, dp: int = 1) -> float:
        """Bytes that one GPU of ``tp · dp · pp`` holds, stages taken as equal; attention ranks share experts alone.

        ((divided - experts) / tp + experts / (tp · dp) + copied + kv / min(tp, kv heads)) / pp
        """
        divided = (self.divided_bytes - self.expert_bytes * (1 - 1 / dp)) / tp
        return (divided + self.copied_bytes + self.kv_bytes / min(tp, self.kv_heads)) / pp


def footprint(tensors: Iterable[Tensor], format_of: Callable[[Tensor], Format], kv_heads: int) -> Footprint:
    """The bytes of ``tensors``, each in the format that ``format_of`` says."""
    stored = experts = 0.0
    held = dict.fromkeys(Spread, 0.0)
    for tensor in tensors:
        format_ = format_of(tensor)
        size = tensor.count * format_.stored_bytes(tensor.rows, tensor.columns)
        stored += size
        rounded = -(-tensor.hidden // format_.hidden_multiple) * format_.hidden_multiple
        loaded = size * (rounded / tensor.hidden if tensor.hidden else 1.0)
        held[tensor.spread] += loaded
        experts += loaded if tensor.kind is Kind.EXPERT and tensor.spread is Spread.DIVIDED else 0.0
        held[tensor.spread] += tensor.params * DTYPE_BYTES["bf16"] if tensor.as_computed else 0.0
    return Footprint(
        stored_bytes=stored, divided_bytes=held[Spread.DIVIDED], expert_bytes=experts, copied_bytes=held[Spread.COPIED],
        kv_bytes=held[Spread.BY_KV_HEAD], kv_heads=max(1, kv_heads),
    )  # fmt: skip
