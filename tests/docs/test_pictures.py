"""docs/pictures.md: its example runs, and draws the image that the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from langgraph_pg_snapshot import HistoryGraph, PostgresSnapshotSaver

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/pictures.md").read_text(encoding="utf-8")
[BLOCK] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def names(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the example leaves, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    code = BLOCK.replace('"postgresql://user:pass@host/db"', repr(database))
    exec(compile(code, "docs/pictures.md", "exec"), found)  # noqa: S102 -- the page's own
    return found


def masked(svg: str) -> str:
    """An image without what differs from run to run: ids and times."""
    svg = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", svg)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", svg)


def test_example_draws_the_image_of_the_page(names: dict[str, Any]):
    shown = (ROOT / "docs/liam.svg").read_text(encoding="utf-8")
    drawn = Path("liam.svg").read_text(encoding="utf-8")
    assert masked(drawn) == masked(shown)
    assert Path("liam.mmd").read_text(encoding="utf-8") == str(names["picture"])


def test_names_of_the_page_are_there(names: dict[str, Any]):
    picture = names["picture"]
    assert isinstance(picture, HistoryGraph)
    assert len(picture.steps) == 5
    assert picture.steps[0].is_waiting
    attributes = re.findall(r"`picture\.(\w+)`", PAGE)
    assert len(attributes) == 5
    assert all(hasattr(picture, each) for each in attributes)
    for method in re.findall(r"`(?:await )?saver\.(\w+)\(", PAGE):
        assert hasattr(PostgresSnapshotSaver, method)


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#\w+)?\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
