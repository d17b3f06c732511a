"""What counts as the same value: the judgement that the serializer's own tests are made with."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from serializer_catalogue import CASES
from serializer_sameness import assert_same

from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.transfer.same import difference


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_value_is_the_same_as_its_like_and_as_no_other(name: str):
    value = CASES[name]()
    assert difference(value, CASES[name]()) is None
    assert difference([{"a": value}], [{"a": CASES[name]()}]) is None
    for other_name, make in CASES.items():
        other = make()
        assert (difference(value, other) is None) == _is_same(value, other), other_name


@pytest.mark.parametrize("name", CASES)
def test_what_the_serializer_brings_back_is_the_same(name: str):
    serializer = SnapshotSerializer()
    assert difference(serializer.loads(serializer.dumps(CASES[name]())), CASES[name]()) is None


def _is_same(one: Any, other: Any) -> bool:
    try:
        assert_same(one, other)
    except AssertionError:
        return False
    return True


class Text(str):  # noqa: SLOT000 -- its attributes matter
    """A subclass with attributes."""


def noted(text: str, note: str) -> Text:
    made = Text(text)
    made.note = note
    return made


UTC = timezone.utc
DIFFERENT = [
    (1, True, ": int instead of bool"),
    (1, 1.0, ": int instead of float"),
    ([1, 2], [1], ": 2 elements instead of 1"),
    ([1, [2, 3]], [1, [2, 4]], "[1][1]: another int"),
    ((1,), [1], ": tuple instead of list"),
    (0.0, -0.0, ": another number"),
    (math.nan, 1.0, ": another number"),
    (Decimal("1.0"), Decimal("1.00"), ": another number"),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ": other keys ([0]: another str)"),
    ({1: "a"}, {True: "a"}, ": other keys ([0]: int instead of bool)"),
    ({"a": {"b": [1]}}, {"a": {"b": ["1"]}}, "['a']['b'][0]: int instead of str"),
    ({1}, {True}, ": other elements"),
    ({1, 2}, {1}, ": more elements"),
    (deque([1], 2), deque([1], 3), ": another maxlen"),
    (defaultdict(int), defaultdict(list), ": another default_factory"),
    (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 1, tzinfo=timezone(
        timedelta(hours=1))), ": another time"),
    (noted("a", "x"), noted("a", "y"), ".note: another str"),
    (noted("a", "x"), Text("a"), ": other attributes"),
    (AIMessage("a"), HumanMessage("a"), ": AIMessage instead of HumanMessage"),
    (AIMessage("a", id="1"), AIMessage("a", id="2"), ".id: another str"),
    (AIMessage("a"), AIMessage("a", name=None), ".__pydantic_fields_set__: other elements"),
    (ValueError("a"), ValueError("b"), ".args[0]: another str"),
    (int, str, ": another type"),
    (np.array([1, 2]), np.array([1, 3]), ": another array"),
    (np.array([1, 2], "i4"), np.array([1, 2], "i8"), ": another array"),
    (np.array([1, "a"], object), np.array([1, "b"], object), "[1]: another str"),
    (np.float64(1), np.float64(2), ": another array"),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]}), ": another DataFrame"),
    (pd.Timestamp(1), pd.Timestamp(2), ": another Timestamp"),
]  # fmt: skip


@pytest.mark.parametrize(("got", "want", "said"), DIFFERENT, ids=[said for *_, said in DIFFERENT])
def test_difference_says_where(got: Any, want: Any, said: str):
    assert difference(got, want) == said
