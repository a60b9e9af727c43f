"""Number formats of weights: how many bytes a tensor takes with the scales that belong to it."""

from dataclasses import dataclass

DTYPE_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5, "int4": 0.5}
"""Nominal width of an element, without scales."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How the elements of a weight matrix are stored.

    bytes = rows · columns · width + scales · (scale_bytes + zero_bytes), one scale for each block of elements

    Attributes:
        name: as the documents of phasewise call it.
        dtype: the number format of its elements, a key of ``DTYPE_BYTES``.
        block_rows: rows that share a scale; 0 shares one over all rows.
        block_columns: columns that share a scale; 0 shares one over all columns.
        scale_bytes: of a scale; 0 without scales.
        zero_bytes: of a zero point; 0 without zero points.
        hidden_multiple: what engines round the model width of a matrix up to when they load it.
    """

    name: str
    dtype: str
    block_rows: int = 0
    block_columns: int = 0
    scale_bytes: float = 0.0
    zero_bytes: float = 0.0
    hidden_multiple: int = 1

    def stored_bytes(self, rows: int, columns: int) -> float:
        """Bytes of a matrix of ``rows`` outputs and ``columns`` inputs, as the checkpoint holds it."""
        along = -(-rows // self.block_rows) if self.block_rows else 1
        across = -(-columns // self.block_columns) if self.block_columns else 1
        scales = along * across * (self.scale_bytes + self.zero_bytes)
        return rows * columns * DTYPE_BYTES[self.dtype] + scales


def plain(dtype: str) -> Format:
    """A format without scales."""
    return Format(name=dtype, dtype=dtype)


def fp8_blocks(rows: int, columns: int) -> Format:
    """8-bit floats with a 32-bit scale for each block. Source: ``weight_block_size`` of DeepSeek-V3's config.json."""
    return Format(name=f"fp8 in blocks of {rows} x {columns}", dtype="fp8", block_rows=rows, block_columns=columns,
                  scale_bytes=4.0)  # fmt: skip


def grouped_int(bits: int, group: int, *, zeros: bool) -> Format:
    """Integers with a 16-bit scale for each group of inputs, as AWQ, GPTQ and compressed-tensors store them.

    Args:
        bits: of an element, 4 or 8.
        group: inputs that share a scale; not above 0 is one scale for a whole row.
        zeros: whether each group has a zero point of ``bits`` too.
    """
    words = f"groups of {group}" if group > 0 else "rows"
    return Format(
        name=f"int{bits} in {words}", dtype=f"int{bits}", block_rows=1, block_columns=max(0, group), scale_bytes=2.0,
        zero_bytes=bits / 8 if zeros else 0.0,
    )  # fmt: skip


FP8_TENSOR = Format(name="fp8, a scale per matrix", dtype="fp8", scale_bytes=4.0)
FP8_CHANNEL = Format(name="fp8, a scale per output", dtype="fp8", block_rows=1, scale_bytes=4.0)
INT8_CHANNEL = Format(name="int8, a scale per output", dtype="int8", block_rows=1, scale_bytes=4.0)
NVFP4 = Format(name="nvfp4", dtype="fp4", block_rows=1, block_columns=16, scale_bytes=1.0)
"""4-bit floats with an 8-bit scale for 16 inputs. Source: NVIDIA ModelOpt, ``group_size`` 16."""
MXFP4 = Format(name="mxfp4", dtype="fp4", block_rows=1, block_columns=32, scale_bytes=1.0, hidden_multiple=256)
"""4-bit floats with an 8-bit exponent for 32 inputs (OCP MX v1.0). vLLM rounds the model width of such experts up to
256: gpt-oss-120b takes 64.38 GiB on an H100 (vllm-project/vllm issue 33155) for 60.8 GiB on disk."""
NF4 = Format(name="nf4", dtype="int4", block_rows=1, block_columns=64, scale_bytes=1.03)
"""bitsandbytes: an 8-bit scale for 64 elements, itself scaled in groups of 256."""

BY_NAME = {
    **{name: plain(name) for name in ("fp32", "bf16", "fp16", "fp8", "int8")},
    "fp8_tensor": FP8_TENSOR, "fp8_channel": FP8_CHANNEL, "fp8_block": fp8_blocks(128, 128),
    "int8_channel": INT8_CHANNEL, "nvfp4": NVFP4, "mxfp4": MXFP4, "nf4": NF4,
    "int4_g32": grouped_int(4, 32, zeros=False),
}  # fmt: skip
"""Names that ``data/checkpoints.json`` uses."""
