"""Lists are recognised stretch by stretch only if encoding each element would give the same."""

from __future__ import annotations

import gc
import itertools
import tracemalloc

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from serializer_catalogue import CASES
from test_sight import CHANGES, DIFFERENT, PLACES, Shadow

from langgraph_pg_snapshot._plans import codec as codecs
from langgraph_pg_snapshot._plans.codec import SnapshotCodec
from langgraph_pg_snapshot.errors import SerializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer, memory, register, sight
from langgraph_pg_snapshot.serializer import codec as tables


@pytest.fixture
def codec(monkeypatch):
    """One that remembers every element in a stretch, of three at the most."""
    monkeypatch.setattr(codecs, "_sights", {})
    monkeypatch.setattr(sight, "_STRETCH", 3)
    monkeypatch.setattr(sight, "_NEW", 1)
    monkeypatch.setattr(sight, "_MOST_MISSES", 0)
    return SnapshotCodec(SnapshotSerializer())


class Alike(type):
    """Classes that say that they are the one that they derive from."""

    def __eq__(cls, other):
        return other is cls or other is cls.__mro__[1]

    __hash__ = type.__hash__


class Text(str, metaclass=Alike):
    __slots__ = ()


class Number(int, metaclass=Alike):
    __slots__ = ()


class Row(list, metaclass=Alike):
    pass


class Mapping(dict, metaclass=Alike):
    pass


class Looks:
    """Counts how many elements are looked at one by one."""

    def __init__(self, codec, monkeypatch):
        self.count = 0
        real = codec.sight._look

        def look(value):
            self.count += 1
            return real(value)

        monkeypatch.setattr(codec.sight, "_look", look)

    def of(self, work):
        before = self.count
        work()
        return self.count - before


def assert_pieces(codec, values, place="place"):
    """A list has the digests and sizes that encoding its elements gives, until it is remembered."""
    encoded = [codec.piece(value)[::2] for value in values]
    for _ in range(4):
        assert [piece[::2] for piece in codec.pieces(values, place)] == encoded


def messages(count):
    kinds = (HumanMessage, AIMessage, SystemMessage)
    return [kinds[n % 3](f"text {n}", id=str(n)) for n in range(count)]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("row", DIFFERENT.values(), ids=DIFFERENT)
def test_values_that_look_alike_are_told_apart(codec, row, place):
    for first, second in itertools.product(row, repeat=2):
        for value in (first, second, first):
            assert_pieces(codec, [place(value)])
        assert_pieces(codec, [["key", place(value)]], "entry of a dict")


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        (["a", 1], [Text("a"), 1]),
        (["a", 1], ["a", Number(1)]),
        (["a", 1], Row(["a", 1])),
        ({"a": 1}, {Text("a"): 1}),
        ({"a": 1}, {"a": Number(1)}),
        ({"a": 1}, Mapping({"a": 1})),
        (AIMessage("a"), AIMessage.model_construct(content=Text("a"))),
    ],
)
def test_class_that_says_it_is_another_one(codec, plain, other):
    assert_pieces(codec, [plain])
    try:
        encoded = codec.piece(other).digest
    except SerializationError:
        with pytest.raises(SerializationError):
            codec.pieces([other], "place")
    else:
        assert encoded != codec.piece(plain).digest
        assert_pieces(codec, [other])


def test_every_kind_of_value(codec):
    for place in PLACES.values():
        assert_pieces(codec, [place(make()) for make in CASES.values()])
        for make in CASES.values():
            assert_pieces(codec, [place(make())])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("where", range(7))
def test_change_in_place_is_seen(codec, change, where):
    values = [HumanMessage("x", additional_kwargs={"a": {"n": 1}, "b": 2}) for _ in range(7)]
    assert_pieces(codec, values)
    before = codec.piece(values[where])
    change(values[where])
    assert_pieces(codec, values)
    assert codec.piece(values[where]).digest != before.digest


def test_container_that_was_empty_is_filled_in_place(codec):
    values = [AIMessage("x") for _ in range(4)]
    assert_pieces(codec, values)
    for fill in (
        lambda m: m.tool_calls.append({"name": "t", "args": {}, "id": "1"}),
        lambda m: m.additional_kwargs.update(a=1),
        lambda m: m.__pydantic_extra__.update(mood="good"),
    ):
        fill(values[1])
        assert_pieces(codec, values)


def test_private_attributes(codec):
    values = messages(4)
    assert_pieces(codec, values)
    object.__setattr__(values[1], "__pydantic_private__", {"n": 1})
    assert_pieces(codec, values)


def test_metadata_of_messages_that_come_one_by_one(codec, monkeypatch):
    values = [AIMessage("x", response_metadata={"n": 0})]
    assert_pieces(codec, values)
    for n in (1, 2):
        values.append(AIMessage("x", response_metadata={"n": n}))
        codec.pieces(values, "place")
    assert Looks(codec, monkeypatch).of(lambda: codec.pieces(values, "place")) == 0
    for message in values:
        message.response_metadata["n"] += 1
        assert_pieces(codec, values)


def test_elements_are_not_taken_for_their_neighbours(codec):
    """The same parts, in another number to each element."""
    for a, b in (
        ([{"a": 1}, {"b": 2}], [{"a": 1, "b": 2}, {}]),
        ([{}, {"a": 1}], [{"a": 1}, {}]),
        ([["a", 1], ["b", 2]], [["a", 1, "b"], [2]]),
        ([[], ["a"]], [["a"], []]),
        ([{"a": 1}, {"b": 2}], [{"b": 1}, {"a": 2}]),
    ):
        for values in (a, b, a):
            assert_pieces(codec, values)


def test_fields_of_one_message_in_the_other(codec):
    """What ends one's fields begins the next one's: the names follow each other as they did."""
    first, second = AIMessage("a"), HumanMessage("b")
    assert_pieces(codec, [first, second])
    last = first.__dict__.pop("usage_metadata")
    state = dict(second.__dict__)
    second.__dict__.clear()
    second.__dict__.update(usage_metadata=last, **state)
    assert_pieces(codec, [first, second])


EDITS = {
    "one more": lambda old, new: old + new[:1],
    "four more": lambda old, new: old + new[:4],
    "none any more": lambda _old, _new: [],
    "the last one away": lambda old, _new: old[:-1],
    "the first one away": lambda old, _new: old[1:],
    "another first one": lambda old, new: new[:1] + old[1:],
    "another last one": lambda old, new: old[:-1] + new[:1],
    "one in between": lambda old, new: old[:4] + new[:1] + old[4:],
    "backwards": lambda old, _new: old[::-1],
    "others": lambda old, new: new[: len(old)],
    "other kinds": lambda old, _new: [{"n": n} for n in range(len(old))],
    "another kind at the end": lambda old, _new: [*old, {"n": 1}, ["n", 1]],
    "one that is not plain": lambda old, _new: [*old[:2], {"t": (1, 2)}, *old[2:]],
}  # fmt: skip


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 8])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_lists_that_change(codec, edit, length):
    old, new = messages(length), messages(20)[10:]
    assert_pieces(codec, old)
    edited = edit(old, new)
    assert_pieces(codec, edited)
    assert_pieces(codec, old)
    assert_pieces(codec, [*edited, *new])


def test_only_new_elements_are_looked_at_one_by_one(codec, monkeypatch):
    looks = Looks(codec, monkeypatch)

    def of(values, place="place"):
        return looks.of(lambda: codec.pieces(values, place))

    # It is remembered when it has come by twice.
    assert [of(messages(8)) for _ in range(4)] == [8, 8, 8, 0]
    assert [of(messages(9)) for _ in range(2)] == [1, 0]
    assert [of(messages(12)) for _ in range(4)] == [3, 3, 3, 0]
    # The second stretch is not what it was.
    values = messages(12)
    values[4].content = "other"
    assert [of(values) for _ in range(4)] == [3, 3, 3, 0]
    assert of(values, "elsewhere") == 12


def test_what_always_changes_is_seldom_remembered(monkeypatch):
    monkeypatch.setattr(codecs, "_sights", {})
    codec = SnapshotCodec(SnapshotSerializer())
    looks = Looks(codec, monkeypatch)
    past, grown = messages(600), 0
    real = codec.sight._grown

    def counted(*args):
        nonlocal grown
        grown += 1
        return real(*args)

    monkeypatch.setattr(codec.sight, "_grown", counted)
    for n in range(1000):
        codec.pieces(past[n // 2 : n // 2 + 50], "place")
    assert 4 < grown < 16
    # And when it changes no more, it is before long.
    assert 0 in [looks.of(lambda: codec.pieces(past[-50:], "place")) for _ in range(130)]


def test_few_new_elements_wait_until_they_are_more(monkeypatch):
    monkeypatch.setattr(codecs, "_sights", {})
    codec = SnapshotCodec(SnapshotSerializer())
    looks = Looks(codec, monkeypatch)
    found = [looks.of(lambda n=n: codec.pieces(messages(n), "place")) for n in range(150)]
    assert max(found) == sight._NEW
    assert sum(found) < sight._NEW * len(found) * 0.7


def test_what_stands_before_one_that_is_not_plain_is_remembered(codec, monkeypatch):
    looks = Looks(codec, monkeypatch)
    first, last = messages(2)
    values = [first, ToolMessage("x", tool_call_id="1", artifact={1, 2}), last]
    found = [looks.of(lambda: codec.pieces(values, "place")) for _ in range(6)]
    assert found == [3, 3, 3, 2, 2, 2]


@pytest.mark.parametrize(
    "values",
    [
        [[float(n) for n in range(40)]] * 4,
        [{str(n): n for n in range(40)}] * 4,
        [ToolMessage("x", tool_call_id="1", artifact={1, 2})] * 4,
        [{"a": 1}, ["a", 1]] * 4,
    ],
    ids=["long rows", "long dicts", "not plain", "several kinds"],
)
def test_what_is_not_remembered_together_is_right(codec, monkeypatch, values):
    assert_pieces(codec, values)
    looks = Looks(codec, monkeypatch)
    assert_pieces(codec, values)
    assert looks.count > 0


def test_class_that_is_registered_later_is_encoded_its_way(codec, monkeypatch):
    """Also one that has a codec of this package's."""
    tag = "langchain_core.messages.human:HumanMessage"
    for table, key in (
        (tables._known, HumanMessage),
        (tables.ENCODERS, HumanMessage),
        (tables.DECODERS, tag),
        (tables._registered, tag),
    ):
        monkeypatch.setitem(table, key, table.get(key))  # as it is put back in the end
    tables._registered.pop(tag)
    values = [HumanMessage("x") for _ in range(4)]
    assert_pieces(codec, values)
    before = codec.pieces(values, "place")[0].digest
    register(HumanMessage, lambda message: message.content, HumanMessage)
    assert_pieces(codec, values)
    assert codec.pieces(values, "place")[0].digest != before


def test_value_that_another_thread_changes_meanwhile(codec):
    """What is remembered is what the bytes say, not what the value had become when it was read."""
    value = {"rows": [{"n": 0}] * 2, "last": 0}
    real = codec.snapshot.dumps

    def dumps(given):
        value["last"] += 1  # the other thread gets its turn just before the encoding
        return real(given)

    codec.snapshot.dumps = dumps
    for _ in range(5):
        codec.pieces([value], "place")
    codec.snapshot.dumps = real
    for last in range(12):
        assert_pieces(codec, [{"rows": [{"n": 0}] * 2, "last": last}])


def test_broken_message_is_refused_as_ever(codec):
    values = messages(4)
    assert_pieces(codec, values)
    values[2] = object.__new__(SystemMessage)
    for _ in range(2):
        with pytest.raises(SerializationError):
            codec.pieces(values, "place")


def test_names_that_are_no_plain_text(codec):
    assert_pieces(codec, [{"a": 1}, {"b": 2}])
    assert_pieces(codec, [{Shadow("a"): 1}, {"b": 2}])
    assert_pieces(codec, [{1: 1}, {True: 2}])
    assert_pieces(codec, [{True: 1}, {1.0: 2}])


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(codecs, "_sights", {})
    monkeypatch.setattr(memory, "GENERATION_BYTES", 2**20)
    codec = SnapshotCodec(SnapshotSerializer())
    kinds = [
        lambda n: AIMessage(str(n), response_metadata={"n": n}),
        lambda n: {"t": f"{n:900}"},
        lambda n: [str(n), n],
    ]
    for make in kinds:
        tracemalloc.start()
        for start in range(0, 4_000, 100):
            for _ in range(4):
                codec.pieces([make(n) for n in range(start, start + 100)], start)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 2 * 2.5 * 2**20
