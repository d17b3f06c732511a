"""SECURITY.md names tests and files that are there, and the README leads to it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", PAGE)))
LINKS = sorted(set(re.findall(r"\]\(([^):#]+)", PAGE)))


@pytest.mark.parametrize("named", NAMED)
def test_named_test_is_there(named):
    file, _, function = named.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    tests = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
    }
    assert tests
    assert not function or function in tests


@pytest.mark.parametrize("link", LINKS)
def test_link_leads_to_a_file(link):
    assert (ROOT / link).is_file()


def test_each_promise_names_a_test():
    section = PAGE.partition("## What is promised")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        assert re.search(r"\| `tests/", row), row


def test_readme_leads_here():
    assert "](SECURITY.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
