"""LeaderWorkerSets: instances that span machines, on plain Kubernetes.

Source: kubernetes-sigs/lws, config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml, docs/examples/vllm/GPU and
docs/examples/sglang at 060ab4d; vLLM's ``multi-node-serving.sh`` starts Ray, SGLang finds its leader by itself.
"""

import shlex
from typing import Any

import yaml

from planner.errors import BadInput
from planner.files.workers import Deployment, Worker
from planner.perf.layout import Role

Yaml = dict[str, Any]

_PORT, _GATHER_PORT = 8000, 20000
_SHM = "/dev/shm"  # noqa: S108  memory that GPUs of a pod share
_IMAGES = {"vllm": "vllm/vllm-openai:v{}", "sglang": "lmsysorg/sglang:v{}"}
_NODE_LABEL = "phasewise/machine"
_SECRET = "hf-token-secret"  # noqa: S105  the name of a secret, as in the other manifests
_RAY = "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh"


def leader_worker_sets(plan: Deployment) -> str:
    """A LeaderWorkerSet and a Service for each pool.

    Raises:
        BadInput: the engine has no such example, or pools hand requests to each other, which takes a router.
    """
    if plan.engine not in _IMAGES:
        raise BadInput(f"--format lws: found a plan for {plan.engine}; expected one for {' or '.join(_IMAGES)}")
    split = [worker.name for worker in plan.workers if worker.role is not Role.MIXED]
    if split:
        raise BadInput(
            f"--format lws: found the pools {', '.join(split)}, between which a router moves requests; expected mixed "
            "pools, or --format dynamo or llm-d"
        )
    documents = [
        document for part in plan.parts() for worker in part.workers
        for document in (_set(part, worker), _service(part, worker))
    ]  # fmt: skip
    lines = (
        f"{plan.name}: {plan.words}",
        "Apply: kubectl apply -f FILE, where the LeaderWorkerSet controller is installed",
        f"Weights: {plan.weights}. Served as: {plan.served}; image and flags are those of that release.",
        f"Nodes need the label {_NODE_LABEL}; the secret {_SECRET} holds HF_TOKEN.",
        *plan.cell_words,
        *(f"Not as simulated: {words}." for words in plan.differences),
        *(f"{w.name}: set by hand on its nodes: {', '.join(f'{k}={v}' for k, v in w.notes)}"
          for w in plan.workers if w.notes),
    )  # fmt: skip
    head = "".join(f"# {line}\n" for line in lines)
    return head + "---\n".join(yaml.safe_dump(each, sort_keys=False, width=110) for each in documents)


def _set(plan: Deployment, worker: Worker) -> Yaml:
    """The instances of a pool, each a leader and its workers."""
    template: Yaml = {"size": worker.nodes, "restartPolicy": "RecreateGroupOnPodRestart"}
    template["leaderTemplate"] = _pod(plan, worker, leads=True)
    template["workerTemplate"] = _pod(plan, worker, leads=False)
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {
            "name": _name(plan, worker),
            "annotations": {"phasewise/status": plan.status, **dict(worker.notes)},
        },
        "spec": {"replicas": worker.replicas, "leaderWorkerTemplate": template},
    }


def _pod(plan: Deployment, worker: Worker, *, leads: bool) -> Yaml:
    """One machine's part of an instance."""
    gpus = {"nvidia.com/gpu": str(worker.node_gpus)}
    container: Yaml = {
        "name": "engine", "image": _IMAGES[plan.engine].format(plan.engine_version),
        "command": _command(plan, worker, leads=leads), "envFrom": [{"secretRef": {"name": _SECRET}}],
        "resources": {"limits": gpus, "requests": gpus}, "volumeMounts": [{"name": "shm", "mountPath": _SHM}],
    }  # fmt: skip
    if leads:
        container["ports"] = [{"containerPort": _PORT, "name": "http"}]
        container["readinessProbe"] = {"tcpSocket": {"port": _PORT}, "initialDelaySeconds": 15, "periodSeconds": 10}
    pod: Yaml = {
        "nodeSelector": {_NODE_LABEL: worker.machine}, "containers": [container],
        "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
    }  # fmt: skip
    return {**({"metadata": {"labels": {"role": "leader"}}} if leads else {}), "spec": pod}


def _command(plan: Deployment, worker: Worker, *, leads: bool) -> list[str]:
    """What starts the engine on one machine."""
    if plan.engine == "sglang":
        group = ["--dist-init-addr", f"$(LWS_LEADER_ADDRESS):{_GATHER_PORT}", "--nnodes", "$(LWS_GROUP_SIZE)",
                 "--node-rank", "$(LWS_WORKER_INDEX)"] if worker.nodes > 1 else []  # fmt: skip
        served = ["--host", "0.0.0.0", "--port", str(_PORT)]  # noqa: S104  inside a pod
        return ["python3", "-m", "sglang.launch_server", "--model-path", plan.model, *worker.arguments, *group, *served]
    if not leads:
        return ["sh", "-c", f"{_RAY} worker --ray_address=$(LWS_LEADER_ADDRESS)"]
    server = ["python3", "-m", "vllm.entrypoints.openai.api_server", "--port", str(_PORT), "--model", plan.model,
              *worker.arguments]  # fmt: skip
    if worker.nodes == 1:
        return server
    start = f"{_RAY} leader --ray_cluster_size=$(LWS_GROUP_SIZE)"
    return ["sh", "-c", f"{start}; {shlex.join([*server, '--distributed-executor-backend', 'ray'])}"]


def _service(plan: Deployment, worker: Worker) -> Yaml:
    """Where clients find the leaders of a pool."""
    name = _name(plan, worker)
    port = {"name": "http", "port": _PORT, "protocol": "TCP", "targetPort": _PORT}
    selector = {"leaderworkerset.sigs.k8s.io/name": name, "role": "leader"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"{name}-leader"},
            "spec": {"ports": [port], "selector": selector, "type": "ClusterIP"}}  # fmt: skip


def _name(plan: Deployment, worker: Worker) -> str:
    return f"{plan.name}-{worker.name}"
