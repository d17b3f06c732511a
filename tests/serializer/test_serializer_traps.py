"""Most of what is saved is plain JSON, and is passed on as it is: here is what only looks so."""

from __future__ import annotations

import enum
import math
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.util import find_spec

import orjson
import pytest
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import DeserializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer, register

serializer = SnapshotSerializer()


class Level(enum.IntEnum):
    LOW = 1


class Word(str, enum.Enum):
    A = "a"


class Text(str):
    __slots__ = ()


class Rows(list):
    pass


@dataclass
class Pair:
    a: int
    b: int


# What orjson would write as if it were plain, or what jsonb would change or refuse.
TRAPS = {
    "tuple": (1, 2),
    "empty tuple": (),
    "nan": math.nan,
    "infinity": -math.inf,
    "negative zero": -0.0,
    "1e16": 1e16,
    "-1e16": -1e16,
    "just below 1e16": 9999999999999998.0,
    "1e-7": 1e-7,
    "1e-13": 1e-13,
    "-1e-13": -1e-13,
    "smallest": 5e-324,
    "2**63": 2**63,
    "2**64": 2**64,
    "-2**63 - 1": -(2**63) - 1,
    "true": True,
    "one": 1,
    "1.0": 1.0,
    "nul": "a\x00b",
    "escaped nul": "a\\u0000b",
    "lone surrogate": "\ud83d",
    "beyond ascii": "é\u2028😀",
    "bytes": b"a",
    "int enum": Level.LOW,
    "text enum": Word.A,
    "subclass of str": Text("a"),
    "subclass of list": Rows([1]),
    "ordered dict": OrderedDict(b=1, a=2),
    "dataclass": Pair(1, 2),
    "uuid": uuid.UUID(int=1),
    "datetime": datetime(2024, 5, 1, tzinfo=timezone.utc),
    "keys of int": {1: "a"},
    "key of bool beside its text": {True: 1, "true": 2},
    "key that is a subclass of str": {Text("a"): 1},
    "key with nul": {"\x00": 1},
    "key with a surrogate": {"\ud83d": 1},
    "key of ours": {"$order": ["a"], "a": 1},
    "tag of ours": {"$type": "tuple", "items": []},
    "order": {"bb": 1, "a": 2},
    "order in bytes": {"é": 1, "zz": 2, "z": 3},
}
if find_spec("numpy"):
    import numpy as np

    TRAPS["numpy scalar"] = np.float64(0.5)
    TRAPS["numpy integer"] = np.int64(1)
# Beside plain neighbours of every kind, and in dicts whose keys are in jsonb's order or not.
PLACES = {
    "alone": lambda trap: trap,
    "in a list": lambda trap: [None, True, 1, 0.5, "a", trap, "b"],
    "in a dict": lambda trap: {"a": 1, "b": trap, "c": 0.5},
    "in a dict with another order": lambda trap: {"bb": "x", "a": trap, "c": None},
    "in rows": lambda trap: [{"id": n, "at": [{"value": [trap]}]} for n in range(3)],
    "after rows of its shape": lambda trap: [{"z": 1, "a": "x"}] * 3 + [{"z": trap, "a": trap}],
    "in a tuple in a list in a dict": lambda trap: {"a": [({"b": (trap,)},)]},
}

traps = pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())


@traps
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_what_only_looks_plain_comes_back_as_it_is(place, trap):
    value = place(trap)
    data = serializer.dumps(value)
    assert_same(serializer.loads(data), value)
    assert orjson.loads(data) == serializer.encode(value)


def test_it_comes_back_through_jsonb(jsonb_roundtrip):
    value = {name: [place(trap) for place in PLACES.values()] for name, trap in TRAPS.items()}
    assert_same(serializer.loads(jsonb_roundtrip(serializer.dumps(value))), value)


def _containers(value):
    if isinstance(value, (dict, list)):
        yield id(value)
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)


PLAIN = {"rows": [{"b": [1], "a": {"id": "x"}}, [], {}], "empty": [{}, []], "n": [[0.5, ["a"]]]}


def test_a_tree_shares_no_list_or_dict_with_the_value_or_another_tree():
    trees = [serializer.encode(PLAIN), serializer.encode(PLAIN)]
    back = serializer.decode(trees[0])
    seen = [id_ for value in (PLAIN, *trees, back) for id_ in _containers(value)]
    assert len(seen) == len(set(seen))
    assert_same(back, PLAIN)


@pytest.mark.parametrize("put_in", [(), math.nan, "\x00", b"x", 2**64, {"b": 1, "a": 2}])
@pytest.mark.parametrize("kind", ["list", "dict"])
def test_what_is_put_into_a_value_while_it_is_saved_is_not_written_unseen(kind, put_in):
    """As a node may do that goes on while its last state is being saved."""

    class Meddler:
        pass

    value = ["old", Meddler()] if kind == "list" else {"0": "old", "1": Meddler()}

    def meddle(_):
        value[0 if kind == "list" else "0"] = put_in
        if kind == "list":
            value.append(put_in)
        else:
            value["2"] = put_in
        return 1

    register(Meddler, meddle, lambda _: 1)
    data = serializer.dumps(value)
    assert_same(serializer.loads(data), ["old", 1] if kind == "list" else {"0": "old", "1": 1})


@pytest.mark.parametrize("tag", [5, True, ["human"], {"$type": "human"}])
def test_a_tag_that_is_not_text_is_refused_as_such(tag):
    with pytest.raises(DeserializationError, match="expected str"):
        serializer.decode({"$type": tag, "content": "hi"})


def test_an_order_that_is_null_is_none():
    assert serializer.decode({"a": 1, "$order": None}) == {"a": 1}
