"""How far the source's tables reach, which its interpolation never says."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas
import yaml

from hw_catalog.bake_recipe import KV_MODES, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRange:
    """What was measured for one combination.

    Attributes:
        engine_version: version of the engine whose kernels were measured.
        linear_max_tokens: most tokens in a step with every GEMM and expert table measured.
        prefill_max_tokens: longest sequence of the prefill-attention table; 0 where the head shape is not in it.
        decode_max_context_tokens: decoding batch -> longest context measured with it; empty without the head shape.
    """

    engine_version: str
    linear_max_tokens: int
    prefill_max_tokens: int
    decode_max_context_tokens: Mapping[int, int]


def measured_range(target: Target) -> MeasuredRange:
    """The range of the tables that the source interpolates for a combination.

    The prefill-attention table holds whole prompts only; the source derives a chunk on top of past tokens from it, so
    what counts is the sequence length at the chunk's end.
    """
    systems = Path(importlib.import_module("aiconfigurator_core").__path__[0], "systems")
    version = _current_version(systems, target)
    tables = _Tables(root=systems / "data" / target.system, engine=target.engine, version=version)
    heads = target.text["num_attention_heads"] // target.tp
    latent = "kv_lora_rank" in target.text
    prefill = tables.latent("context", heads, target.kv_dtype) if latent else tables.attention("context", target)
    decode = tables.latent("generation", heads, target.kv_dtype) if latent else tables.attention("generation", target)
    return MeasuredRange(
        engine_version=version,
        linear_max_tokens=tables.linear_max_tokens(target),
        prefill_max_tokens=prefill.get(1, 0),
        # A step over n past tokens attends to n + 1.
        decode_max_context_tokens={batch: past_tokens + 1 for batch, past_tokens in decode.items()},
    )


def _current_version(systems: Path, target: Target) -> str:
    """The engine version that the source answers for."""
    slots = yaml.safe_load((systems / "query_versions.yaml").read_text(encoding="utf-8"))
    own = (slots.get("overrides") or {}).get(target.system, {})
    return str((own.get(target.engine) or slots["defaults"][target.engine])["current"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    """The parquet tables of one system, engine and version."""

    root: Path
    engine: str
    version: str

    def read(self, family: str, name: str) -> pandas.DataFrame:
        """One table as a data frame."""
        return pandas.read_parquet(self.root / family / self.engine / self.version / f"{name}_perf.parquet")

    def linear_max_tokens(self, target: Target) -> int:
        """Largest token count that the GEMM table and, for a mixture of experts, the expert table both hold."""
        gemm = self.read("gemm", "gemm")
        measured = gemm.m[gemm.gemm_dtype == target.quant.gemm]
        if measured.empty:
            raise ValueError(f"the GEMM table has no rows of {target.quant.gemm}")
        reach = int(measured.max())
        if experts(target.text):
            moe = self.read("moe", "moe")
            fits = (moe.moe_dtype == target.quant.moe) & (moe.hidden_size == target.text["hidden_size"])
            measured = moe.num_tokens[fits & (moe.num_experts == experts(target.text))]
            if measured.empty:
                raise ValueError(f"the expert table has no rows of {target.quant.moe} and this shape")
            reach = min(reach, int(measured.max()))
        return reach

    def latent(self, phase: str, heads: int, kv_dtype: str) -> dict[int, int]:
        """Batch -> longest sequence of the multi-head latent attention block."""
        whole = self.root / "mla" / self.engine / self.version / f"mla_{phase}_module_perf.parquet"
        table = self.read("mla", f"mla_{phase}_module" if whole.is_file() else f"{phase}_mla")
        return _reach(table[(table.num_heads == heads) & (table.kv_cache_dtype == KV_MODES[kv_dtype])], phase)

    def attention(self, phase: str, target: Target) -> dict[int, int]:
        """Batch -> longest sequence of the attention kernel with this head shape, or with both neighbouring ones."""
        config = target.text
        head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
        heads, kv_heads = config["num_attention_heads"] // target.tp, max(1, config["num_key_value_heads"] // target.tp)
        table = self.read("attention", f"{phase}_attention")
        table = table[(table.head_dim == head_dim) & (table.kv_cache_dtype == KV_MODES[target.kv_dtype])]
        if "window_size" in table:
            table = table[table.window_size == 0]
        grouped = table.num_heads if heads == kv_heads else kv_heads
        table = table[table.num_key_value_heads == grouped]
        measured = sorted(set(table.num_heads))
        around = {
            max((n for n in measured if n <= heads), default=0),
            min((n for n in measured if n >= heads), default=0),
        }
        if 0 in around:
            return {}
        reaches = [_reach(table[table.num_heads == n], phase) for n in around]
        return {batch: min(reach.get(batch, 0) for reach in reaches) for batch in reaches[0]}


def _reach(table: pandas.DataFrame, phase: str) -> dict[int, int]:
    """Batch -> longest sequence in a table."""
    lengths = table["isl"] if phase == "context" else table["step"]
    longest = lengths.groupby(table["batch_size"]).max()
    return dict(zip(longest.index.tolist(), longest.tolist(), strict=True))


def experts(hf_config: Mapping[str, object]) -> int:
    """Routed experts of a model; 0 for a dense one."""
    found = [hf_config.get(key) for key in ("num_local_experts", "n_routed_experts", "num_experts")]
    return next((count for count in found if isinstance(count, int)), 0)
