"""Errors against measured runs under other engine timings than the built-in ones.

python benchmarks/engine_timing.py --data DIR --engine vllm [--set lag_steps=1] [--most 200] [--json]
"""

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from hw_catalog.engines import NOTHING_LEFT_OUT, PROFILE_SETS, EngineTiming, load_engines
from hw_catalog.load import load_catalog
from planner.accuracy.names import Known
from planner.accuracy.runs import read_runs
from planner.accuracy.table import replayed, totals
from workloads.models import known_models


def timing_of(engine: str, words: list[str]) -> EngineTiming:
    """The built-in timing of an engine, changed as the words say."""
    built_in = load_engines().get(PROFILE_SETS[engine], NOTHING_LEFT_OUT)
    known = {f.name for f in fields(EngineTiming)} - {"provenance"}
    changes = dict(word.split("=", 1) for word in words)
    if strangers := changes.keys() - known:
        raise SystemExit(f"--set: {', '.join(sorted(strangers))}: expected one of {', '.join(sorted(known))}")
    return replace(built_in, **{name: float(value) for name, value in changes.items()})


def main() -> None:
    """Replay the rows of one engine and print the errors of its data sets."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--engine", choices=sorted(PROFILE_SETS), required=True)
    options.add_argument("--set", dest="sets", action="append", default=[])
    options.add_argument("--most", type=int, default=100_000, help="rows, drawn evenly")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    runs = [r for r in read_runs(chosen.data, Known(models=known_models()))[0] if r.engine == chosen.engine]
    drawn = np.random.default_rng(0).permutation(len(runs))[: chosen.most]
    timing = {PROFILE_SETS[chosen.engine]: timing_of(chosen.engine, chosen.sets)}
    found, _ = replayed(
        [runs[i] for i in sorted(drawn)], load_catalog(None), timing, progress=lambda _words, _done_frac: None
    )
    rows = [t for t in totals(found) if t.of == "all rows"]
    if chosen.json:
        print(json.dumps([{f.name: getattr(t, f.name) for f in fields(t)} for t in rows]))
        return
    for t in rows:
        errors = f"median {t.median_ape:6.1%}  p90 {t.p90_ape:6.1%}  ours/theirs {t.median_ratio:.3f}"
        print(f"{t.dataset:24} {t.metric:28} n {t.n:4}  {errors}")


if __name__ == "__main__":
    main()
