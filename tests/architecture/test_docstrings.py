"""Tests are rules."""

import ast

from tests.architecture.sources import ROOT, functions, python_files


def test_every_test_states_its_rule() -> None:
    """The docstring of a test is the rule it proves, a sentence with a full stop."""
    mute = []
    for path in python_files("tests"):
        for node in functions(path):
            if node.name.startswith("test_"):
                rule = ast.get_docstring(node) or ""
                if not rule.rstrip().endswith("."):
                    mute.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not mute
