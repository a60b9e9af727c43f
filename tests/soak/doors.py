"""The doors of the product: what each reads, right examples of it, and the command that reads it."""

import csv
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from planner.files.plan_file import sealed
from tests.planner.measured_rows import APART, AT_ONCE, CLOSED_LOOP, OPEN_LOOP
from tests.planner.small import TEXT
from tests.soak.mutate import ODD, Place, as_json, paths, structural, textual

VARY = "whatif {folder}/right.yaml --vary workload.rate_req_per_s=30,50 --no-regret --workers 1 --json --quiet"
Spoil = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One kind of input.

    Attributes:
        name: of it.
        file: where it lies, in a folder.
        spoil: a wrong input made from the right one.
        commands: that read it, as words; ``{file}`` stands for the file, ``{folder}`` for the folder.
        right: the right input.
    """

    name: str
    file: str
    spoil: Spoil
    commands: tuple[str, ...]
    right: bytes


def of_json(data: bytes, draw: random.Random) -> bytes:
    """A JSON document spoilt, half of the time by its structure."""
    if draw.random() < 0.7:
        document, places = _read_json(data)
        return json.dumps(structural(document, draw, places)).encode("utf-8", "surrogatepass")
    return textual(data, draw)


def of_sealed(data: bytes, draw: random.Random) -> bytes:
    """A plan file spoilt; a third of them with the digest of what they say now, as a program of one's own writes it."""
    spoilt = of_json(data, draw)
    if draw.random() < 0.35:
        try:
            content = json.loads(spoilt)
            content.pop("content_sha256", None)
            return sealed(content).encode("utf-8", "surrogatepass")
        except (ValueError, AttributeError, TypeError):
            return spoilt
    return spoilt


def of_yaml(data: bytes, draw: random.Random) -> bytes:
    """A YAML document spoilt, most of the time by its structure."""
    if draw.random() < 0.6:
        document, places = _read_yaml(data)
        return yaml_bytes(structural(document, draw, places))
    return textual(data, draw)


@cache
def _read_json(data: bytes) -> tuple[Any, tuple[Place, ...]]:
    """A right document and where its values lie, read once; changed copies are made of it."""
    document = json.loads(data)
    return document, tuple(paths(document))


@cache
def _read_yaml(data: bytes) -> tuple[Any, tuple[Place, ...]]:
    """Likewise."""
    document = yaml.safe_load(data)
    return document, tuple(paths(document))


def yaml_bytes(document: object) -> bytes:
    """A document as YAML, by the fast writer where it can."""
    try:
        return yaml.dump(document, Dumper=_FAST, sort_keys=False, allow_unicode=True).encode()
    except (UnicodeError, yaml.YAMLError):
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


_FAST = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def of_lines(data: bytes, draw: random.Random) -> bytes:
    """A file of JSON lines spoilt, in one of them or anywhere."""
    if draw.random() < 0.5:
        lines = data.splitlines()
        place = draw.randrange(len(lines))
        lines[place] = json.dumps(structural(json.loads(lines[place]), draw)).encode("utf-8", "surrogatepass")
        return b"\n".join(lines) + b"\n"
    return textual(data, draw)


def of_csv(data: bytes, draw: random.Random) -> bytes:
    """A table spoilt: a field, a heading, a row, or any byte."""
    if draw.random() < 0.4:
        return textual(data, draw)
    rows = [line.split(b",") for line in data.splitlines()]
    row = rows[0] if draw.random() < 0.2 else draw.choice(rows)
    place = draw.randrange(len(row))
    kind = draw.randrange(3)
    if kind == 0:
        row[place] = str(draw.choice(ODD)).encode("utf-8", "surrogatepass")
    elif kind == 1:
        del row[place]
    else:
        row.insert(place, draw.choice(row))
    return b"\n".join(b",".join(row) for row in rows) + b"\n"


def of_setting(data: bytes, draw: random.Random) -> bytes:
    """A ``KEY=VALUE`` word spoilt: a key of the scenario with an odd value, or anything."""
    scenario = yaml.safe_load(TEXT) | {"power": {}, "budgets": {}, "growth": {}, "energy": {}, "solver": {}}
    if draw.random() < 0.2:
        return textual(data, draw).replace(b"\0", b"")
    keys = [path for path in paths(scenario) if path]
    key = ".".join(str(part) for part in draw.choice(keys))
    key += draw.choice(("", "", "", ".", ".x", "..y", ".0", ".-1"))
    value = draw.choice(
        (*(str(odd) for odd in ODD), "[1, 2", "{a: 1}", "&a [*a]", "!!python/name:os", "1:30", "yes", "[]")
    )
    return f"{key}={value}".replace("\0", "").encode("utf-8", "replace")


def of_words(data: bytes, draw: random.Random) -> bytes:
    """Words of a command line spoilt: a value is odd, too long or missing, a flag is there twice or unknown."""
    words: list[str] = json.loads(data)
    for _ in range(draw.choice((1, 1, 2))):
        place, kind = draw.randrange(len(words)), draw.randrange(6)
        odd = str(draw.choice((*ODD, 1e12, 10**9, "1,,2", "a=b", "\u00fc", "9" * 400, "--json"))).replace("\0", "")
        if kind < 3:
            words[place] = odd
        elif kind == 3:
            words.insert(place, odd)
        elif kind == 4:
            del words[place]
        else:
            words = [*words, *words[place : place + 2]]
        words = words or ["--json"]
    return json.dumps(words).encode("utf-8", "replace")


def table(*rows: Mapping[str, str]) -> bytes:
    """CSV of rows with the same keys."""
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


CARD = {
    "architectures": ["LlamaForCausalLM"], "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256,
    "torch_dtype": "bfloat16",
    "max_position_embeddings": 131072, "tie_word_embeddings": True, "model_type": "llama",
    "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 8192},
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
_MOONCAKE = b"".join(
    json.dumps({"timestamp": 500 * k, "input_length": 400 + k, "output_length": 50, "hash_ids": [0, k]}).encode()
    + b"\n"
    for k in range(20)
)
_PLAIN = b"arrived_at,num_prefill_tokens,num_decode_tokens\n" + b"".join(
    b"%d.5,%d,40\n" % (k, 300 + k) for k in range(20)
)
_AZURE = b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + b"".join(
    b"2023-11-16 18:15:%02d.6805900,%d,40\n" % (k, 300 + k) for k in range(20)
)
_CATALOG = resources.files("hw_catalog") / "data"
_MACHINES = b"""\
sources:
  quote: {kind: vendor, date: 2026-11-01, source: "our quote of November"}
machines:
  half-h100:
    {gpu: h100-sxm, gpus: 4, rated_w: 5600, idle_w: 1400, rack_units: 4, intra_link: nvlink-4,
     inter_link: infiniband-3200, prices: {reserved: {usd_per_h: 9.8, source: quote}},
     provenance: {gpus: quote, rated_w: quote, idle_w: quote, rack_units: quote}}
"""


_SAID = [{"from": "human", "value": "What is a pump?"}, {"from": "gpt", "value": "It moves water. " * 20}]
_SHAREGPT = as_json([{"id": f"x{k}", "conversations": _SAID} for k in range(4)])
_LMSYS = b"".join(
    json.dumps({"conversation": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello " * 9}]})
    .encode() + b"\n"
    for _ in range(4)
)  # fmt: skip
_AIPERF = b"".join(
    json.dumps({"session_id": f"s{k // 2}", **({"delay": 2000} if k % 2 else {"timestamp": 500 * k}),
                "input_length": 400 + k, "output_length": 50}).encode() + b"\n"
    for k in range(12)
)  # fmt: skip
_RESULTS: Mapping[str, object] = {
    "vllm": {"model_id": "meta-llama/Llama-3.1-8B-Instruct", "request_rate": 4.0, "max_concurrency": None,
             "burstiness": 1.0, "completed": 10, "total_input_tokens": 5000, "total_output_tokens": 400,
             "output_throughput": 390.0, "mean_ttft_ms": 25.0, "mean_tpot_ms": 8.0, "mean_e2el_ms": 817.0},
    "guidellm": {"benchmarks": [{"config": {"strategy": {"type_": "constant", "rate": 4.0},
                                            "backend": {"model": "llama-3.1-8b"}}, "metrics": {
        "prompt_token_count": {"successful": {"mean": 500}}, "output_token_count": {"successful": {"mean": 40}},
        "time_to_first_token_ms": {"successful": {"mean": 25}}, "inter_token_latency_ms": {"successful": {"mean": 8}},
        "request_latency": {"successful": {"mean": 0.8}}}}]},
}  # fmt: skip


def more_traces() -> tuple[Door, ...]:
    """Conversations and sessions; result files of benchmark clients; measured rows that a catalog is made from."""
    stats = ("workload stats {file} --json", "workload stats {file} --skip-bad-rows --json")
    served = "accuracy --data {file} --gpu h100 --tp 1 --dtype bf16 --engine vllm --json --quiet"
    made = "calibrate --measurements {file} --out {folder} --json --quiet"
    return (
        Door(name="trace-sharegpt", file="chat.json", spoil=of_json, commands=stats, right=_SHAREGPT),
        Door(name="trace-lmsys", file="chat.jsonl", spoil=of_lines, commands=stats, right=_LMSYS),
        Door(name="trace-aiperf", file="sessions.jsonl", spoil=of_lines, commands=stats, right=_AIPERF),
        *(Door(name=f"results-{name}", file="r.json", spoil=of_json, commands=(served,), right=as_json(each))
          for name, each in _RESULTS.items()),
        Door(name="calibrate", file="rows.csv", spoil=of_csv, commands=(made,), right=table(OPEN_LOOP, OPEN_LOOP)),
    )  # fmt: skip


def word_doors() -> tuple[Door, ...]:
    """Command lines, what is varied, and stdin."""
    asked = ["--model", "llama-3.1-8b", "--rate", "40", "--prompt", "200:400", "--output", "20", "--ttft", "1",
             "--tpot", "0.1", "--machines", "dgx-h100"]  # fmt: skip
    whatif = ["--vary", "workload.rate_scale=1,2", "--no-regret", "--json", "--quiet", "--workers", "1"]
    return (
        Door(name="flags-check", file="words", spoil=of_words, commands=("check {words}",),
             right=json.dumps(asked).encode()),
        Door(name="flags-whatif", file="words", spoil=of_words, right=json.dumps(whatif).encode(),
             commands=("whatif {folder}/right.yaml --journal {folder}/vary.jsonl {words}",)),
        Door(name="flags-stats", file="words", spoil=of_words, commands=("workload stats {folder}/trace.csv {words}",),
             right=json.dumps(["--time-unit", "s", "--columns",
                               "arrival=arrived_at,prompt=num_prefill_tokens,output=num_decode_tokens"]).encode()),
        Door(name="stdin", file="stdin", spoil=of_yaml, commands=("check - --json",), right=TEXT.encode()),
    )  # fmt: skip


def simple_doors() -> tuple[Door, ...]:
    """The doors whose right input needs no run before."""
    stats = ("workload stats {file} --json",)
    data = "accuracy --data {file} --json --quiet"
    return (
        Door(name="scenario", file="small.yaml", spoil=of_yaml, commands=("check {file} --json",), right=TEXT.encode()),
        Door(name="set", file="setting", spoil=of_setting, commands=("check {folder}/right.yaml --json --set {text}",),
             right=b"workload.rate_req_per_s=50"),
        Door(name="config", file="config.json", spoil=of_json, right=as_json(CARD),
             commands=("check {folder}/right.yaml --json --set model.name={file}",)),
        Door(name="trace-mooncake", file="trace.jsonl", spoil=of_lines, commands=stats, right=_MOONCAKE),
        Door(name="trace-vidur", file="trace.csv", spoil=of_csv, commands=stats, right=_PLAIN),
        Door(name="trace-azure", file="trace.csv", spoil=of_csv, commands=stats, right=_AZURE),
        Door(name="measured-closed", file="rows.csv", spoil=of_csv, commands=(data,), right=table(CLOSED_LOOP)),
        Door(name="measured-split", file="rows.csv", spoil=of_csv, commands=(data,), right=table(APART)),
        Door(name="measured-open", file="rows.csv", spoil=of_csv, commands=(data,), right=table(OPEN_LOOP)),
        Door(name="measured-offline", file="rows.csv", spoil=of_csv, commands=(data,), right=table(AT_ONCE)),
    )  # fmt: skip


def catalog_doors() -> tuple[Door, ...]:
    """The files of a catalog of one's own: in the layout of the built-in ones."""
    listed = ("catalog list gpus --directory {folder} --json", "catalog list machines --directory {folder}")
    check = ("catalog check --directory {folder} --json", *listed)
    whole = tuple(
        Door(name=f"catalog-{part}", file=f"{part}.yaml", spoil=of_yaml, commands=check,
             right=(_CATALOG / f"{part}.yaml").read_bytes())
        for part in ("gpus", "links", "power", "engines")
    )  # fmt: skip
    own = ("check {folder}/right.yaml --json --set catalog.directory={folder}",)
    profile = _CATALOG / "profiles/aiconfigurator-0.12/h100-sxm/llama-3.1-8b.json"
    return (
        Door(name="catalog-machines", file="machines.yaml", spoil=of_yaml, commands=check, right=_MACHINES),
        *whole,
        Door(name="profile", file="profiles/aiconfigurator-0.12/h100-sxm/llama-3.1-8b.json", spoil=of_json,
             commands=own, right=profile.read_bytes()),
    )  # fmt: skip


def plan_doors(plan: bytes, schedule: bytes, journal: bytes) -> tuple[Door, ...]:
    """The files that phasewise itself writes and reads again.

    Args:
        plan: of one load.
        schedule: a plan over time.
        journal: of a ``whatif`` over two rates.
    """
    kept = (
        "show {file}", "show {file} --json", "diff {folder}/plan.json {file}", "export {file} --format csv",
        "export {file} --format dynamo", "export {file} --format llm-d", "simulate {file} --json --quiet",
    )  # fmt: skip
    over_time = ("show {file}", "show {file} --json", "export {file} --format csv", "simulate {file} --epoch 0 --json")
    swept = (VARY + " --journal {file}",)
    return (
        Door(name="plan", file="edited.json", spoil=of_sealed, commands=kept, right=plan),
        Door(name="schedule", file="edited.json", spoil=of_sealed, commands=over_time, right=schedule),
        Door(name="journal", file="journal.jsonl", spoil=of_lines, commands=swept, right=journal),
    )  # fmt: skip


def write_right(folder: Path, plan: bytes = b"") -> None:
    """What commands read beside the file that is tried."""
    folder.mkdir(exist_ok=True)
    (folder / "right.yaml").write_text(TEXT)
    (folder / "trace.csv").write_bytes(_PLAIN)
    (folder / "plan.json").write_bytes(plan)
