"""The precision of a plan: whose it is, that there is one, and that the answer says it."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hw_catalog.profile_files import load_profiles
from planner.files.texts import as_csv
from planner.report.plans import plan_page
from planner.report.rich import drawn
from planner.resolve.case import open_case
from planner.resolve.precision import Formats, brought_kv, plan_formats
from planner.results.choice import Choice, Standing
from planner.results.evidence import ValidatedPlan
from planner.results.precision import Served, Variant, precision
from planner.scenario import Scenario
from tests.planner import plans
from tests.planner.files.test_manifests import PRICES
from workloads.models import load_model, model_from_config

ASKED: dict[str, Any] = {
    "name": "asked",
    "model": {"name": "deepseek-v3"},
    "workload": {
        "rate_req_per_s": 10,
        "lengths": {
            "prompt": {"median_tokens": 1000, "p95_tokens": 2000}, "output": {"median_tokens": 100, "p95_tokens": 200}
        },
    },
    "slo": {"ttft_p99_s": 5.0, "tpot_p90_s": 0.1},
    "catalog": {"machines": ["hgx-h200", "dgx-b200"]},
    "policy": {"name": "colocated"},
}  # fmt: skip


def _asked(tmp_path: Path, *sets: str) -> Scenario:
    import yaml

    file = tmp_path / "asked.yaml"
    file.write_text(yaml.safe_dump(ASKED))
    return Scenario.load(file, sets)


def _served() -> ValidatedPlan:
    """The plan of the tests, with what its pools serve the model in."""
    ways = tuple(
        Served(
            pool=pool.spec.name, dtype="bf16", kv_dtype="fp8", engine="vllm", engine_version="0.24.0",
            checkpoint="meta-llama/Llama-3.1-70B-Instruct", stored="bf16",
        )
        for pool in plans.candidate().pools
    )  # fmt: skip
    return replace(plans.plan(), served=ways)


@pytest.mark.parametrize(
    ("model", "kv_dtype", "gpus", "dtype"),
    [
        ("llama-3.1-70b", "bf16", ("h100-sxm",), "bf16"),
        ("deepseek-v3", "bf16", ("h200-sxm", "b200-sxm"), "fp8"),
        ("deepseek-v3", "fp8", ("b200-sxm",), "fp8"),
        ("gpt-oss-120b", "bf16", ("h100-sxm",), "fp4"),
        ("qwen3-235b-a22b", "bf16", ("h200-sxm", "b200-sxm"), "fp8"),
    ],
)
def test_a_model_is_served_in_its_own_format(model: str, kv_dtype: str, gpus: tuple[str, ...], dtype: str) -> None:
    """Left open, the format is the first that the authors of the model publish it in and that was measured."""
    profiles = load_profiles(None, model=model, profile_set="aiconfigurator-0.12")
    found = plan_formats(Formats(kv_dtype=kv_dtype), load_model(model), profiles, gpus)
    assert found == (dtype, kv_dtype)
    asked = plan_formats(Formats(dtype="fp4", kv_dtype=kv_dtype), load_model(model), profiles, gpus)
    assert asked == ("fp4", kv_dtype)


@pytest.mark.parametrize(
    ("model", "dtype", "checkpoint", "kv_dtype"),
    [
        ("llama-3.1-70b", None, None, "bf16"),
        ("llama-3.1-70b", "fp4", None, "fp8"),
        ("llama-3.1-70b", "fp4", "mine/llama-fp4", "bf16"),
        ("llama-3.1-70b", "fp8", None, "bf16"),
        ("llama-2-7b", None, None, "bf16"),
    ],
)
def test_kv_is_in_the_format_that_engines_choose(
    model: str, dtype: str | None, checkpoint: str | None, kv_dtype: str
) -> None:
    """Left open, the KV cache is fp8 where the known checkpoint brings scales for it, else in 16 bits.

    NVIDIA's FP4 checkpoints of Llama-3.1 have ``kv_cache_quant_algo`` FP8; of weights that are not known nothing is.
    """
    profiles = load_profiles(None, model=model, profile_set="aiconfigurator-0.12")
    wanted = Formats(dtype=dtype, checkpoint=checkpoint)
    assert plan_formats(wanted, load_model(model), profiles, ("b200-sxm", "h100-sxm"))[1] == kv_dtype


def test_a_config_of_ones_own_says_its_kv_format() -> None:
    """A config.json with ``kv_cache_scheme`` is planned with an fp8 KV cache."""
    scheme = {"quant_method": "fp8", "kv_cache_scheme": {"num_bits": 8, "type": "float"}}
    sizes = {
        "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 256,
        "num_attention_heads": 4, "vocab_size": 1000, "max_position_embeddings": 512,
    }  # fmt: skip
    assert brought_kv(model_from_config({**sizes, "quantization_config": scheme}, "m"), "fp8", None) == "fp8"
    assert brought_kv(model_from_config({**sizes, "torch_dtype": "float16"}, "m"), "fp16", None) == "fp16"


@pytest.mark.parametrize("sets", [(), ("model.kv_dtype=fp8",), ("model.dtype=fp4",)])
def test_a_plan_has_one_precision(tmp_path: Path, sets: tuple[str, ...]) -> None:
    """Every option of every machine is in the same number formats; machines without a profile in them are excused."""
    case = open_case(_asked(tmp_path, *sets), "colocated")
    assert {(case.profiles[o.spec.name].dtype, case.profiles[o.spec.name].kv_dtype) for o in case.options} <= {
        (case.variant.dtype, case.variant.kv_dtype)
    }
    assert case.dtype == ("fp4" if "model.dtype=fp4" in sets else "fp8")
    offered = {o.spec.machine for o in case.options}
    missing = {name for name in case.scenario.catalog.machines if name not in offered}
    assert all(any(name in e.option for e in case.excuses) for name in missing)


def test_the_verdict_names_precision_and_engine() -> None:
    """Weights, KV cache, engine and release stand in the verdict; an optimum says among what it is one."""
    console = Console(width=200, record=True, file=StringIO())
    answer = _served()
    proven = replace(answer, certificate=replace(answer.certificate, gap_frac=0.0))
    console.print(drawn(plan_page(proven, plans.scenario()), ["all"]))
    said = " ".join(console.export_text().split())
    assert "bf16 weights, fp8 KV cache, vllm 0.24.0; policy" in said.partition("What to buy")[0]
    assert "proven optimal among the machines and layouts offered with bf16 weights, fp8 KV cache, vllm 0.24.0" in said


def test_every_pool_of_a_table_names_its_checkpoint() -> None:
    """CSV holds formats, engine, release and checkpoint of each pool, empty where a plan does not say."""
    (first, *_) = csv.DictReader(StringIO(as_csv(_served(), PRICES)))
    assert [first[key] for key in ("dtype", "kv_dtype", "engine", "engine_version", "checkpoint")] == [
        "bf16", "fp8", "vllm", "0.24.0", "meta-llama/Llama-3.1-70B-Instruct",
    ]  # fmt: skip
    assert next(csv.DictReader(StringIO(as_csv(plans.plan(), PRICES))))["checkpoint"] == ""


def test_other_precisions_say_whether_they_were_simulated() -> None:
    """A row of the table says what speaks for it, and that the question keeps it out; unknown figures are none.

    The optimum at the first load limits is no bound on what a search finds: 308 req/s by it were 361 when searched.
    """
    row = Choice(
        variant=Variant(profile_set="aiconfigurator-0.12", dtype="fp8", kv_dtype="fp8"), engine="vllm",
        engine_version="0.24.0", policy="colocated", allowed=False, standing=Standing.BOUND, objective_value=41.4,
        bound=None, cost_usd_per_h=41.4, power_w=20400.0, machines=2, gpus=16, gpu_tokens_per_s=100.0,
        user_tokens_per_s=None, usd_per_million_prompt_tokens=0.5, usd_per_million_output_tokens=None,
    )  # fmt: skip
    console = Console(width=200, record=True, file=StringIO())
    chosen = replace(
        row, allowed=True, standing=Standing.CHOSEN, objective_value=60.0, cost_usd_per_h=60.0, bound=60.0,
        user_tokens_per_s=20.0, usd_per_million_output_tokens=1.0, concurrency=64.0,
    )  # fmt: skip
    console.print(drawn(plan_page(replace(_served(), choices=(row, chosen)), plans.scenario()), ["choices"]))
    table = console.export_text().partition("Precisions, engines and policies")[2]
    assert "$41.40/h" in table
    assert "bound only, not allowed" in table
    assert "the row may come out better or worse" in " ".join(table.split())
    assert "every row" not in table  # the requests that rows may have simulated are limited
    assert table.count("n/a") == 4  # of the row with a bound only


def test_releases_of_one_engine_are_told_together() -> None:
    """Pools whose kernels were measured with two releases name the formats once, and both releases."""
    one, other = _served().served
    words = precision((one, replace(other, engine_version="0.14.0")))
    assert words == "bf16 weights, fp8 KV cache, vllm 0.14.0 and 0.24.0"
