import dataclasses
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_catalog.check import check_catalog
from hw_catalog.errors import CatalogError
from hw_catalog.gpus import Gpu
from hw_catalog.load import Catalog, load_catalog
from hw_catalog.machines import Machine

SOURCES = "sources:\n  quote: {kind: vendor, source: 'a supplier', date: 2026-11-20}\n"
READ_ON = date(2026, 11, 29)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def user(tmp_path: Path, **files: str) -> Path:
    for part, text in files.items():
        (tmp_path / f"{part}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def problems(directory: Path) -> list[str]:
    with pytest.raises(CatalogError) as raised:
        load_catalog(directory)
    return list(raised.value.problems)


def numbers(entry: Gpu | Machine) -> set[str]:
    held = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    return {name for name, value in held.items() if isinstance(value, int | float)}


def test_every_number_names_its_source(catalog: Catalog) -> None:
    """Every number of every GPU and machine has a source with a text and an ISO date, and nothing else has one."""
    for entry in (*catalog.gpus.values(), *catalog.machines.values()):
        assert set(entry.provenance) == numbers(entry), entry.name
        for source in entry.provenance.values():
            assert source.source
            assert date.fromisoformat(source.date) <= READ_ON


def test_every_price_and_link_is_dated(catalog: Catalog) -> None:
    """Every price and link has a source read on or before the day the catalog was written."""
    sources = [price.provenance for machine in catalog.machines.values() for price in machine.prices]
    for source in [*sources, *(link.provenance for link in catalog.links.values())]:
        assert source.source
        assert date.fromisoformat(source.date) <= READ_ON


def test_one_channel_compares_four_generations(catalog: Catalog) -> None:
    """A100, H100, H200 and B200 machines can all be reserved, and a newer generation never costs less."""
    prices = [catalog.machines[name].price("reserved") for name in ("dgx-a100", "dgx-h100", "hgx-h200", "dgx-b200")]
    costs = [price.usd_per_h for price in prices if price is not None]
    assert len(costs) == 4
    assert costs == sorted(costs)


def test_longer_commitment_is_cheaper(catalog: Catalog) -> None:
    """Owning costs less than reserving, and reserving less than renting on demand."""
    for machine in catalog.machines.values():
        found = [machine.price(channel) for channel in ("owned", "reserved", "on-demand")]
        costs = [price.usd_per_h for price in found if price is not None]
        assert costs == sorted(costs), machine.name


def test_the_built_in_catalog_has_no_surprises(catalog: Catalog) -> None:
    """The only findings on the built-in catalog are known ones: old owner costs and two machines without a price."""
    findings = check_catalog(catalog, today=READ_ON)
    assert {finding.rule for finding in findings} == {"stale-price", "no-price"}
    assert {f.subject for f in findings if f.rule == "no-price"} == {"rtx-pro-6000-8x", "a6000-1x"}


def test_prices_age(catalog: Catalog) -> None:
    """A price is stale from 181 days after its date, not before."""
    machine = catalog.machines["azure-nd96isr-h100-v5"]
    alone = Catalog(gpus=catalog.gpus, links=catalog.links, machines={machine.name: machine})
    assert not check_catalog(alone, today=date(2027, 5, 8))
    assert [f.rule for f in check_catalog(alone, today=date(2027, 5, 9))] == ["stale-price"]


@pytest.mark.parametrize("number", sorted(numbers(load_catalog().machines["dgx-h100"])))
def test_a_number_that_loses_its_source_is_found(catalog: Catalog, number: str) -> None:
    """The check names every number of a machine whose source is missing."""
    machine = catalog.machines["dgx-h100"]
    sources = {key: value for key, value in machine.provenance.items() if key != number}
    bare = dataclasses.replace(machine, provenance=sources)
    findings = check_catalog(Catalog(gpus={}, links={}, machines={bare.name: bare}), today=date(2026, 5, 1))
    assert [(f.rule, f.subject) for f in findings] == [("no-source", f"dgx-h100.{number}")]


def test_impossible_machines_are_found(catalog: Catalog) -> None:
    """A machine rated below its own GPUs, or idling above its rating, is named."""
    machine = dataclasses.replace(catalog.machines["azure-nd96isr-h100-v5"], rated_w=3000.0, idle_w=3000.0)
    findings = check_catalog(Catalog(gpus={}, links={}, machines={machine.name: machine}), today=READ_ON)
    assert {finding.rule for finding in findings} == {"rating-too-small", "idle-too-large"}


def test_a_lesser_successor_is_found(catalog: Catalog) -> None:
    """A newer GPU with less memory bandwidth than its predecessor is named."""
    slow = dataclasses.replace(catalog.gpus["h100-sxm"], hbm_bytes_per_s=1e12)
    findings = check_catalog(Catalog(gpus={**catalog.gpus, "h100-sxm": slow}, links={}, machines={}), today=READ_ON)
    assert [(f.rule, f.subject) for f in findings] == [("newer-is-less", "h100-sxm.hbm_bytes_per_s")]


def test_a_capped_gpu_uses_the_profiles_of_the_uncapped(catalog: Catalog) -> None:
    """The capped H100 draws half the power, prefills 1.3 times slower, decodes as fast, and names its profile GPU."""
    capped, plain = catalog.gpus["h100-sxm-cap350"], catalog.gpus["h100-sxm"]
    assert (capped.profile_gpu, capped.tdp_w * 2) == ("h100-sxm", plain.tdp_w)
    assert (capped.prefill_slowdown_ratio, capped.decode_slowdown_ratio) == (1.3, 1.0)
    assert all(g.profile_gpu == g.name for g in catalog.gpus.values() if g is not capped)


@settings(deadline=None, max_examples=20)  # reads four files each time
@given(usd_per_h=st.floats(0.01, 1e4))
def test_an_override_changes_what_it_names_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, usd_per_h: float
) -> None:
    """A user's price replaces that channel of that machine; every other fact stays as built in."""
    prices = f"machines:\n  dgx-h100:\n    prices: {{reserved: {{usd_per_h: {usd_per_h!r}, source: quote}}}}\n"
    mine = load_catalog(user(tmp_path_factory.mktemp("catalog"), machines=SOURCES + prices))
    builtin = load_catalog()
    changed = mine.machines["dgx-h100"].price("reserved")
    assert changed is not None
    assert (changed.usd_per_h, changed.provenance.source) == (usd_per_h, "a supplier")
    restored = tuple(p if p.channel != "reserved" else changed for p in builtin.machines["dgx-h100"].prices)
    assert mine.machines["dgx-h100"] == dataclasses.replace(builtin.machines["dgx-h100"], prices=restored)
    assert {n: m for n, m in mine.machines.items() if n != "dgx-h100"} == {
        n: m for n, m in builtin.machines.items() if n != "dgx-h100"
    }


def test_a_new_machine_joins_the_catalog(tmp_path: Path) -> None:
    """An entry with a new name is added and may use built-in GPUs, links and sources, and YAML merge keys."""
    text = """
machines:
  mine:
    {gpu: l40s, gpus: 4, rated_w: 2400, idle_w: 900, rack_units: 2, intra_link: pcie-4, inter_link: lab, prices: {},
     available: 3, provenance: {gpus: quote, rated_w: quote, idle_w: quote, rack_units: pcie-server, available: quote}}
"""
    link = "links:\n  lab: {bandwidth_bytes_per_s: 1.0e+9, latency_s: 0, sync_s: 0, source: quote}\n"
    mine = load_catalog(user(tmp_path, machines=SOURCES + text, links=SOURCES + link)).machines["mine"]
    assert (mine.gpu.name, mine.available, mine.inter_link.bandwidth_bytes_per_s) == ("l40s", 3, 1e9)


def test_an_overriding_number_needs_its_own_source(tmp_path: Path) -> None:
    """A number that replaces a built-in one cannot inherit that one's source."""
    directory = user(
        tmp_path,
        gpus="gpus:\n  h100-sxm: {tdp_w: 650}\n",
        links="links:\n  nvlink-4: {bandwidth_bytes_per_s: 1.0e+9}\n",
    )
    found = problems(directory)
    assert any("h100-sxm.tdp_w" in text and "provenance" in text for text in found)
    assert any("nvlink-4" in text and "`source`" in text for text in found)


def test_all_mistakes_come_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    """Every wrong key, value, reference and source of every file is named in one error, with the nearest known name."""
    directory = user(
        tmp_path,
        gpus=SOURCES + "gpu:\n  x: {}\n",
        links="links:\n  fast: {bandwidth_bytes_per_s: -1, latency_s: 0, sync_s: 0, source: nvlnk}\n",
        machines="machines:\n  dgx-h100: {rated: 5, prices: {monthly: {usd_per_h: 1, source: dgx-height}}}\n",
    )
    text = "\n".join(problems(directory))
    assert "unknown key 'gpu'; nearest known: gpus" in text
    assert "fast.bandwidth_bytes_per_s: found -1" in text
    assert "dgx-h100.rated: unknown key; nearest known: rated_w" in text
    assert "dgx-h100.prices.monthly" in text


def test_unknown_references_name_the_nearest(tmp_path: Path) -> None:
    """A machine that names a GPU or a source that is not there is told the nearest one."""
    text = "\n".join(problems(user(tmp_path, machines="machines:\n  dgx-h100: {gpu: h100-sx}\n")))
    assert "dgx-h100.gpu: 'h100-sx' is not in the catalog; nearest known: h100-sxm" in text
    price = "machines:\n  dgx-h100: {prices: {spot: {usd_per_h: 1, source: vast-h10}}}\n"
    text = "\n".join(problems(user(tmp_path, machines=price)))
    assert "unknown source 'vast-h10'; nearest known: vast-h100" in text


@pytest.mark.parametrize("text", ["a: [", "- just\n- a list\n", "machines: 5\n", "machines: {dgx-h100: 7}\n"])
def test_a_file_of_another_shape_is_named(tmp_path: Path, text: str) -> None:
    """A file that is no YAML, or no mapping of mappings, is refused by name."""
    assert all("machines.yaml" in problem for problem in problems(user(tmp_path, machines=text)))


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """A catalog directory that does not exist is refused, not ignored."""
    assert "does not exist" in problems(tmp_path / "nowhere")[0]


def test_gpus_must_make_sense_together(tmp_path: Path) -> None:
    """A profile GPU that is not in the catalog, and clocks in the wrong order, are refused."""
    entry = "gpus:\n  l40s: {profile_gpu: l40, clock_min_mhz: 9999, provenance: {clock_min_mhz: quote, "
    entry += "prefill_slowdown_ratio: quote, decode_slowdown_ratio: quote}}\n"
    text = "\n".join(problems(user(tmp_path, gpus=SOURCES + entry)))
    assert "no such GPU; nearest known: l40s" in text
    assert "above clock_max_mhz" in text


X300 = """
gpus:
  x300: {hbm_bytes: 1.0e+11, hbm_bytes_per_s: 4.0e+12, bf16_flops: 1.0e+15, fp8_flops: 0, tdp_w: 800, idle_w: 120,
    clock_min_mhz: 345, clock_max_mhz: 1980, %s provenance: {hbm_bytes: quote, hbm_bytes_per_s: quote,
    bf16_flops: quote, fp8_flops: quote, tdp_w: quote, idle_w: quote, clock_min_mhz: quote, clock_max_mhz: quote}}
"""
HGX_X300 = """
machines:
  hgx-x300: {gpu: x300, gpus: 8, rated_w: 11000, idle_w: 3000, rack_units: 8, intra_link: nvlink-4,
    inter_link: infiniband-400, prices: {reserved: {usd_per_h: 22, source: quote}},
    provenance: {gpus: quote, rated_w: quote, idle_w: quote, rack_units: quote}}
"""


def test_a_gpu_with_its_own_profiles_needs_no_word_on_slowdowns(tmp_path: Path) -> None:
    """A GPU that names no other's profiles is as fast as its own, by definition; one that does must say how much."""
    gpu = load_catalog(user(tmp_path, gpus=SOURCES + X300 % "")).gpus["x300"]
    assert (gpu.profile_gpu, gpu.prefill_slowdown_ratio, gpu.decode_slowdown_ratio) == ("x300", 1.0, 1.0)
    assert set(gpu.provenance) == numbers(gpu)
    user(tmp_path, gpus=SOURCES + X300 % "profile_gpu: h100-sxm,")
    assert [p.rpartition("x300.")[2] for p in problems(tmp_path)] == [
        "prefill_slowdown_ratio: has no entry in `provenance`", "decode_slowdown_ratio: has no entry in `provenance`",
    ]  # fmt: skip


def test_what_hangs_on_a_refused_entry_is_not_refused_too(tmp_path: Path) -> None:
    """A GPU with a fault is one problem: its machine and its power curve are not called homeless besides."""
    power = "power:\n  x300: {}\n"
    user(tmp_path, gpus=SOURCES + X300 % "colour: 1,", machines=SOURCES + HGX_X300, power=SOURCES + power)
    found = problems(tmp_path)
    assert [p for p in found if "gpus.yaml" in p] == [p for p in found if "colour" in p]
    assert not [p for p in found if "is not in the catalog" in p or "no such GPU" in p]
