"""Manifests agree with what the stacks publish, and hold options that the engines of that release define."""

import copy
import json
from typing import Any

import pytest
import yaml

from hw_catalog.engine_flags import FLAGS
from planner.errors import BadInput
from planner.files.lws import leader_worker_sets
from planner.files.stacks import dynamo, llm_d
from planner.perf.layout import Role
from tests.planner.files.published_schemas import ENGINE_FLAGS, SCHEMAS, wrong
from tests.planner.files.test_manifests import PLANS, candidate, deployed, neutral, pool

MIXED = [name for name in PLANS if name in ("mixed", "over machines")]


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize("name", MIXED)
def test_leader_worker_sets_follow_their_type(name: str, engine: str) -> None:
    """A set for each pool: as many groups as instances, as many pods as machines, their GPUs, and a service."""
    version = {"vllm": "0.24.0", "sglang": "0.5.14"}[engine]
    plan = deployed(PLANS[name], engine=engine, engine_version=version)
    sets, services = [], []
    for document in yaml.safe_load_all(leader_worker_sets(plan)):
        (sets if document["kind"] == "LeaderWorkerSet" else services).append(document)
    assert [wrong("leader_worker_set", each) for each in sets] == [[]] * len(plan.workers)
    for made, service, worker in zip(sets, services, plan.workers, strict=True):
        group = made["spec"]["leaderWorkerTemplate"]
        assert (made["spec"]["replicas"], group["size"]) == (worker.replicas, worker.nodes)
        pods = [group[part]["spec"]["containers"][0] for part in ("leaderTemplate", "workerTemplate")]
        assert [pod["resources"]["limits"]["nvidia.com/gpu"] for pod in pods] == [str(worker.node_gpus)] * 2
        assert service["spec"]["selector"]["leaderworkerset.sigs.k8s.io/name"] == made["metadata"]["name"]
        words = " ".join(pods[0]["command"])
        assert plan.model in words
        assert ("LWS_" in words) == (worker.nodes > 1)


def test_what_no_leader_worker_set_starts_is_refused() -> None:
    """Pools that hand requests to each other need a router; TensorRT-LLM has no published example."""
    with pytest.raises(BadInput, match="between which a router moves requests"):
        leader_worker_sets(neutral("split"))
    other = deployed(candidate(pool(Role.MIXED, 1, 1, tp=8)), engine="trtllm", engine_version="1.3.0rc20")
    with pytest.raises(BadInput, match="expected one for vllm or sglang"):
        leader_worker_sets(other)


def _renamed(document: Any, path: tuple[Any, ...], new: str) -> Any:
    made = copy.deepcopy(document)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[new] = at.pop(path[-1])
    return made


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("dynamo_graph", ("spec", "components", 0, "podTemplate", "spec", "containers", 0, "image")),
        ("dynamo_graph", ("spec", "components", 1, "replicas")),
        ("chart_values", ("decode", "containers", 0, "args")),
        ("chart_values", ("decode", "parallelism")),
    ],
)
def test_a_misspelled_key_is_noticed(kind: str, path: tuple[Any, ...]) -> None:
    """The schemas are closed: a key that the stack does not have is an error here, as it is in the cluster."""
    write = dynamo if kind == "dynamo_graph" else llm_d
    made = yaml.safe_load(write(neutral("split")))
    assert wrong(kind, made) == []
    assert wrong(kind, _renamed(made, path, f"{path[-1]}s")) != []


def test_every_schema_says_where_it_is_from() -> None:
    """Source and licence, and the digest of the file where there was one."""
    for name, part in SCHEMAS.items():
        assert "Apache-2.0" in part["source"] or part["source"].startswith(("the same file", "pod,")), name
        assert len(part.get("sha256_of_source", "0" * 64)) == 64


@pytest.mark.parametrize("release", sorted(ENGINE_FLAGS))
def test_every_flag_is_one_of_the_release(release: str) -> None:
    """What manifests may write is defined in the engine's own argument file; --no- switches a boolean off."""
    engine = release.partition(" ")[0]
    defined = set(ENGINE_FLAGS[release]["flags"])
    written = {flag.name for flag in FLAGS if flag.engine == engine}
    assert written
    assert {name for name in written if name not in defined and name.replace("--no-", "--", 1) not in defined} == set()


@pytest.mark.parametrize("release", sorted(ENGINE_FLAGS))
def test_every_value_is_one_of_the_release(release: str) -> None:
    """Where the engine's parser takes some values alone, manifests write none but these, each named."""
    legal = ENGINE_FLAGS[release]["values"]
    written = {flag.name: flag.values for flag in FLAGS if flag.engine == release.partition(" ")[0]}
    assert {
        name: set(written[name]) - set(legal[name]) for name in legal if set(written[name]) - set(legal[name])
    } == {}
    assert [name for name in legal if not written[name]] == []


OVERRIDES = {
    "": ("enable_chunked_prefill", "kv_cache_config", "speculative_config", "scheduler_config",
         "cache_transceiver_config", "disable_overlap_scheduler"),
    "kv_cache_config": ("enable_block_reuse", "free_gpu_memory_fraction", "dtype", "tokens_per_block"),
    "speculative_config": ("decoding_type", "num_nextn_predict_layers", "max_draft_len"),
    "scheduler_config": ("capacity_scheduler_policy",),
    "cache_transceiver_config": ("backend",),
}  # fmt: skip
"""Keys of TensorRT-LLM's arguments that overrides may hold; its models forbid others.

Source: NVIDIA/TensorRT-LLM, tensorrt_llm/llmapi/llm_args.py (Apache-2.0), read at fcd3f31 and in two later copies,
the last of shortly before 1.3: ``disable_overlap_scheduler`` is a field of TorchLlmArgs, the other keys on top of
BaseLlmArgs, which it extends; those below are of KvCacheConfig, MTPDecodingConfig, SchedulerConfig and
CacheTransceiverConfig. The release candidate that manifests name was not among them.
"""

VALUES = {
    "decoding_type": {"MTP"},
    "capacity_scheduler_policy": {"MAX_UTILIZATION", "GUARANTEED_NO_EVICT", "STATIC_BATCH"},
    "backend": {"DEFAULT", "UCX", "NIXL", "MPI"},
}
"""Words that keys take; of the backends those of every version read since they are in capitals. Source: as above."""


@pytest.mark.parametrize("name", PLANS)
def test_overrides_hold_keys_of_the_engine(name: str) -> None:
    """What TensorRT-LLM has no flag for is one JSON object, as Dynamo reads it, of keys that its arguments have."""
    plan = getattr(PLANS[name], "candidate", PLANS[name])
    for worker in deployed(plan, engine="trtllm", engine_version="1.3.0rc20").workers:
        words = list(worker.arguments)
        made = json.loads(words[words.index("--override-engine-args") + 1])
        assert set(made) <= set(OVERRIDES[""])
        for key, value in made.items():
            assert not isinstance(value, dict) or set(value) <= set(OVERRIDES[key])
            below = value if isinstance(value, dict) else {}
            assert {name for name in below.keys() & VALUES.keys() if below[name] not in VALUES[name]} == set()


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("release", sorted(ENGINE_FLAGS))
def test_a_parser_of_the_release_takes_what_is_written(release: str, name: str) -> None:
    """Arguments of each plan's pools are options of the release, with values that it takes."""
    engine, _, version = release.partition(" ")
    known, legal = set(ENGINE_FLAGS[release]["flags"]), ENGINE_FLAGS[release]["values"]
    plan = getattr(PLANS[name], "candidate", PLANS[name])
    for worker in deployed(plan, engine=engine, engine_version=version).workers:
        words = list(worker.arguments)
        assert words[0].startswith("--")
        for flag, value in zip(words, [*words[1:], "--"], strict=True):
            if flag.startswith("--"):
                assert flag in known or flag.replace("--no-", "--", 1) in known, flag
                assert flag not in legal or value in legal[flag], (flag, value)
