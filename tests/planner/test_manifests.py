"""Rules of exported plans."""

import csv
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from planner.errors import BadInput
from planner.files.stacks import dynamo, llm_d
from planner.files.texts import as_csv, as_markdown
from planner.files.workers import Deployment, deployment
from planner.perf.layout import InstanceSpec, Layout, Role
from planner.results.plan import CandidatePlan, Pool
from tests.planner import plans

CONTAINER = {
    "type": "object",
    "required": ["name", "image"],
    "properties": {
        "name": {"type": "string"},
        "image": {"type": "string", "minLength": 1},
        "command": {"type": "array", "items": {"type": "string"}},
        "args": {"type": "array", "items": {"type": "string"}},
        "env": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        "envFrom": {"type": "array", "items": {"type": "object"}},
        "ports": {"type": "array", "items": {"type": "object", "required": ["containerPort"]}},
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                key: {"type": "object", "additionalProperties": {"type": "string"}} for key in ("limits", "requests")
            },
        },
        "workingDir": {"type": "string"},
        "modelCommand": {"enum": ["vllmServe", "imageDefault", "custom"]},
        "mountModelVolume": {"type": "boolean"},
    },
    "additionalProperties": False,
}
"""What a manifest here uses of a Kubernetes container, and the two keys that llm-d's chart adds to it."""

DYNAMO = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "nvidia.com/v1beta1"},
        "kind": {"const": "DynamoGraphDeployment"},
        "metadata": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "maxLength": 63, "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}},
        },
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "backendFramework": {"enum": ["sglang", "vllm", "trtllm"]},
                "components": {
                    "type": "array",
                    "maxItems": 25,
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {
                                "type": "string", "maxLength": 63, "pattern": "^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$"
                            },
                            "type": {"enum": ["frontend", "worker", "prefill", "decode", "planner", "epp"]},
                            "replicas": {"type": "integer", "minimum": 0},
                            "multinode": {
                                "type": "object",
                                "required": ["nodeCount"],
                                "properties": {"nodeCount": {"type": "integer", "minimum": 2}},
                            },
                            "podTemplate": {
                                "type": "object",
                                "required": ["spec"],
                                "properties": {
                                    "spec": {
                                        "type": "object",
                                        "required": ["containers"],
                                        "properties": {"containers": {"type": "array", "items": CONTAINER}},
                                    }
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip
"""The part of the schema that is used here.

Source: ai-dynamo/dynamo, deploy/operator/api/v1beta1/dynamographdeployment_types.go at 0fddc01 (components, at most 25,
backendFramework) and dynamocomponentdeployment_types.go at 006b6e1 (name, type, replicas, multinode, podTemplate with a
container named main); component types as used by examples/backends/vllm/deploy/v1beta1/ at 14a3b0d and 369732d.
"""

PODS = {
    "type": "object",
    "properties": {
        "create": {"type": "boolean"},
        "replicas": {"type": "integer", "minimum": 0},
        "containers": {"type": "array", "items": CONTAINER},
        "parallelism": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
LLM_D = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "multinode": {"type": "boolean"},
        "modelArtifacts": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                **{key: {"type": "string"} for key in ("name", "size", "authSecretName", "mountPath")},
                "uri": {"type": "string", "pattern": "^(hf|pvc)://"},
                "labels": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "llm-d.ai/inferenceServing": {"type": "string"}, "llm-d.ai/model": {"type": "string"}
                    },
                },
            },
        },
        "routing": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "servicePort": {"type": "integer"},
                "proxy": {
                    "type": "object",
                    "properties": {"enabled": {"type": "boolean"}, "targetPort": {"type": "integer"}},
                },
            },
        },
        "decode": PODS,
        "prefill": PODS,
    },
}  # fmt: skip
"""The part of the schema that is used here, as closed as the chart's own.

Source: llm-d-incubation/llm-d-modelservice, charts/llm-d-modelservice/values.schema.tmpl.json at 00b82e2 and
values.yaml at b5d214f; ``parallelism`` as in guides/pd-disaggregation/ms-pd/values.yaml of llm-d/llm-d at 0b8cde6.
"""

SOURCE = "Hugging Face meta-llama/Llama-3.1-70B, config.json"


def pool(role: Role, machines: int, instances: int, **layout: int) -> Pool:
    spec = InstanceSpec(role=role, machine="dgx-h100", layout=Layout(**layout))
    return Pool(spec=spec, instances=instances, machines=machines, rate_req_per_s={"all": 5.0}, load_frac=0.5,
                kv_load_frac=0.2)  # fmt: skip


def candidate(*pools: Pool) -> CandidatePlan:
    return replace(plans.candidate(), pools=pools)


PLANS: dict[str, Any] = {
    "split": plans.plan(),
    "mixed": candidate(pool(Role.MIXED, 3, 6, tp=4)),
    "two pools of a role": candidate(
        pool(Role.PREFILL, 1, 2, tp=4), pool(Role.PREFILL, 2, 2, tp=8), pool(Role.DECODE, 1, 1, tp=8, ep=8)
    ),
    "over machines": candidate(pool(Role.PREFILL, 4, 2, tp=8, pp=2), pool(Role.DECODE, 1, 8, tp=1)),
}


def neutral(name: str) -> Deployment:
    return deployment(PLANS[name], plans.scenario(), model_source=SOURCE)


@pytest.mark.parametrize("name", PLANS)
def test_dynamo_accepts(name: str) -> None:
    """What is written for Dynamo follows the published types: one component per pool, a container named main."""
    body = yaml.safe_load(dynamo(neutral(name)))
    assert [e.message for e in Draft202012Validator(DYNAMO).iter_errors(body)] == []
    components = body["spec"]["components"]
    names = [c["name"].lower() for c in components]
    assert len(set(names)) == len(names) == 1 + len(neutral(name).workers)
    assert all(c["podTemplate"]["spec"]["containers"][0]["name"] == "main" for c in components)


@pytest.mark.parametrize("name", PLANS)
def test_llm_d_accepts(name: str) -> None:
    """What is written for llm-d follows the chart's schema; a release has at most one pool of a role."""
    documents = list(yaml.safe_load_all(llm_d(neutral(name))))
    for document in documents:
        assert [e.message for e in Draft202012Validator(LLM_D).iter_errors(document)] == []
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
    """Layout, batch limits, block size, memory share and cache transfer are flags of every engine."""
    changed = plans.scenario().changed(["policy.max_batch_size=128", "model.kv_dtype=fp8", "model.dtype=fp8"])
    split = deployment(plans.plan(), changed, model_source=SOURCE)
    words = " ".join(split.workers[0].arguments)
    for flag in (
        "--tensor-parallel-size 4", "--max-num-batched-tokens 2048", "--max-num-seqs 128", "--block-size 16",
        "--gpu-memory-utilization 0.9", "--quantization fp8", "--kv-cache-dtype fp8", "NixlConnector",
    ):  # fmt: skip
        assert flag in words
    assert "NixlConnector" not in " ".join(neutral("mixed").workers[0].arguments)
    assert "--enable-expert-parallel" in neutral("two pools of a role").workers[2].arguments
    assert "--pipeline-parallel-size" in neutral("over machines").workers[0].arguments
    assert split.model == "meta-llama/Llama-3.1-70B"
    assert deployment(plans.plan(), changed, model_source="table 2").model == "llama-3.1-70b"


def test_knobs_reach_the_operator() -> None:
    """A chunk becomes the engine's budget; clocks and caps, which no engine sets, stand above the manifest."""
    base = pool(Role.MIXED, 1, 1, tp=8)
    knobs = replace(base, spec=replace(base.spec, chunk_tokens=512, clock_mhz=1200, cap_w=500))
    plan = deployment(candidate(knobs), plans.scenario(), model_source=SOURCE)
    assert "512" in plan.workers[0].arguments
    for text in (dynamo(plan), llm_d(plan)):
        head = text.partition("\n\n")[0]
        assert "phasewise/clock-mhz=1200" in head
        assert "phasewise/power-cap-w=500" in head


@pytest.mark.parametrize("write", [dynamo, llm_d])
def test_only_validated_plans_are_called_validated(write: Any) -> None:
    """A candidate that the simulator has not confirmed is exported with the word unvalidated, whatever the format."""
    bare = plans.candidate()
    shown = [write(deployment(bare, plans.scenario(), model_source=SOURCE)), as_csv(bare)]
    shown.append(as_markdown(bare, plans.scenario()))
    assert all("unvalidated" in text.lower() for text in shown)
    held = [write(neutral("split")), as_csv(plans.plan()), as_markdown(plans.plan(), plans.scenario())]
    assert all("validated" in text.lower() and "unvalidated" not in text.lower() for text in held)


def test_layout_without_a_flag_is_refused() -> None:
    """A pool that no engine flag can describe is named, and nothing is written."""
    with pytest.raises(BadInput, match="kvp"):
        deployment(candidate(pool(Role.MIXED, 2, 1, tp=8, kvp=2)), plans.scenario(), model_source=SOURCE)


def test_csv_holds_the_pools() -> None:
    """One line per pool; the numbers are those of the plan."""
    rows = list(csv.DictReader(StringIO(as_csv(plans.plan()))))
    assert [int(row["machines"]) for row in rows] == [p.machines for p in plans.candidate().pools]
    assert {len(row) for row in rows} == {20}


def test_markdown_holds_verdict_and_objectives() -> None:
    """The page names the verdict first, then pools and objectives, and every line of a table has as many cells."""
    text = as_markdown(plans.plan(), plans.scenario())
    assert "**Validated**" in text
    for evidence in plans.judgement().evidence:
        assert evidence.slo in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1
