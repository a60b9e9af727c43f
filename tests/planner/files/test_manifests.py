"""Rules of exported plans."""

import csv
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
import yaml

from planner.errors import BadInput
from planner.files.stacks import dynamo, llm_d
from planner.files.texts import as_csv
from planner.files.workers import Deployment, deployment
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.planning.plan import plan
from planner.resolve.prices import prices_of
from planner.results.evidence import ValidatedPlan
from planner.results.plan import CandidatePlan, Pool
from planner.results.precision import Served
from tests.planner import plans
from tests.planner.files.published_schemas import wrong
from tests.planner.small import small
from workloads.models import load_model

MODEL = load_model("llama-3.1-70b")
PRICES = {"dgx-a100": 10.5, "dgx-h100": 20.25}


def pool(role: Role, machines: int, instances: int, **layout: int) -> Pool:
    spec = InstanceSpec(role=role, machine="dgx-h100", layout=Layout(**layout))
    return Pool(spec=spec, instances=instances, machines=machines, rate_req_per_s={"all": 5.0}, load_frac=0.5,
                kv_load_frac=0.2)  # fmt: skip


def candidate(*pools: Pool) -> CandidatePlan:
    return replace(plans.candidate(), pools=pools)


def served(plan: CandidatePlan, **changed: Any) -> tuple[Served, ...]:
    """What the pools of a plan serve Llama-3.1-70B in, with changes."""
    way = Served(
        pool="", dtype="bf16", kv_dtype="bf16", engine="vllm", engine_version="0.24.0",
        checkpoint="meta-llama/Llama-3.1-70B-Instruct", stored="bf16", longest_tokens=14_000, context_tokens=14_336,
    )  # fmt: skip
    return tuple(replace(way, pool=pool.spec.name, **changed) for pool in plan.pools)


def validated() -> ValidatedPlan:
    return replace(plans.plan(), served=served(plans.candidate()))


PLANS: dict[str, Any] = {
    "split": validated(),
    "mixed": candidate(pool(Role.MIXED, 3, 6, tp=4)),
    "two pools of a role": candidate(
        pool(Role.PREFILL, 1, 2, tp=4), pool(Role.PREFILL, 2, 2, tp=8), pool(Role.DECODE, 1, 1, tp=8, ep=8)
    ),
    "over machines": candidate(pool(Role.MIXED, 4, 2, tp=8, pp=2)),
}


def neutral(name: str) -> Deployment:
    return deployed(PLANS[name])


def deployed(plan: CandidatePlan | ValidatedPlan, **changed: Any) -> Deployment:
    ways = served(plan, **changed) if isinstance(plan, CandidatePlan) else ()
    return deployment(plan, plans.scenario(), model=MODEL, served=ways)


@pytest.mark.parametrize("name", PLANS)
def test_dynamo_accepts(name: str) -> None:
    """What is written for Dynamo follows the published types: one component per pool, a container named main."""
    body = yaml.safe_load(dynamo(neutral(name)))
    assert wrong("dynamo_graph", body) == []
    components = body["spec"]["components"]
    names = [c["name"].lower() for c in components]
    assert len(set(names)) == len(names) == 1 + len(neutral(name).workers)
    assert all(c["podTemplate"]["spec"]["containers"][0]["name"] == "main" for c in components)


@pytest.mark.parametrize("name", PLANS)
def test_llm_d_accepts(name: str) -> None:
    """What is written for llm-d follows the chart's schema; a release has at most one pool of a role."""
    documents = list(yaml.safe_load_all(llm_d(neutral(name))))
    for document in documents:
        assert wrong("chart_values", document) == []
    made = [d[role] for d in documents for role in ("prefill", "decode") if d[role]["create"]]
    assert len(made) == len(neutral(name).workers)


@pytest.mark.parametrize("name", PLANS)
def test_stacks_deploy_the_same(name: str) -> None:
    """Both manifests hold every instance of the plan, and every GPU."""
    plan = PLANS[name]
    pools = getattr(plan, "candidate", plan).pools
    wanted = sorted((p.instances, p.spec.layout.gpus) for p in pools)
    found = []
    for c in yaml.safe_load(dynamo(neutral(name)))["spec"]["components"][1:]:
        gpus = int(c["podTemplate"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
        found.append((c["replicas"], gpus * c.get("multinode", {}).get("nodeCount", 1)))
    assert sorted(found) == wanted
    found = []
    for document in yaml.safe_load_all(llm_d(neutral(name))):
        for pods in (document["prefill"], document["decode"]):
            if pods["create"]:
                gpus = int(pods["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
                found.append((pods["replicas"], gpus * pods["parallelism"]["workers"]))
    assert sorted(found) == wanted


def test_engine_is_told_what_was_simulated() -> None:
    """Layout, longest request, batch limits, block size, memory share, formats and cache transfer are flags."""
    changed = plans.scenario().changed(["policy.max_batch_size=128", "model.kv_dtype=fp8", "model.dtype=fp8"])
    way = {"dtype": "fp8", "kv_dtype": "fp8", "checkpoint": MODEL.checkpoint("fp8").repository}
    ways = served(plans.candidate(), method="compressed-tensors", **way)
    split = deployment(replace(plans.plan(), served=ways), changed, model=MODEL)
    words = " ".join(split.workers[0].arguments)
    for flag in (
        "--tensor-parallel-size 4", "--max-model-len 14336", "--max-num-batched-tokens 2048", "--max-num-seqs 128",
        "--enable-chunked-prefill", "--no-enable-prefix-caching", "--block-size 16", "--gpu-memory-utilization 0.9",
        "--kv-cache-dtype fp8", "NixlConnector",
    ):  # fmt: skip
        assert flag in words
    assert "--quantization" not in words  # the checkpoint's config.json says it
    assert "NixlConnector" not in " ".join(neutral("mixed").workers[0].arguments)
    assert "--enable-expert-parallel" in neutral("two pools of a role").workers[2].arguments
    assert "--pipeline-parallel-size" in neutral("over machines").workers[0].arguments
    assert split.model == "RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8-dynamic"


def test_knobs_reach_the_operator() -> None:
    """A chunk becomes the engine's budget; clocks and caps, which no engine sets, stand above the manifest."""
    base = pool(Role.MIXED, 1, 1, tp=8)
    knobs = replace(base, spec=replace(base.spec, chunk_tokens=512, clock_mhz=1200, cap_w=500))
    plan = deployed(candidate(knobs))
    assert "512" in plan.workers[0].arguments
    for text in (dynamo(plan), llm_d(plan)):
        head = text.partition("\n\n")[0]
        assert "phasewise/clock-mhz=1200" in head
        assert "phasewise/power-cap-w=500" in head


@pytest.mark.parametrize("write", [dynamo, llm_d])
def test_only_validated_plans_are_called_validated(write: Any) -> None:
    """A candidate that the simulator has not confirmed is exported with the word unvalidated, whatever the format."""
    bare = plans.candidate()
    shown = [write(deployed(bare)), as_csv(bare, PRICES)]
    assert all("unvalidated" in text.lower() for text in shown)
    held = [write(neutral("split")), as_csv(plans.plan(), PRICES)]
    assert all("validated" in text.lower() and "unvalidated" not in text.lower() for text in held)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"engine_version": "2023"}, "vllm 2023, which manifests cannot start"),
        ({"engine": "nanogpt-xformers"}, "model.profile_set"),
        ({"checkpoint": ""}, "set model.checkpoint"),
        ({"checkpoint": "Qwen/Qwen3-32B"}, "expected meta-llama/Llama-3.1-70B-Instruct"),
        ({"dtype": "fp8"}, "expected RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8-dynamic"),
        ({"context_tokens": 0}, "plan again"),
        ({"context_tokens": 8192}, "found 14,000 tokens; expected at most 8,192"),
        ({"kv_dtype": "int8"}, "set model.kv_dtype"),
        ({"method": "quark"}, "vllm loads fp8"),
        ({"engine": "trtllm", "engine_version": "1.3.0rc20", "scaled_kv": "fp8"}, "set model.kv_dtype=fp8"),
    ],
)
def test_what_cannot_be_started_is_refused(changed: dict[str, Any], words: str) -> None:
    """A pool whose weights, formats or engine no flags start as simulated is named, with the key that helps."""
    with pytest.raises(BadInput, match=words) as refused:
        deployed(candidate(pool(Role.MIXED, 1, 1, tp=8)), **changed)
    assert all("mixed/dgx-h100/tp8" in problem or "expected" in problem for problem in refused.value.problems)


def test_kv_that_cannot_travel_is_refused() -> None:
    """Layouts between which the engine moves no KV, or that share one request's, are no manifest."""
    with pytest.raises(BadInput, match="kvp"):
        deployed(candidate(pool(Role.MIXED, 2, 1, tp=8, kvp=2)))
    with pytest.raises(
        BadInput, match=r"prefill tp8pp2 to decode tp1: vLLM's NixlConnector moves no KV of pipeline stages"
    ):
        deployed(candidate(pool(Role.PREFILL, 4, 2, tp=8, pp=2), pool(Role.DECODE, 1, 8, tp=1)))


def test_llm_d_starts_vllm_alone() -> None:
    """A plan for another engine is not written as values that start vLLM; Dynamo starts it."""
    plan = candidate(pool(Role.MIXED, 1, 1, tp=8))
    other = deployed(plan, engine="sglang", engine_version="0.5.14")
    with pytest.raises(BadInput, match="sglang"):
        llm_d(other)
    body = yaml.safe_load(dynamo(other))
    assert body["spec"]["backendFramework"] == "sglang"
    container = body["spec"]["components"][1]["podTemplate"]["spec"]["containers"][0]
    assert container["command"][-1] == "dynamo.sglang"
    assert container["args"][:2] == ["--model-path", "meta-llama/Llama-3.1-70B-Instruct"]
    assert "sglang-runtime" in container["image"]


def test_csv_holds_the_pools() -> None:
    """One line per pool; the numbers are those of the plan, every factor of the layout among them, and its money."""
    rows = list(csv.DictReader(StringIO(as_csv(plans.plan(), PRICES))))
    assert [float(row["cost_usd_per_h"]) for row in rows] == [
        p.machines * PRICES[p.spec.machine] for p in plans.candidate().pools
    ]
    ranks = [(p.spec.layout.tp, p.spec.layout.pp, p.spec.layout.dp, p.spec.layout.ep) for p in plans.candidate().pools]
    assert [tuple(int(row[key]) for key in ("tp", "pp", "dp", "ep")) for row in rows] == ranks
    assert [int(row["machines"]) for row in rows] == [p.machines for p in plans.candidate().pools]
    assert {len(row) for row in rows} == {24}
    assert {row["cells"] for row in rows} == {"1"}


@pytest.mark.parametrize("key", ["catalog.channel=on-demand", "catalog.price_scale={dgx-a100: 2, dgx-h100: 3}"])
def test_costs_of_a_table_are_those_of_its_plan(key: str) -> None:
    """Prices of machines are those that the plan was made with, and the costs of all pools are the plan's cost."""
    question = small(key)
    found = plan(question, progress=lambda *_: None)
    assert isinstance(found, ValidatedPlan)
    rows = list(csv.DictReader(StringIO(as_csv(found, prices_of(question)))))
    assert sum(float(r["cost_usd_per_h"]) for r in rows) == pytest.approx(found.candidate.totals.cost_usd_per_h, 1e-5)
