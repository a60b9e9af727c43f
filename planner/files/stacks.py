"""Manifests of the two stacks.

Source: for Dynamo the v1beta1 types of ``DynamoGraphDeployment`` (ai-dynamo/dynamo, deploy/operator/api/v1beta1 at
006b6e1 and 0fddc01) and examples/backends/vllm/deploy/v1beta1/disagg.yaml at 14a3b0d; for llm-d the values of the chart
llm-d-modelservice (llm-d-incubation/llm-d-modelservice, values.schema.tmpl.json at 00b82e2, values.yaml at b5d214f)
and guides/pd-disaggregation/ms-pd/values.yaml of llm-d/llm-d at 0b8cde6.
"""

from itertools import zip_longest
from math import ceil
from typing import Any

import yaml

from hw_catalog.engine_flags import DYNAMO_ENGINES
from planner.errors import BadInput
from planner.files.workers import Deployment, Worker
from planner.perf.layout import Role

DYNAMO_IMAGES = {
    engine: f"nvcr.io/nvidia/ai-dynamo/{name}-runtime:1.3.0"
    for engine, name in (("vllm", "vllm"), ("sglang", "sglang"), ("trtllm", "tensorrtllm"))
}
LLM_D_IMAGE = "ghcr.io/llm-d/llm-d-cuda:v0.5.1"
HUB_SECRET = "hf-token-secret"  # noqa: S105  the name of a secret, as in the stacks' examples
_TYPES = {Role.PREFILL: "prefill", Role.DECODE: "decode", Role.MIXED: "worker"}
_SERVICE_PORT, _ENGINE_PORT, _SIDE_PORT = 8000, 8200, 5600
_NODE_LABEL = "phasewise/machine"
_BESIDE_FRAC = 0.1  # of the weights: tokenizer and whatever else a repository holds
_MODEL = {"vllm": "--model", "sglang": "--model-path", "trtllm": "--model-path"}

Yaml = dict[str, Any]


def dynamo(plan: Deployment) -> str:
    """A ``DynamoGraphDeployment`` for each cell: a frontend and one component per pool."""
    shipped = f"{plan.engine} {DYNAMO_ENGINES[plan.engine]}"
    head = _comment(plan, "kubectl apply -f FILE", f"Dynamo 1.3.0 holds {shipped}")
    return head + "---\n".join(_dump(_graph(part)) for part in plan.parts())


def _graph(plan: Deployment) -> Yaml:
    """The deployment of one cell, or of a plan in one pool."""
    frontend = {
        "name": "Frontend", "type": "frontend", "replicas": 1,
        "podTemplate": {"spec": {"containers": [{"name": "main", "image": DYNAMO_IMAGES[plan.engine]}]}},
    }  # fmt: skip
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": plan.name, "annotations": {"phasewise/status": plan.status}},
        "spec": {
            "backendFramework": plan.engine,
            "components": [frontend, *(_component(plan, w) for w in plan.workers)],
        },
    }


def _component(plan: Deployment, worker: Worker) -> Yaml:
    mode = [] if worker.role is Role.MIXED else ["--disaggregation-mode", _TYPES[worker.role]]
    container: Yaml = {
        "name": "main",
        "image": DYNAMO_IMAGES[plan.engine],
        "command": ["python3", "-m", f"dynamo.{plan.engine}"],
        "args": [_MODEL[plan.engine], worker.model, *mode, *worker.arguments],
        "envFrom": [{"secretRef": {"name": HUB_SECRET}}],
        "resources": {"limits": {"nvidia.com/gpu": str(worker.node_gpus)}},
    }
    template: Yaml = {"spec": {"nodeSelector": {_NODE_LABEL: worker.machine}, "containers": [container]}}
    if worker.notes:
        template["metadata"] = {"annotations": dict(worker.notes)}
    made: Yaml = {
        "name": worker.name,
        "type": _TYPES[worker.role],
        "replicas": worker.replicas,
        "podTemplate": template,
    }
    if worker.nodes > 1:
        made["multinode"] = {"nodeCount": worker.nodes}
    return made


def llm_d(plan: Deployment) -> str:
    """Values of the chart llm-d-modelservice: one document per release.

    A release holds one prefill and one decode pool. Further pools of a role are releases of their own, whose pods carry
    the same labels and so belong to the same inference pool. Mixed machines are decode pods without a prefill side.

    Raises:
        BadInput: the engine is not the one that the chart starts.
    """
    if plan.engine != "vllm":
        raise BadInput(f"--format llm-d: found a plan for {plan.engine}; expected one for vllm, or --format dynamo")
    ranked = [w.name for w in plan.workers if "--data-parallel-size" in w.arguments]
    if ranked:
        raise BadInput(
            f"--format llm-d: found attention ranks in {', '.join(ranked)}; expected tensor parallelism alone, or "
            "--format dynamo"
        )
    prefills = [w for w in plan.workers if w.role is Role.PREFILL]
    others = [w for w in plan.workers if w.role is not Role.PREFILL]
    documents = [
        _values(part, decode, prefill) for part in plan.parts() for decode, prefill in zip_longest(others, prefills)
    ]
    how = "helm install NAME llm-d-modelservice/llm-d-modelservice -f FILE, once for each document"
    return _comment(plan, how, "the release of its vllm is not known to phasewise") + "---\n".join(
        _dump(document) for document in documents
    )


def _values(plan: Deployment, decode: Worker | None, prefill: Worker | None) -> Yaml:
    split = any(w.role is not Role.MIXED for w in plan.workers)
    room_gib = ceil((1 + _BESIDE_FRAC) * plan.weights_bytes / 2**30)
    return {
        "multinode": any(w is not None and w.nodes > 1 for w in (decode, prefill)),
        "modelArtifacts": {
            "name": plan.model, "uri": f"hf://{plan.model}", "size": f"{room_gib}Gi", "authSecretName": HUB_SECRET,
            "labels": {"llm-d.ai/inferenceServing": "true", "llm-d.ai/model": plan.name},
        },
        "routing": {"servicePort": _SERVICE_PORT, "proxy": {"enabled": split, "targetPort": _ENGINE_PORT}},
        "decode": _pods(decode, _ENGINE_PORT if split else _SERVICE_PORT),
        "prefill": _pods(prefill, _SERVICE_PORT),
    }  # fmt: skip


def _pods(worker: Worker | None, port: int) -> Yaml:
    """The pods of one role; none are created where the release has no such pool."""
    if worker is None:
        return {"create": False, "replicas": 0}
    at = worker.arguments.index("--tensor-parallel-size")
    side = [{"containerPort": _SIDE_PORT, "name": "nixl", "protocol": "TCP"}] if worker.role is not Role.MIXED else []
    host = {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    number = {"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": str(_SIDE_PORT)}
    gpus = {"nvidia.com/gpu": str(worker.node_gpus)}
    return {
        "create": True,
        "replicas": worker.replicas,
        "nodeSelector": {_NODE_LABEL: worker.machine},
        # the chart writes --tensor-parallel-size itself, from here
        "parallelism": {"tensor": worker.tp, "workers": worker.nodes},
        "containers": [
            {
                "name": "vllm", "image": LLM_D_IMAGE, "modelCommand": "vllmServe", "mountModelVolume": True,
                "args": [*worker.arguments[:at], *worker.arguments[at + 2 :]],
                "env": [host, number] if side else [],
                "ports": [{"containerPort": port, "name": "vllm", "protocol": "TCP"}, *side],
                "resources": {"limits": gpus, "requests": gpus},
            }
        ],
    }  # fmt: skip


def _comment(plan: Deployment, how: str, image: str) -> str:
    """What stands above a manifest."""
    lines = (
        f"{plan.name}: {plan.words}",
        f"Apply: {how}",
        f"Weights: {plan.weights}. Served as: {plan.served}; the flags are those of that release.",
        f"Images: those of the stacks' published examples, pin your own; {image}.",
        f"Nodes need the label {_NODE_LABEL}.",
        *plan.cell_words,
        *(f"Not as simulated: {words}." for words in plan.differences),
        *(f"{w.name}: set by hand on its nodes: {', '.join(f'{k}={v}' for k, v in w.notes)}"
          for w in plan.workers if w.notes),
    )  # fmt: skip
    return "".join(f"# {line}\n" for line in lines)


def _dump(body: Yaml) -> str:
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=110)
