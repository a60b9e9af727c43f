"""Documents that cannot point at what is not there."""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
OUTSIDE = (ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md")
MOST_WORDS = 32_700


@pytest.mark.parametrize("page", [*PAGES, *OUTSIDE], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    """Every relative link of a page, and every path in it that begins with a directory of this repository, exists."""
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    paths = re.findall(r"`((?:planner|hw_catalog|workloads|solvers|tests|docs|benchmarks)/[\w./-]+)`", text)
    paths += re.findall(r"\b(docs/[\w/-]+\.md)\b", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert not missing


def test_every_page_is_in_the_index() -> None:
    """A page that ``docs/README.md`` does not list is a page that nobody finds."""
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    listed = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#\s]+\.md)\)", index)}
    assert listed == {page.resolve() for page in PAGES if page.name != "README.md"}


def test_documents_stay_short() -> None:
    """All documents together have at most 32,700 words, as ``wc -w`` counts them: a new page shortens an old one."""
    words = {page.relative_to(ROOT).as_posix(): len(page.read_text("utf-8").split()) for page in (*PAGES, *OUTSIDE)}
    longest = sorted(words, key=lambda name: -words[name])[:10]
    assert sum(words.values()) <= MOST_WORDS, {name: words[name] for name in longest}


@pytest.mark.parametrize("page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda page: page.stem)
def test_a_decision_is_one_page(page: Path) -> None:
    """A decision has a number, a context, a decision and consequences, in no more than 60 lines."""
    text = page.read_text(encoding="utf-8")
    assert re.match(r"# (\d{3}): ", text) is not None
    assert page.name.startswith(text[2:5])
    assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences"))
    assert len(text.splitlines()) <= 60


def test_readme_tells_the_errors_of_the_accuracy_page() -> None:
    """Median errors in the README are those of the table that ``benchmarks/accuracy_page.py`` writes."""
    tables = {name: dict[str, list[str]]() for name in ("README.md", "docs/accuracy.md")}
    for name, rows in tables.items():
        for line in (ROOT / name).read_text("utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            rows.setdefault(" ".join(cells[:2]), cells)
    for said, source in (
        ("closed loop, three engines (InferenceX, NVIDIA) 708", "inferencex_agg_dense all rows"),
        ("open loop, vLLM 0.15 (sim2real) 46", "sim2real_vllm015 all rows"),
    ):
        _, runs, *told = tables["README.md"][said]
        _, _, found, e2e, throughput, itl, ttft = tables["docs/accuracy.md"][source]
        assert runs == found
        medians = [cell.split(",")[0].replace("%", " %") for cell in (e2e, itl, throughput, ttft)]
        assert told == medians
