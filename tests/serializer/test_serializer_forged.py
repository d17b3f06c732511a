"""Forged trees of every tag there is: a value or our error, and nothing of the application ran.

Which tags there are comes from the registry, and which members each has from what the catalogue's
values are stored as, so that a kind that is added is forged without a word here.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import MultiHostUrl, Url
from serializer_catalogue import CASES
from test_serializer_hostile import _GADGETS, RAN

from langgraph_pg_snapshot.errors import DeserializationError, SnapshotError
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.codec import DECODERS

# NumPy warns of names of dtypes, and of numbers that are too large for theirs.
pytestmark = pytest.mark.filterwarnings("ignore")

SERIALIZERS = {
    "open": SnapshotSerializer(),
    "strict": SnapshotSerializer(strict=True),
    "fields": SnapshotSerializer(on_unknown_type="fields"),
    "upgrading": SnapshotSerializer(upgrades={"gone:Gone": dict, "old:Old": lambda fields: fields}),
}
MEMBERS: dict[str, dict[str, list[Any]]] = {"gone:Gone": {"a": [1]}, "old:Old": {"a": [1]}}
MAX_EXAMPLES = 40  # of each member


def _note(tree):
    if isinstance(tree, dict):
        tag = tree.get("$type", "")
        members = MEMBERS.setdefault(tag, {})
        for name, item in tree.items():
            if tag and name != "$type" and len(members.setdefault(name, [])) < MAX_EXAMPLES:
                members[name].append(item)
            _note(item)
    elif isinstance(tree, list):
        for item in tree:
            _note(item)


for _name in sorted(CASES):
    _note(SERIALIZERS["open"].encode(CASES[_name]()))
_note(SERIALIZERS["open"].encode([Url("http://a.b/"), MultiHostUrl("http://a.b,c.d/")]))
del MEMBERS[""]
TAGS = sorted(MEMBERS)
ODD_NAMES = ["$order", "$fields_set", "$extra", "$private", "$attributes", "$absent", "$cause"]
ODD_NAMES += sorted({name for members in MEMBERS.values() for name in members})
LEAVES = [None, True, 0, -1, 10**9, 2**64, 1.5, 1e300, "", "a", "\x00", "value", "UTC", [], {}]
LEAVES += [[[]], ["a", 1], {"a": 1}, {"$order": ["a"]}, {"$type": 5}, {"$type": "gone:Gone"}]


def forge(chance: random.Random, tag: str, depth: int) -> Any:
    """A tree of a tag, with some members as they should be and some that are not."""
    tree: dict[str, Any] = {"$type": tag}
    for name, examples in MEMBERS[tag].items():
        if chance.random() < 0.9:
            tree[name] = member(chance, examples, depth)
    if chance.random() < 0.3:
        tree[chance.choice(ODD_NAMES)] = member(chance, LEAVES, depth)
    return tree


def member(chance: random.Random, examples: list[Any], depth: int) -> Any:
    what = chance.random()
    if what < 0.5:
        return chance.choice(examples)
    if what < 0.65:
        return chance.choice(LEAVES)
    if what < 0.8:
        gadget = chance.choice(_GADGETS)
        return chance.choice([gadget, [gadget], {"a": gadget}])
    if depth == 0 or what < 0.85:
        members = MEMBERS[chance.choice(TAGS)]
        return chance.choice(members[chance.choice([*members])]) if members else {}
    forged = forge(chance, chance.choice(TAGS), depth - 1)
    return chance.choice([forged, [forged], {"a": forged}])


def test_every_tag_is_forged():
    ours = {tag for tag in DECODERS if ":" not in tag}
    assert sorted(ours - set(TAGS)) == ["WindowsPath"]  # whose values no other system makes
    assert {name for name in ("$extra", "$private", "$attributes") if name in ODD_NAMES}


@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=SERIALIZERS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_forged_trees_become_values_or_our_errors(serializer, seed):
    chance = random.Random(seed)
    for tag in TAGS:
        tree = forge(chance, tag, 2)
        RAN.clear()
        value = None
        with suppress(DeserializationError):
            value = serializer.decode(tree)
        assert RAN == [], tree
        with suppress(SnapshotError):  # a forged value may hold what can't be stored
            serializer.dumps(value)
        del value
        RAN.clear()
