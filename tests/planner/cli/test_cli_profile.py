"""The verb that measures a profile, on the CPU."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import hw_catalog.profiler
from hw_catalog.profile_files import load_profiles
from planner.cli import build
from planner.cli.profiling import gpu_id
from planner.errors import BadInput, ExitCode
from tests.hw_catalog.test_profiler import KNOTS, TINY


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(hw_catalog.profiler, "QUICK_CPU", replace(KNOTS, point_s=0.0))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(TINY))
    return file


def profile(config: Path, *more: str) -> Result:
    words = ("profile", "--model", "tiny", "--config", str(config), "--device", "cpu", "--quick")
    return CliRunner().invoke(build(), [*words, "--out", str(config.parent / "cat"), *more])


def test_profile_writes_a_catalog(tiny: Path) -> None:
    """What the verb writes is read back as a profile, with watts and a journal beside it."""
    done = profile(tiny)
    assert done.exit_code == ExitCode.VALIDATED, done.output
    (made,) = load_profiles(tiny.parent / "cat", model="tiny")
    assert (made.gpu, made.tp, made.profile_set, made.engine) == ("cpu", 1, "measured", "numpy")
    assert {p.name for p in (tiny.parent / "cat/profiles/measured/cpu").iterdir()} == {
        "tiny.json", "tiny-bf16-tp1.watts.csv", "tiny-bf16-tp1.journal.jsonl",
    }  # fmt: skip


def test_profile_resumes(tiny: Path) -> None:
    """With everything in the journal a resumed run measures nothing and writes the same times."""
    profile(tiny)
    (first,) = load_profiles(tiny.parent / "cat", model="tiny")
    again = profile(tiny, "--resume")
    (second,) = load_profiles(tiny.parent / "cat", model="tiny")
    assert "readings are in" in again.output
    assert second.linear_prefill_s.tolist() == first.linear_prefill_s.tolist()


def test_profile_needs_its_config(tmp_path: Path) -> None:
    """A config that is not there is bad input that names it, and nothing is written."""
    refused = profile(tmp_path / "none.json")
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "none.json" in refused.output
    assert not (tmp_path / "cat").exists()


@pytest.mark.parametrize(("more", "says"), [(("--dtype", "fp8"), "expected bf16"), (("--tp", "3"), "divides")])
def test_profile_refuses_before_it_measures(tiny: Path, more: tuple[str, ...], says: str) -> None:
    """A format or width that cannot be measured is bad input, and nothing is written."""
    refused = profile(tiny, *more)
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert says in refused.output
    assert not (tiny.parent / "cat").exists()


def test_profile_of_an_unknown_model_names_the_nearest(tiny: Path) -> None:  # noqa: ARG001
    """Without a file a model must be known."""
    refused = CliRunner().invoke(build(), ["profile", "--model", "llama-3.1-8", "--device", "cpu"])
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "llama-3.1-8b" in refused.output


@pytest.mark.parametrize(
    ("driver", "gpu"),
    [("NVIDIA H200", "h200-sxm"), ("NVIDIA H100 80GB HBM3", "h100-sxm"), ("NVIDIA L40S", "l40s"),
     ("NVIDIA A100-SXM4-80GB", "a100-sxm")],
)  # fmt: skip
def test_gpus_are_known_by_their_drivers_names(driver: str, gpu: str) -> None:
    """What the driver calls a GPU of the catalog is its id."""
    assert gpu_id(driver) == gpu


@pytest.mark.parametrize("driver", ["NVIDIA H100 PCIe", "NVIDIA GeForce RTX 4090"])
def test_other_gpus_are_asked_for(driver: str) -> None:
    """A card that is not in the catalog is never taken for one that is."""
    with pytest.raises(BadInput, match="--gpu"):
        gpu_id(driver)


def test_time_per_point_may_be_given(tiny: Path) -> None:
    """Readings of another length are not taken up: the journal says how long each point took."""
    profile(tiny)
    refused = profile(tiny, "--point-s", "0.001", "--resume")
    assert refused.exit_code == ExitCode.BAD_INPUT
    assert "point_s '0.0', now '0.001'" in refused.output
