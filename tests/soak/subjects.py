"""What the senses are tried on: right documents of each kind of file, and what reads them."""

import csv
import io
import json
from collections.abc import Iterator
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from hw_catalog.engines import load_own_engines
from hw_catalog.load import load_catalog
from hw_catalog.strict_files import yaml_document
from planner.accuracy.measured import Exclusion
from planner.accuracy.names import Known
from planner.accuracy.tables import read_table
from planner.errors import BadInput
from planner.files.plan_file import read_plan
from tests.planner.measured_rows import APART, AT_ONCE, CLOSED_LOOP, OPEN_LOOP
from tests.soak.doors import CARD, yaml_bytes
from tests.soak.senses import NO_CELL, NO_ITEM, Subject
from tests.soak.walks import walks
from workloads.models import known_models, load_model
from workloads.readers import read_trace

_DATA = resources.files("hw_catalog") / "data"
_ENTRIES = 3
"""Of a part of the catalog in one file."""

_TEXTS = frozenset({
    "engine", "src_kind", "backend", "backend_version", "version", "precision", "model", "model_path", "hardware",
    "system", "gpu", "pp", "ep", "pp_size", "moe_ep_size", "attention_dp_size", "prefill_attention_dp_size",
    "decode_attention_dp_size", "session_id",
})  # fmt: skip
"""Columns of words, and those that may be left empty."""


def yaml_text(document: object) -> str:
    """A document as YAML."""
    return yaml_bytes(document).decode("utf-8", "surrogatepass")


def subjects(plan: bytes = b"") -> Iterator[Subject]:
    """Every one; a plan file too, where one is given."""
    yield from walks()
    if plan:
        yield Subject(
            name="plan", file="plan.json", right=(json.loads(plan),), text=json.dumps, values=("5", True), closed=False,
            read=partial(read_plan, edited_too=True), places=_number, silent=frozenset({"schema_version"}),
        )  # fmt: skip
    for part in ("gpus", "links", "machines", "power"):
        yield Subject(
            name=f"catalog-{part}", file=f"own/{part}.yaml", right=parts(part), text=yaml_text,
            read=lambda path: load_catalog(path.parent),
        )  # fmt: skip
    engines, _ = yaml_document((_DATA / "engines.yaml").read_text("utf-8"), "engines.yaml")
    yield Subject(
        name="catalog-engines", file="own/engines.yaml", right=(_apart(engines),), text=yaml_text,
        read=lambda path: load_own_engines(path.parent),
    )  # fmt: skip
    yield Subject(
        name="config", file="config.json", right=(CARD,), text=json.dumps, read=lambda path: load_model(str(path)),
        silent=frozenset({"torch_dtype", "architectures"}), closed=False,
    )  # fmt: skip
    tables = {"open": OPEN_LOOP, "closed": CLOSED_LOOP, "split": APART, "offline": AT_ONCE}
    for name, row in tables.items():
        rows = [dict(row) for _ in range(3)]
        yield Subject(
            name=f"measured-{name}", file="rows.csv", right=(rows,), text=_table, read=_measured,
            silent=_TEXTS, closed=False, rows="rows.csv:", first_row=2, values=NO_CELL,
        )  # fmt: skip
    yield from _traces()


def _traces() -> Iterator[Subject]:
    """Traces with columns, and sessions."""
    columns = {
        "azure": ("TIMESTAMP", "ContextTokens", "GeneratedTokens"),
        "vidur": ("arrived_at", "num_prefill_tokens", "num_decode_tokens"),
    }
    stamp = "2023-11-16 18:15:{:02d}.5"
    for name, keys in columns.items():
        rows = [
            dict(zip(keys, (stamp.format(k) if name == "azure" else f"{k}.5", str(300 + k), "40"), strict=True))
            for k in range(20)
        ]
        yield Subject(
            name=f"trace-{name}", file="t.csv", right=(rows,), text=_table, read=read_trace, closed=False,
            rows="line ", first_row=2, values=NO_CELL,
        )  # fmt: skip
    mooncake = [{"timestamp": 500 * k, "input_length": 400 + k, "output_length": 50} for k in range(20)]
    sessions = [
        {"session_id": f"s{k}", "timestamp": 500 * k, "input_length": 400 + k, "output_length": 50} for k in range(20)
    ]
    sessions.append({"session_id": "s0", "delay": 2000, "input_length": 60, "output_length": 50})
    for kind, rows in (("mooncake", mooncake), ("aiperf", sessions)):
        yield Subject(
            name=f"trace-{kind}", file="t.jsonl", right=(rows,), text=_lines, read=read_trace, closed=False,
            silent=_TEXTS, rows="line ", first_row=1, values=NO_ITEM,
        )  # fmt: skip


@cache
def parts(part: str) -> tuple[Any, ...]:
    """The built-in entries of one kind, some to a document, each with the sources that it names."""
    whole, _ = yaml_document((_DATA / f"{part}.yaml").read_text("utf-8"), part)
    names = list(whole[part])
    made = []
    for first in range(0, len(names), _ENTRIES):
        entries = {name: whole[part][name] for name in names[first : first + _ENTRIES]}
        used = json.dumps(entries)
        sources = {name: each for name, each in whole["sources"].items() if f'"{name}"' in used}
        made.append(_apart({"sources": sources, part: entries}))
    return tuple(made)


def _apart(document: Any) -> Any:
    """A copy in which nothing is shared: an alias of YAML would change with what it names."""
    if isinstance(document, dict):
        return {key: _apart(value) for key, value in document.items()}
    return [_apart(value) for value in document] if isinstance(document, list) else document


def _table(rows: list[dict[str, str]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    heads = list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))
    writer = csv.DictWriter(text, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row if isinstance(row, dict) else {heads[0]: str(row)} for row in rows)
    return text.getvalue()


def _lines(rows: list[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@cache
def _known() -> Known:
    return Known(models=known_models(), gpus=load_catalog(None).gpus)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _measured(path: Path) -> object:
    """A table whose rows can all be compared.

    Raises:
        BadInput: one cannot, each with its reason.
    """
    rows = read_table(path, _known())
    left_out = [f"{each.row}: {each.reason}" for each in rows if isinstance(each, Exclusion)]
    if left_out:
        raise BadInput(*left_out)
    return rows
