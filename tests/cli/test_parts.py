"""The parts that need no database: the tree, the changes, the words."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_pg_snapshot import SnapshotSerializer
from langgraph_pg_snapshot.cli.changes import changes
from langgraph_pg_snapshot.cli.output import age, scrubbed
from langgraph_pg_snapshot.pictures.readable import readable
from langgraph_pg_snapshot.pictures.words import shortened, size_of


def human(text: str, id_: str) -> dict[str, Any]:
    return {"$type": "human", "id": id_, "content": text}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (1, 1, None),
        (1, 1.5, {"change": "changed", "before": 1, "after": 1.5}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, None),
        (
            [1, 2, 3],
            [1, 3, 4],
            {
                "change": "changed",
                "items": [
                    {"change": "removed", "position": 1, "before": 2},
                    {"change": "added", "position": 2, "after": 4},
                ],
            },
        ),
        (
            ["a", "b"],
            ["a", "c"],
            {
                "change": "changed",
                "items": [{"change": "changed", "position": 1, "before": "b", "after": "c"}],
            },
        ),
        # With ids: another text is a change, another id another message.
        (
            [human("x", "1"), human("y", "2")],
            [human("z", "1"), human("y", "3")],
            {
                "change": "changed",
                "items": [
                    {
                        "change": "changed",
                        "position": 0,
                        "before": human("x", "1"),
                        "after": human("z", "1"),
                    },
                    {"change": "removed", "position": 1, "before": human("y", "2")},
                    {"change": "added", "position": 1, "after": human("y", "3")},
                ],
            },
        ),
        (
            {"a": {"b": 1, "c": 2}},
            {"a": {"b": 1}},
            {
                "change": "changed",
                "entries": {
                    "a": {
                        "change": "changed",
                        "entries": {"c": {"change": "removed", "before": 2}},
                    }
                },
            },
        ),
        (
            {"$type": "app:Old", "a": 1},
            {"$type": "app:New", "a": 1},
            {
                "change": "changed",
                "before": {"$type": "app:Old", "a": 1},
                "after": {"$type": "app:New", "a": 1},
            },
        ),
        ([1], {"a": 1}, {"change": "changed", "before": [1], "after": {"a": 1}}),
        (
            {"a": 1, "b": 2, "$order": ["b", "a"]},
            {"a": 1, "b": 2},
            {
                "change": "changed",
                "before": {"a": 1, "b": 2, "$order": ["b", "a"]},
                "after": {"a": 1, "b": 2},
            },
        ),
    ],
)
def test_changes(before: Any, after: Any, expected: Any):
    found = changes({"c": before}, {"c": after})
    assert found == ({} if expected is None else {"c": expected})


def test_channels_that_come_and_go():
    assert changes({"a": 1}, {"b": 2}) == {
        "a": {"change": "removed", "before": 1},
        "b": {"change": "added", "after": 2},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_there_is_a_change_where_values_differ(before: Any, after: Any):
    same = json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (changes({"c": before}, {"c": after}) == {}) == same


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "text"),
        (["a", 1, None, True], '["a", 1, null, true]'),
        ((1, "a"), 'tuple(1, "a")'),
        ({"b": 1, "a": [2]}, "{b: 1, a: [2]}"),
        ({1: "one"}, '{1: "one"}'),
        (2**70, hex(2**70)),
        ("nul \x00", r"nul \u0000"),
        (float("nan"), "nan"),
        (timedelta(1), "timedelta(days=1, seconds=0, microseconds=0)"),
        (HumanMessage("hi", name="Ada"), "human Ada: hi"),
        (
            AIMessage(
                [{"type": "text", "text": "so"}, "be it"],
                tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c"}],
            ),
            "ai: so be it → f({x: 1})",
        ),
        (HumanMessage("hi", mood="good"), "human: hi"),
    ],
)
def test_readable(value: Any, said: str):
    assert readable(SnapshotSerializer().encode(value)) == said


@given(JSON)
def test_readable_reads_whatever_stands_there(tree: Any):
    for broken in (
        tree,
        {"$type": tree},
        {"$type": "dict", "items": tree},
        {"$type": "human", "content": tree, "tool_calls": tree, "$order": tree, "$extra": tree},
    ):
        assert isinstance(readable(broken), str)


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("to postgresql://me:x@host/db failed", "to postgresql://me:***@host/db failed"),
        ("postgres://:x@host", "postgres://:***@host"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("host=h password=x user=u", "host=h password=*** user=u"),
        (r"password = 'a \' b' user=u", "password = *** user=u"),
        ("PASSWORD=x", "PASSWORD=***"),
        ("password authentication failed", "password authentication failed"),
    ],
)
def test_scrubbed(text: str, without: str):
    assert scrubbed(text) == without


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s ago"), (-5, "0 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (172800, "2 d ago")],
)
def test_age(seconds: int, said: str):
    assert age(datetime.now(timezone.utc) - timedelta(seconds=seconds)) == said


def test_sizes_and_lengths():
    assert [*map(size_of, (0, 1023, 1536, 5 << 20, 3 << 40))] == [
        *("0 B", "1023 B", "1.5 KiB", "5.0 MiB", "3072.0 GiB")
    ]
    assert shortened("a\n b " * 9, 8) == "a b a b…"
