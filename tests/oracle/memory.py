"""KV memory of one instance, in blocks, and the growth of a decoding batch in closed form."""

from planner.perf.kv import blocks
from planner.simulator.books import Meter


class KvMemory:
    """Blocks of one instance.

    Attributes:
        total: blocks in all.
        free: blocks not allocated, as of the start of the current step or run.
        block_tokens: tokens in a block.
    """

    __slots__ = ("_meter", "_seen_s", "block_tokens", "free", "total")

    def __init__(self, total: int, block_tokens: int, meter: Meter) -> None:
        """Everything free.

        Args:
            total: blocks in all.
            block_tokens: tokens in a block.
            meter: where their use is integrated.
        """
        self.total = total
        self.free = total
        self.block_tokens = block_tokens
        self._meter = meter
        self._seen_s = 0.0

    def blocks(self, tokens: int) -> int:
        """Blocks that hold ``tokens``."""
        return blocks(tokens, self.block_tokens)

    def allocate(self, count: int, now_s: float) -> None:
        """Take ``count`` blocks (or give them back) and integrate how many are in use over the window."""
        meter = self._meter
        meter.kv_block_s += (self.total - self.free) * meter.overlap_s(self._seen_s, now_s)
        self._seen_s = now_s
        self.free -= count
        meter.kv_peak_blocks = max(meter.kv_peak_blocks, self.total - self.free)


class BlockGrowth:
    """Blocks that a decoding batch will need.

    Every decoding request writes one token per step, so it needs a new block every ``block_tokens`` steps. Requests
    are counted by the residue of the step number at which they do; growth over any number of steps then follows from
    the counts alone.
    """

    __slots__ = ("_batch", "_block_tokens", "_residues")

    def __init__(self, block_tokens: int) -> None:
        """Nobody decodes."""
        self._block_tokens = block_tokens
        self._residues = [0] * block_tokens
        self._batch = 0

    def join(self, held_tokens: int, step: int) -> None:
        """A request that holds ``held_tokens`` starts to decode after step number ``step``."""
        self._residues[(held_tokens - 1 - step) % self._block_tokens] += 1
        self._batch += 1

    def leave(self, held_tokens: int, step: int) -> None:
        """A request that joined with these same arguments stops decoding."""
        self._residues[(held_tokens - 1 - step) % self._block_tokens] -= 1
        self._batch -= 1

    def growth(self, step: int, steps: int) -> int:
        """New blocks the batch needs in the ``steps`` steps after step number ``step``."""
        size = self._block_tokens
        cycles, rest = divmod(steps, size)
        residues = self._residues
        return cycles * self._batch + sum(residues[-s % size] for s in range(step + 1, step + rest + 1))

    def steps_that_fit(self, step: int, free: int) -> int:
        """Most steps after step number ``step`` whose growth fits ``free`` blocks; needs a non-empty batch."""
        size, residues = self._block_tokens, self._residues
        cycles, left = divmod(free, self._batch)
        s = step + cycles * size
        while residues[-(s + 1) % size] <= left:
            s += 1
            left -= residues[-s % size]
        return s - step
