"""Baking the layouts of measured clusters: ``python -m hw_catalog.bake_layouts OUT_DIR ISO_DATE [MODEL ...]``.

Attention data parallelism and experts over a whole link domain are compiled with the source's tables of all-to-all and
wide expert kernels where it has them (``data/bake_layouts.yaml`` says whose stand in where it has none).
"""

import importlib
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from hw_catalog.bake import SOURCE_VERSION, model_config, profile_of, quant_of, require_source
from hw_catalog.bake_recipe import Exchange, ModelRecipe, Target, read_recipe
from hw_catalog.bake_surfaces import Handle, Operations
from hw_catalog.profile_files import write_profiles
from hw_catalog.profiles import KernelProfile

FAILURES = (ValueError, RuntimeError, OSError, KeyError)
"""What the source raises where it has no such measurement."""

WAYS = re.compile(r"tp(\d+)(?:dp(\d+))?(?:ep(\d+))?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(_Strict):
    """Layouts of one engine: every combination of its lists is baked."""

    engine: str
    gpus: tuple[str, ...]
    dtypes: tuple[str, ...]
    kv_dtypes: tuple[str, ...]
    layouts: tuple[str, ...]


class Stand(_Strict):
    """Where an engine's all-to-all comes from: the table ``Exchange`` names, for layouts of ``least_ways`` and more."""

    engine: str
    gpus: tuple[str, ...]
    dtypes: tuple[str, ...]
    least_ways: int
    tables: str
    system: str
    gpus_per_machine: int
    prefill: str
    decode: str
    ways: tuple[int, ...]


class Layouts(_Strict):
    """The contents of ``bake_layouts.yaml``."""

    exchanges: tuple[Stand, ...]
    models: dict[str, tuple[Group, ...]]


def read_layouts() -> Layouts:
    """The recipe of the committed layouts."""
    text = resources.files("hw_catalog").joinpath("data", "bake_layouts.yaml").read_text(encoding="utf-8")
    return Layouts.model_validate(yaml.safe_load(text))


def ways_of(name: str) -> tuple[int, int, int]:
    """(tp, dp, ep) of a layout by its name, for example ``tp1dp8ep8``."""
    found = WAYS.fullmatch(name)
    if not found:
        raise ValueError(f"layout {name!r}: expected a name such as tp8, tp8ep8 or tp1dp8ep8")
    tp, dp, ep = (int(part or 1) for part in found.groups())
    return tp, dp, ep


def exchange_of(layouts: Layouts, engine: str, gpu: str, dtype: str, dp: int, ep: int) -> Exchange | None:
    """Whose all-to-all a layout is baked with; None leaves it to what the source has for the engine."""
    if dp == 1:
        return None
    for stand in layouts.exchanges:
        if engine == stand.engine and gpu in stand.gpus and dtype in stand.dtypes and max(ep, dp) >= stand.least_ways:
            ways = min(stand.ways, key=lambda n: (abs(n - dp), n))
            return Exchange(
                engine=stand.tables, system=stand.system, prefill=stand.prefill, decode=stand.decode, ways=ways,
                gpus=stand.gpus_per_machine,
            )  # fmt: skip
    return None


def bake_layouts(
    out: Path, *, date: str, models: Sequence[str] = (), report: Callable[[str], object]
) -> tuple[str, ...]:
    """Bake every layout of the recipe and write the files.

    Args:
        out: the ``layouts`` directory to write below.
        date: ISO date to stamp.
        models: only these; empty is all.
        report: told one line per file.

    Returns:
        The combinations that the source could not give, each a sentence.

    Raises:
        CatalogError: the source is not installed, or is another version than the recipe was made for.
    """
    require_source()
    recipe, failures = read_layouts(), list[str]()
    for model in models or recipe.models:
        with tempfile.TemporaryDirectory() as scratch:
            files: dict[tuple[str, str], list[KernelProfile]] = {}
            for target in _targets(recipe, model, Path(scratch), date):
                try:
                    profile = _baked(target)
                except FAILURES as error:
                    failures.append(f"{_named(target)}: {' '.join(str(error).split())[:160]}")
                    continue
                files.setdefault((profile.profile_set, target.gpu), []).append(profile)
            for (profile_set, gpu), profiles in files.items():
                write_profiles(out / profile_set / gpu / f"{model}.json", profiles)
                report(f"{profile_set} {gpu} {model}: {len(profiles)} profiles")
    return tuple(failures)


def _baked(target: Target) -> KernelProfile:
    """The profile of a combination; the engine's own path in one machine serves where no all-to-all was measured."""
    try:
        return profile_of(target, _handle(target))
    except FAILURES:
        if target.exchange is None:
            raise
        alone = replace(target, exchange=None)
        return profile_of(alone, _handle(alone))


def _targets(recipe: Layouts, model: str, directory: Path, date: str) -> Iterator[Target]:
    """Every combination of a model."""
    base = read_recipe()
    known = base.models.get(model, ModelRecipe(dtypes=()))
    hf_config = model_config(model)
    (directory / "config.json").write_text(json.dumps(hf_config), encoding="utf-8")
    for group in recipe.models[model]:
        for gpu in group.gpus:
            quants = {**base.quant, **known.quant, **known.quant_on.get(f"{group.engine}/{gpu}", {})}
            for dtype in group.dtypes:
                for kv_dtype in group.kv_dtypes:
                    for name in group.layouts:
                        tp, dp, ep = ways_of(name)
                        yield Target(
                            model=model, gpu=gpu, system=base.systems[gpu], dtype=dtype, quant=quant_of(dtype, quants),
                            tp=tp, ep=ep, kv_dtype=kv_dtype, engine=group.engine, date=date, hf_config=hf_config,
                            directory=directory, dp=dp,
                            exchange=exchange_of(recipe, group.engine, gpu, dtype, dp, ep),
                        )  # fmt: skip


def _named(target: Target) -> str:
    """A combination in words."""
    layout = f"tp{target.tp}dp{target.dp}ep{target.ep}"
    return f"{target.model} {target.dtype} {target.kv_dtype} {target.engine} {target.gpu} {layout}"


@dataclass(frozen=True, slots=True)
class _Halves:
    """Prompts priced by one compiled model, decode steps by another."""

    prompts: Handle
    decodes: Handle

    def run_static_per_op(
        self, *, batch_size: int, isl: int, osl: int, prefix: int, mode: str
    ) -> tuple[Operations, Operations]:
        """Operations of a prefill step."""
        return self.prompts.run_static_per_op(batch_size=batch_size, isl=isl, osl=osl, prefix=prefix, mode=mode)

    def decode_step_per_op(self, gen_tokens: int, isl: int, osl: int) -> Operations:
        """Operations of one decode step."""
        return self.decodes.decode_step_per_op(gen_tokens, isl, osl)


def _handle(target: Target) -> Handle:
    """The source's compiled model of a combination; where all-to-all stands in, of its decode steps alone.

    Raises:
        ValueError, RuntimeError: the source has no such measurement.
    """
    sdk: Any = importlib.import_module("aiconfigurator_core.sdk")
    exchange, options = target.exchange, target.options
    if exchange is not None:
        options |= {"attention_dp_size": exchange.ways, "moe_ep_size": exchange.ways, "moe_tp_size": target.tp}
    own: Handle = sdk.EngineHandle.compile(str(target.directory), target.system, target.engine, **options)
    found = own if exchange is None else _Halves(own, sdk.EngineHandle(_wide(target, exchange, options)))
    found.decode_step_per_op(1, 127, 2)  # it fails here, not at compiling, where a table is missing
    return found


def _wide(target: Target, exchange: Exchange, options: dict[str, Any]) -> bytes:
    """The same with tables of all-to-all and wide expert kernels, which the source's door does not offer."""
    engine: Any = importlib.import_module("aiconfigurator_core.sdk.engine")
    builders: Any = importlib.import_module("aiconfigurator_core.sdk.config_builders")
    core: Any = importlib.import_module("aiconfigurator_core")
    latent = {"kvcache_quant_mode": "fp8"} if exchange.engine == "sglang" else {}  # of 16-bit caches it has none
    config = builders.build_model_config(
        **{**options, **latent}, pp_size=1, comm_quant_mode=None, forward_model=None, attention_backend=None
    )
    config.moe_comm_backend = {"context": exchange.prefill, "generation": exchange.decode}
    config.num_gpus_per_node, config.system = exchange.gpus, exchange.system
    model = engine.get_model(str(target.directory), config, exchange.engine)
    version = engine._literal_backend_version(exchange.system, exchange.engine, None, None, None)
    spec = engine.build_engine_spec_json(
        model, model_path=str(target.directory), system=exchange.system, backend=exchange.engine,
        backend_version=version, kv_block_size=None, systems_path=None, nextn=0,
        database=engine._maybe_load_database(exchange.system, exchange.engine, version, None),
    )  # fmt: skip
    return bytes(core.engine_spec_bincode_from_json(spec))


if __name__ == "__main__":
    _, out_dir, iso_date, *only = sys.argv
    lines = bake_layouts(Path(out_dir), date=iso_date, models=only, report=lambda line: sys.stdout.write(line + "\n"))
    sys.stdout.write("\n".join(lines) + f"\n{len(lines)} without tables in {SOURCE_VERSION}\n")
