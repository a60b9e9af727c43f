"""The documentation does what it says."""

from collections import Counter
from pathlib import Path

import pytest

from hw_catalog.profile_files import load_profiles, profile_index
from tests.docs.examples import ROOT, Example, complaints, examples

TODAY = "aiconfigurator-0.12"
"""The set of profiles that step times come from, of vLLM; those of other engines are named after it."""

PAGES = sorted(path for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if path.exists())


def quick(page: Path) -> list[Example]:
    """The examples before the first slow one."""
    found = examples(page.read_text(encoding="utf-8"))
    first_slow = next((index for index, example in enumerate(found) if example.slow), len(found))
    return found[:first_slow]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """Every marked example of a page runs, in order, and prints what the page says."""
    assert [text for example in quick(page) for text in complaints(example, tmp_path)] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_slow_examples_do_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """So do the examples that take longer, after all before them."""
    found = examples(page.read_text(encoding="utf-8"))
    assert [text for example in found for text in complaints(example, tmp_path)] == []


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        ("```bash\ntrue\n```", False),
        ("```bash\nfalse\ntrue\n```", True),
        ("```console\n$ echo one; echo two\none\ntwo\n```", False),
        ("```console\n$ echo one; echo two\none\n```", True),
        ("```console\n$ echo one; echo two; echo three\none\n...\nthree\n```", False),
        ("```console\n$ echo a\na\n$ echo b\nc\n```", True),
        ("```console\n$ phasewise --version\n...\n```", False),
        ("```python\nassert True\n```", False),
        ("```python\nassert False\n```", True),
    ],
)
def test_wrong_example_is_noticed(tmp_path: Path, block: str, wrong: bool) -> None:
    """An example that fails, or prints something else, is noticed; one that is right is not."""
    found = examples(f"text\n\n<!-- run -->\n{block}\n")
    assert len(found) == 1
    assert bool(complaints(found[0], tmp_path)) is wrong


def test_unmarked_blocks_are_left_alone() -> None:
    """A block without the mark is not run, and slow ones are told from quick ones."""
    page = "```bash\nfalse\n```\n\n<!-- run: slow -->\n```bash\ntrue\n```\n"
    assert [(example.line, example.slow) for example in examples(page)] == [(7, True)]


def test_python_blocks_of_a_page_are_one_program(tmp_path: Path) -> None:
    """What one Python block defines the next may use."""
    page = "<!-- run -->\n```python\nx = 1\n```\n\n<!-- run -->\n```python\nassert x == 1\n```\n"
    found = examples(page)
    assert len(found) == 1
    assert complaints(found[0], tmp_path) == []


def test_the_readme_counts_the_profiles_there_are() -> None:
    """Numbers of profiles, models and GPU types are those of the built-in sets."""
    listed = profile_index()
    found = [profile for model in {each.model for each in listed} for profile in load_profiles(None, model=model)]
    count = Counter(profile.profile_set for profile in found)
    vllm = [each for each in listed if each.profile_set == TODAY]
    models, gpus = len({each.model for each in vllm}), len({each.gpu for each in vllm})
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{count[TODAY]} profiles of {models} models on {gpus} GPU types" in readme
    assert f"TensorRT-LLM ({count[f'{TODAY}-trtllm']}) and SGLang ({count[f'{TODAY}-sglang']})" in readme
