"""Every code block of docs/concurrency.md does what the page says, on a real database."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphs import answering_builder
from langgraph_pg_snapshot import PostgresSnapshotSaver

PAGE = Path(__file__).parents[2] / "docs" / "concurrency.md"
PLACEHOLDER = "postgresql://user:pass@host/db"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?",
    PAGE.read_text(),
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize(("code", "printed"), BLOCKS, ids=["exclusive", "on_conflict"])
def test_block_runs_and_prints_what_the_page_says(database, capsys, code, printed):
    builder = answering_builder()
    names = {"builder": builder, "PostgresSnapshotSaver": PostgresSnapshotSaver}
    exec(code.replace(f'"{PLACEHOLDER}"', repr(database)), names)  # noqa: S102 -- the page's own
    assert capsys.readouterr().out == printed
    thread_id = names["config"]["configurable"]["thread_id"]
    with PostgresSnapshotSaver(database) as saver:
        assert saver.load_state(thread_id)["messages"][-1].content == "You said: Hello"
