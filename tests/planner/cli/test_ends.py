"""How verbs end where nothing can be planned or drawn."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from planner.cli import build
from planner.cli.terminal import resumable
from planner.errors import ExitCode
from tests.planner import plans
from tests.planner.small import write_small


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(build(), [str(word) for word in words])


def test_a_trace_too_long_to_draw_is_not_generated(run: Callable[..., Result], tmp_path: Path) -> None:
    """A slip of nine zeros is bad input that names the options; nothing is written."""
    done = run("workload", "generate", "--builtin", "azure-conv-2023", "--rate", "1e9", "--out", "t.csv")
    assert (done.exit_code, (tmp_path / "t.csv").exists()) == (ExitCode.BAD_INPUT, False)
    assert "--rate or --duration" in done.stderr


def test_check_ends_as_plan_where_nothing_can_be_bought(run: Callable[..., Result]) -> None:
    """A scenario that no option can serve ends `check` as it ends `plan`."""
    ends = [run(verb, plans.EXAMPLES / "splitwise-conv.yaml", "--set", "catalog.tp=[3]") for verb in ("check", "plan")]
    assert ends[0].stdout.startswith("NOTHING TO BUY")
    assert [end.exit_code for end in ends] == [ExitCode.INFEASIBLE] * 2


def test_check_says_why_there_is_nothing_to_buy(run: Callable[..., Result]) -> None:
    """The refusal has the reason of the nearest option; where a GPU has no kernel profile, the GPUs that have one."""
    kimi = ("--set", "model.name=kimi-k2.5", "--set", "catalog.machines=[dgx-h100]")
    told = " ".join(run("check", plans.EXAMPLES / "splitwise-conv.yaml", *kimi).stdout.split()).split("Why")[1:]
    assert "no option can serve all" in told[0]
    assert "no int4 kernel profile of kimi-k2.5 on h100-sxm" in told[1]
    assert "none on it, but on b200-sxm" in told[1]


def test_check_ends_as_plan_where_one_tier_can_not_be_served(run: Callable[..., Result]) -> None:
    """Options for other classes are no plan: `check` names the class that has none, and ends as `plan` does."""
    write_small(Path())
    tiers = "workload.classes=[{name: hi, share_frac: 0.5, priority: 1}, {name: lo}]"
    limits = "slo_by_class={hi: {ttft_p90_s: 0.000001}, lo: {e2e_p90_s: 60}}"
    ends = [run(verb, "small.yaml", "--set", tiers, "--set", limits) for verb in ("check", "plan")]
    assert ends[0].stdout.startswith("INFEASIBLE")
    assert [end.exit_code for end in ends] == [ExitCode.INFEASIBLE] * 2
    assert all("no option can serve hi" in end.stdout for end in ends)


def test_check_refuses_as_plan_where_no_epoch_can_be_served(run: Callable[..., Result]) -> None:
    """A schedule without a single option is refused by `check` and `plan` in the same words."""
    ends = [run(verb, plans.EXAMPLES / "dynamollm-nine.yaml", "--set", "catalog.tp=[3]") for verb in ("check", "plan")]
    assert [end.exit_code for end in ends] == [ExitCode.BAD_INPUT] * 2
    assert ends[0].stderr.splitlines()[-1] == ends[1].stderr.splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_says_where_to_go_on(number: signal.Signals) -> None:
    """SIGTERM, as Ctrl-C, ends long work and names the journal to go on from; it is heard only there."""
    before, ours = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have it ignored by what they start behind them
    try:
        with pytest.raises(KeyboardInterrupt, match=r"the same command goes on from kept\.jsonl"), \
                resumable(Path("kept.jsonl")):  # fmt: skip
            signal.raise_signal(number)
    finally:
        signal.signal(signal.SIGINT, ours)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("words", [
    ("accuracy", "--data"), ("catalog", "list", "gpus", "--directory"), ("show",), ("new", "--from"),
    ("check", "RIGHT", "--report"), ("plan", "RIGHT", "--out"), ("check", "RIGHT", "--set"),
], ids=" ".join)  # fmt: skip
@pytest.mark.parametrize("name", ["x" * 300 + ".json", "loop.json"], ids=["long", "loop"])
def test_what_no_file_can_be_called_is_refused(
    words: tuple[str, ...], name: str, run: Callable[..., Result], tmp_path: Path
) -> None:
    """A name that is too long, or a link that leads to itself, is wrong input wherever a file is asked for: no bug."""
    right = write_small(tmp_path)
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    last = f"catalog.directory={tmp_path / name}" if words[-1] == "--set" else tmp_path / name
    done = run(*(right if word == "RIGHT" else word for word in words), last)
    assert (done.exit_code, done.stdout) == (ExitCode.BAD_INPUT, "")
    assert "problem" in done.stderr
