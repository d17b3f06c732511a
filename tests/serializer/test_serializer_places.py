"""What can't be stored or loaded is named: its place in the value, its type, and the cause."""

from __future__ import annotations

import inspect
import sys

import pytest
from serializer_catalogue import Address, Aliased, Person, Place

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot.errors import (
    DeserializationError,
    SerializationError,
    TypeNotAllowedError,
)
from langgraph_pg_snapshot.serializer import SnapshotSerializer, register

HOME = "serializer_catalogue"


class Picky:
    def __init__(self, number):
        self.number = number


class PickyError(Exception):
    """What an application raises."""


def to_data(value):
    if value.number < 0:
        raise PickyError("negative")
    return {"number": value.number, "checks": print if value.number > 99 else None}


def from_data(data):
    if data["number"] == 13:
        raise PickyError("unlucky", data)
    return Picky(data["number"])


register(Picky, to_data, from_data)
PICKY = f"{__name__}:Picky"


@pytest.mark.parametrize("save", ["dumps", "encode"])
@pytest.mark.parametrize(
    ("nest", "where"),
    [
        (lambda value: {"tools": [{"run": value}]}, "['tools'][0]['run']"),
        (lambda value: (1, {2: value}), "[1][2]"),
        (lambda value: Person.model_construct(name="x", home=value), ".home"),
        (lambda value: Aliased.model_construct(from_=1, other=value), "['other']"),
        (lambda value: Place("a", value), ".at"),
        (lambda value: value, "the value"),
    ],
    ids=["dict", "pairs", "model", "extra", "namedtuple", "alone"],
)
def test_an_error_while_saving_is_the_cause(save, nest, where):
    with pytest.raises(SerializationError) as caught:
        getattr(SnapshotSerializer(), save)(nest(Picky(-1)))
    says = f"{PICKY}, by what register() was given: PickyError('negative')"
    assert str(caught.value) == f"{where} can't be stored: {says}"
    assert type(caught.value.__cause__) is PickyError


def test_what_register_was_given_may_make_what_cannot_be_stored():
    with pytest.raises(SerializationError, match=r"^\[0\]\['checks'\] can't be stored: builtins"):
        SnapshotSerializer().dumps([Picky(100)])


NUMBER = {"$type": "datetime", "value": 5}
TOO_SMALL = "(datetime): expected str, the stored data has int"
NO_FIELD = (
    f"the stored '{HOME}:Address' has no field 'city', for which the class has no plain default: "
    f"pass upgrades={{'{HOME}:Address': a function of the stored fields}}"
)
GONE = (
    "'gone:Gone' is not in this process: import its module before loading, pass the class as "
    "allowed_types=[…], or say what took its place with upgrades={'gone:Gone': NewClass}"
)
WRONG = {
    "dict": ({"tools": [{"run": NUMBER}]}, f"['tools'][0]['run'] {TOO_SMALL}"),
    "ordered dict": ({"b": {"a": NUMBER}, "$order": ["b"]}, f"['b']['a'] {TOO_SMALL}"),
    "tuple": ([{"$type": "tuple", "items": [1, [NUMBER]]}], f"[0][1][0] {TOO_SMALL}"),
    "pairs": ({"$type": "dict", "items": [[1, 2], [3, [NUMBER]]]}, f"[3][0] {TOO_SMALL}"),
    "key of pairs": (
        {"$type": "dict", "items": [[{"$type": "tuple", "items": [NUMBER]}, 1]]},
        f"[<key>][0] {TOO_SMALL}",
    ),
    "model": (
        [{"$type": f"{HOME}:Person", "name": "x", "home": {"$type": f"{HOME}:Address"}}],
        f"[0].home: {NO_FIELD}",
    ),
    "extra": ({"$type": "human", "content": "", "$extra": {"a": NUMBER}}, f"['a'] {TOO_SMALL}"),
    "gone": (
        {"a": [{"$type": "gone:Gone"}]},
        f"['a'][0]: {GONE}",
    ),
    "alone": (NUMBER, "datetime: expected str, the stored data has int"),
    "missing": ([{"$type": "set"}], "[0] (set): the stored data can't be read: KeyError('items')"),
    "registered": (
        {"a": {"$type": PICKY, "value": {"number": 13}}},
        f"['a']: '{PICKY}' can't be read by what register() was given: PickyError",
    ),
    "inside": ({"$type": PICKY, "value": {"number": NUMBER}}, f"['number'] {TOO_SMALL}"),
    "upgraded": (
        ["x", {"$type": "old:Kind", "a": 1}],
        "[1]: 'old:Kind' can't be read by what upgrades= has for it: KeyError('b')",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("tree", "says"), WRONG.values(), ids=WRONG.keys())
def test_an_error_while_loading_says_where(tree, says):
    serializer = SnapshotSerializer(upgrades={"old:Kind": lambda fields: fields["b"]})
    with pytest.raises(DeserializationError) as caught:
        serializer.decode(tree)
    assert str(caught.value) == says
    if "can't be read" in says:
        assert type(caught.value.__cause__) in (KeyError, PickyError)


def test_long_ways_are_shortened():
    tree = {"$type": "gone:Gone"}
    for number in range(50):
        tree = {str(number): tree}
    with pytest.raises(TypeNotAllowedError) as caught:
        SnapshotSerializer().decode(tree)
    where, _, _ = str(caught.value).partition(":")
    assert where.startswith("['49']['48']")
    assert where.endswith("['1']['0']")
    assert "…" in where
    assert len(where) < 150


def test_far_inside_the_place_may_be_unknown_but_not_the_reason():
    """However little of Python's stack is left: it depends on the version how far that goes."""
    tree = {"$type": "gone:Gone"}
    for _ in range(60):
        tree = {"$type": "tuple", "items": [tree]}
    held, depth, said = sys.getrecursionlimit(), len(inspect.stack(0)), []
    try:
        for spare in range(100, 800, 10):
            sys.setrecursionlimit(depth + spare)
            with pytest.raises(DeserializationError) as caught:
                SnapshotSerializer().decode(tree)
            said.append(str(caught.value))
    finally:
        sys.setrecursionlimit(held)
    beginnings = [text.partition(" ")[0] for text in said]
    assert all(
        text.endswith(("nested too deep", "upgrades={'gone:Gone': NewClass}")) for text in said
    )
    assert beginnings[0] == "the"
    assert beginnings[-1].startswith("[0][0]")


def test_an_upgrade_may_refuse_in_words_of_its_own():
    def refuse(_fields):
        raise DeserializationError("of a time before orders")

    with pytest.raises(DeserializationError, match=r"^\[0\] \(old:Order\): of a time before"):
        SnapshotSerializer(upgrades={"old:Order": refuse}).decode([{"$type": "old:Order"}])


@pytest.mark.parametrize("colour", ["sync", "async"])
async def test_a_saver_names_the_channel_too(ready_database, colour):
    saver = PostgresSnapshotSaver(ready_database)
    says = r"thread 't'.*channel 'tools'.*\['a'\]\[0\].*" + PICKY
    state = {"fine": Address(city="x"), "tools": {"a": [Picky(-1)]}}
    with pytest.raises(SerializationError, match=says) as caught:
        await saver.asave_state("t", state) if colour == "async" else saver.save_state("t", state)
    assert type(caught.value.__cause__) is PickyError
    assert saver.load_state("t") is None
    saver.save_state("t", {"tools": {"a": [Picky(13)]}})
    with pytest.raises(DeserializationError, match=says) as caught:
        await saver.aload_state("t") if colour == "async" else saver.load_state("t")
    assert type(caught.value.__cause__) is PickyError
    await saver.aclose()
