"""Kernel profiles from Splitwise's published table: ``python -m hw_catalog.splitwise_fit CSV OUT_DIR ISO_DATE``."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from hw_catalog.errors import CatalogError
from hw_catalog.load import load_catalog
from hw_catalog.profile_files import write_profiles
from hw_catalog.profiles import KernelProfile
from hw_catalog.provenance import Kind, Provenance

PROFILE_SET = "splitwise-2023"
MODELS = {"llama2-70b": "llama-2-70b", "bloom-176b": "bloom-176b"}
GPUS = {"a100-80gb": "a100-sxm", "h100-80gb": "h100-sxm"}
"""The table's third hardware, ``h100-80gb-pcap``, is computed from the second (prompt x 1.3), not measured."""
KV_BYTES_PER_TOKEN = {"llama-2-70b": 2 * 80 * 8 * 128 * 2, "bloom-176b": 2 * 70 * 112 * 128 * 2}
SWEEP_PROMPT = 512
SWEEP_CONTEXT = 576
"""Mean context of the batch sweep: 512 prompt tokens and half of 128 generated ones."""
LONGEST_CONTEXT = 8192 + 64
"""Mean context of the longest prompt, measured with one request."""
BEYOND = 131072
COLUMNS = ("model", "hardware", "prompt_size", "batch_size", "prompt_time", "token_time", "tensor_parallel")


def fit_splitwise(csv: Path, *, date: str) -> tuple[KernelProfile, ...]:
    """The measured combinations of ``splitwise_perf_model.csv`` (Mutinifni/splitwise-sim, MIT) as kernel profiles.

    Prompt times are medians over the prompt tokens of the whole batch, attention included: it cannot be told apart, so
    ``prefill_attention_s`` is zero. Decode times are medians of the batch sweep at 512 prompt tokens. The table has no
    grid of batch and context; beyond the sweep's context, attention reads KV cache at full memory bandwidth:

        decode_attention = batch * max(0, context - 576) * kv_bytes_per_token / (tp * hbm_bytes_per_s)

    Args:
        csv: the table; times in milliseconds.
        date: ISO date it was read.

    Raises:
        CatalogError: the file cannot be read or lacks a column.
    """
    try:
        table = pd.read_csv(csv)
    except (OSError, ValueError) as error:
        raise CatalogError(f"{csv}: cannot be read as CSV: {error}") from None
    if missing := [column for column in COLUMNS if column not in table]:
        raise CatalogError(f"{csv}: lacks the columns {', '.join(missing)}")
    table = table[table["hardware"].isin(GPUS) & table["model"].isin(MODELS)]
    table = table.assign(tokens=table["prompt_size"] * table["batch_size"])
    # At TP2 32768 tokens were faster than 16384: those runs broke off.
    table = table[(table["tensor_parallel"] != 2) | (table["tokens"] != 32768)]
    return tuple(
        _profile(rows, model=MODELS[str(model)], gpu=GPUS[str(hardware)], tp=int(str(tp)), date=date)
        for (model, hardware, tp), rows in table.groupby(["model", "hardware", "tensor_parallel"])
    )


def _profile(rows: pd.DataFrame, *, model: str, gpu: str, tp: int, date: str) -> KernelProfile:
    """The profile of one model, GPU and tensor-parallel width."""
    prompt = rows.groupby("tokens")["prompt_time"].median()
    decode = rows[rows["prompt_size"] == SWEEP_PROMPT].groupby("batch_size")["token_time"].median()
    attention_batch = np.array([1, 2, int(decode.index.max())])
    context = np.array([1, SWEEP_CONTEXT, LONGEST_CONTEXT, BEYOND])
    read_bytes = np.outer(attention_batch, np.maximum(0, context - SWEEP_CONTEXT)) * KV_BYTES_PER_TOKEN[model]
    return KernelProfile(
        gpu=gpu,
        model=model,
        dtype="bf16",
        kv_dtype="bf16",
        tp=tp,
        ep=1,
        engine="vllm",
        engine_version="2023",
        profile_set=PROFILE_SET,
        overhead_s=0.0,
        tokens=prompt.index.to_numpy(dtype=np.int64),
        linear_prefill_s=prompt.to_numpy(dtype=np.float64) * 1e-3,
        batch=decode.index.to_numpy(dtype=np.int64),
        linear_decode_s=decode.to_numpy(dtype=np.float64) * 1e-3,
        new_tokens=np.array([1, 32768]),
        past_tokens=np.array([0, BEYOND]),
        prefill_attention_s=np.zeros((2, 2)),
        attention_batch=attention_batch,
        context_tokens=context,
        decode_attention_s=read_bytes / (tp * load_catalog().gpus[gpu].hbm_bytes_per_s),
        decode_extrapolated=np.outer(attention_batch > 0, context > SWEEP_CONTEXT)
        & ~_long_alone(attention_batch, context),
        prefill_extrapolated=np.array([[False, True], [False, True]]),
        measured_frac=1.0,
        provenance=Provenance(
            kind=Kind.MEASURED,
            source="Splitwise (ISCA'24), Mutinifni/splitwise-sim data/perf_model.csv, medians",
            date=date,
            note="16-bit weights; attention of prompts within linear_prefill, of decodes derived from HBM bandwidth; "
            "engine of 2023, decode 1.5-2.3 times slower than vLLM 0.15; MIT",
        ),
    )


def _long_alone(attention_batch: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Cells of one request alone, whose context the table's prompt sweep covers."""
    return np.outer(attention_batch == 1, context <= LONGEST_CONTEXT)


if __name__ == "__main__":
    _, csv_path, out_dir, iso_date = sys.argv
    fitted = fit_splitwise(Path(csv_path), date=iso_date)
    for key in sorted({(p.gpu, p.model) for p in fitted}):
        write_profiles(
            Path(out_dir, PROFILE_SET, key[0], f"{key[1]}.json"), [p for p in fitted if (p.gpu, p.model) == key]
        )
