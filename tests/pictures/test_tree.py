"""The order in which a thread's checkpoints stand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_pg_snapshot.pictures.tree import placed


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({}, []),
        ({"1": None, "2": "1", "3": "2"}, ["1", "2", "3"]),
        # A fork that is the newest state goes on at the left, the other one hangs beside it.
        ({"1": None, "2": "1", "3": "1"}, ["1", "│ 2", "3"]),
        ({"1": None, "2": "1", "3": "1", "4": "2"}, ["1", "│ 3", "2", "4"]),
        (
            {"1": None, "2": "1", "3": "2", "4": "1", "5": "4", "6": "4", "7": "1"},
            ["1", "│ 2", "│ 3", "│ 4", "│ │ 5", "│ 6", "7"],
        ),
        # What a parent was is removed, or lies before the limit.
        ({"3": "gone", "4": "3", "5": None}, ["3", "4", "5"]),
        # Nor is one lost that is its own ancestor, as no saver writes it.
        ({"1": None, "2": "3", "3": "2", "4": "4"}, ["1", "2", "3", "4"]),
    ],
)
def test_tree(parents: dict[str, str | None], expected: list[str]):
    assert ["│ " * place + each for each, place in placed(parents)] == expected


@given(st.lists(st.integers(-1, 20), max_size=20))
def test_tree_has_each_checkpoint_once_behind_its_parent(above: list[int]):
    parents = {
        f"{n:02}": f"{parent:02}" if 0 <= parent < n else None for n, parent in enumerate(above)
    }
    order = [each for each, _ in placed(parents)]
    assert sorted(order) == sorted(parents)
    assert all(order.index(p) < order.index(c) for c, p in parents.items() if p is not None)
    # The newest is the last line, at the left.
    if parents:
        assert list(placed(parents))[-1] == (max(parents), 0)
