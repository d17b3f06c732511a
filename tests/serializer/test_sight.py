"""A value is recognised at sight only if encoding it would give the same, to the bit."""

from __future__ import annotations

import array
import enum
import gc
import tracemalloc

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, ConfigDict, PrivateAttr
from serializer_catalogue import CASES

from langgraph_pg_snapshot._plans import codec as codecs
from langgraph_pg_snapshot._plans.codec import SnapshotCodec
from langgraph_pg_snapshot.errors import SerializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer, memory, register


class Text(str, enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Shadow(str):
    __slots__ = ()


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int = 0
    _private: int = PrivateAttr(default=0)


class Money(BaseModel):
    cents: int


# Of each row every two are different values, though == or marshal may see no difference.
DIFFERENT = {
    "one": [1, 1.0, True, Number.ONE, np.int64(1), np.float64(1), "1", b"1", [1], (1,)],
    "zero": [0, 0.0, -0.0, False, None, "", [], {}, (), b""],
    "text": ["a", Text.A, Shadow("a"), np.str_("a"), b"a", "a\x00", "\ud800", "\\ud800"],
    "eight bytes": [
        np.float64(1.0), np.float64(1.0).view(np.int64), np.float64(1.0).tobytes(),
        bytearray(np.float64(1.0).tobytes()), memoryview(np.float64(1.0).tobytes()),
        np.array([1.0]), array.array("d", [1.0]).tobytes().decode("latin-1"),
    ],
    "sequence": [[1, 2], (1, 2), {1, 2}, frozenset((1, 2)), [2, 1], [1, [2]], {"0": 1, "1": 2}],
    "mapping": [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 2.0}, {"a": 1, "b": [2]}],
    "huge": [10**400, 2**64, float(2**64), 1e16, 10**16, float("inf"), float("nan")],
}  # fmt: skip

PLACES = {
    "dict": lambda value: {"value": value},
    "list": lambda value: ["value", value],
    "deep": lambda value: {"a": [{"b": value}]},
    "message": lambda value: HumanMessage("x", additional_kwargs={"value": value}),
    "artifact": lambda value: AIMessage("x", response_metadata={"value": [value]}),
    "extra": lambda value: HumanMessage("x", mood=value),
}


@pytest.fixture
def codec(monkeypatch):
    monkeypatch.setattr(codecs, "_sights", {})  # savers share what they remember
    return SnapshotCodec(SnapshotSerializer())


def assert_recognised(codec, values):
    """Each of them, in every order of two, has the digest and size that encoding it gives."""
    for first in values:
        for second in values:
            for value in (first, second):
                encoded = codec.piece(value)
                assert codec.sight.one(value)[::2] == encoded[::2]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("row", DIFFERENT.values(), ids=DIFFERENT)
def test_values_that_look_alike_are_told_apart(codec, row, place):
    assert_recognised(codec, [place(value) for value in row])


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_every_kind_of_value(codec, place):
    assert_recognised(codec, [place(make()) for make in CASES.values()][::5])
    for make in CASES.values():
        assert_recognised(codec, [place(make()), make()])


def test_second_look_does_not_encode(codec):
    values = [HumanMessage("x"), {"a": [1, {"b": None}]}, [1.5, "y"], Document("y")]
    for value in values:
        assert codec.sight.one(value).payload is not None
    for value in values:
        assert codec.sight.one(value).payload is None
    # It is the value that is recognised, not the object.
    assert codec.sight.one(HumanMessage("x")).payload is None


CHANGES = {
    "content": lambda m: setattr(m, "content", "other"),
    "same text of another type": lambda m: setattr(m, "content", Shadow("x")),
    "nested dict": lambda m: m.additional_kwargs["a"].update(n=2),
    "nested type": lambda m: m.additional_kwargs["a"].update(n=True),
    "nested order": lambda m: m.additional_kwargs.update(a=m.additional_kwargs.pop("a")),
    "field set": lambda m: m.__pydantic_fields_set__.add("name"),
    "field removed": lambda m: m.__dict__.pop("name"),
    "field added": lambda m: m.__dict__.update(more=1),
    "fields swapped": lambda m: m.__dict__.update(name=m.__dict__.pop("name")),
    "extra": lambda m: m.__pydantic_extra__.update(mood="good"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_in_place_is_seen(codec, change):
    message = HumanMessage("x", additional_kwargs={"a": {"n": 1}, "b": 2})
    before = codec.sight.one(message).digest
    assert codec.sight.one(message).digest == before
    change(message)
    for _ in range(2):
        assert codec.sight.one(message).digest == codec.piece(message).digest != before


def test_equal_fields_of_two_classes(codec):
    fields = {"content": "x", "type": "human"}
    for _ in range(3):
        for model in (HumanMessage(**fields), SystemMessage.model_construct(**fields)):
            assert codec.sight.one(model).digest == codec.piece(model).digest


def test_sharing_makes_no_difference(codec):
    one, other = (str(10**30) for _ in range(2))
    assert one is not other
    codec.sight.one({"a": one, "b": one})
    assert codec.sight.one({"a": one, "b": other}).payload is None


def _with_private(value):
    model = Loose(n=1)
    model._private = value
    return model


@pytest.mark.parametrize(
    "models",
    [
        [_with_private(5), _with_private(0)],
        [HumanMessage("x", mood=5), HumanMessage("x", mood=0), HumanMessage("x")],
    ],
    ids=["private attributes", "extras"],
)
def test_what_stands_beside_the_fields(codec, models):
    for _ in range(3):
        for model in models:
            assert codec.sight.one(model).digest == codec.piece(model).digest


def test_class_that_is_registered_later_is_encoded_its_way(codec):
    before = codec.sight.one(Money(cents=5)).digest
    register(Money, lambda money: f"{money.cents} ct", lambda text: Money(cents=int(text[:-3])))
    assert codec.sight.one(Money(cents=5)).digest == codec.piece(Money(cents=5)).digest != before


def test_what_is_refused_stays_refused(codec):
    for _ in range(2):
        with pytest.raises(SerializationError, match=r"\['f'\]"):
            codec.sight.one({"f": print})


def test_value_that_another_thread_changes_meanwhile(codec):
    """What is remembered is what the bytes say, not what the value had become when it was read."""
    value = {"rows": [{"n": 0}] * 2, "last": 0}
    real = codec.snapshot.dumps

    def dumps(given):
        value["last"] += 1  # the other thread gets its turn just before the encoding
        return real(given)

    codec.snapshot.dumps = dumps
    for _ in range(3):
        codec.sight.one(value)
    codec.snapshot.dumps = real
    for last in range(8):
        again = {"rows": [{"n": 0}] * 2, "last": last}
        assert codec.sight.one(again).digest == codec.piece(again).digest


def test_savers_share_what_they_remember_but_not_with_other_serializers():
    """(A clone is made for each graph in strict mode.)"""

    class Other(SnapshotSerializer):
        def dumps(self, value):
            return super().dumps({"other": value})

    ours = SnapshotSerializer()
    value = {"text": "shared by savers"}
    assert SnapshotCodec(ours).sight.one(value).payload is not None
    assert SnapshotCodec(ours.with_allowlist([])).sight.one(value).payload is None
    assert SnapshotCodec(SnapshotSerializer(max_depth=5)).sight.one(value).payload is not None
    other = SnapshotCodec(Other())
    assert other.sight.one(value).digest == other.piece(value).digest


def test_memory_is_bounded(codec, monkeypatch):
    monkeypatch.setattr(memory, "GENERATION_BYTES", 2**20)
    kinds = [lambda n: {"id": n}, lambda n: HumanMessage(str(n)), lambda n: {"t": f"{n:900}"}]
    for make in kinds:
        tracemalloc.start()
        for n in range(20_000):
            codec.sight.one(make(n))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 2.5 * 2**20


def test_what_is_met_again_stays(codec, monkeypatch):
    monkeypatch.setattr(memory, "GENERATION_BYTES", 10_000)
    kept = {"text": "kept"}
    codec.sight.one(kept)
    for n in range(100):
        codec.sight.one({"text": f"{n:200}"})
        assert codec.sight.one(kept).payload is None
    assert codec.sight.one({"text": f"{0:200}"}).payload is not None


def test_what_is_not_plain_is_looked_at_each_time(codec):
    for value in ({"t": (1, 2)}, {"b": b"1"}, {"b": bytearray(b"1")}, {"n": np.int8(49)}):
        for _ in range(3):
            assert codec.sight.one(value).digest == codec.piece(value).digest


def test_broken_message_is_refused_as_ever(codec):
    broken = object.__new__(HumanMessage)
    for look in (codec.piece, codec.sight.one, codec.sight.one):
        with pytest.raises(SerializationError):
            look(broken)
