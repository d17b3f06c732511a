"""Combinations of flags: those that can be made again, and no code of the application for them."""

from __future__ import annotations

import contextlib
import enum
import re

import pytest
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import DeserializationError, SerializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.flags import _MAX_VALUES

RAN: list[str] = []
serializer = SnapshotSerializer()


class CountedInt(int):
    def __new__(cls, value):
        RAN.append("__new__")
        return int.__new__(cls, value)


class Comparing:
    def __eq__(self, other):
        RAN.append("__eq__")
        return self is other

    __hash__ = object.__hash__


class OfData(CountedInt, enum.Flag):
    A = 1
    B = 2


class OfMixin(Comparing, enum.Flag):
    A = 1
    B = 2
    BOTH = 3
    C = 4


class Listing(enum.IntFlag):
    A = 1
    B = 2


def _ran(cls, value):
    RAN.append("made")
    return cls.A


# Not in the class statement, which allows each in some versions of Python only.
for _name in ("_iter_member_", "_create_pseudo_member_"):
    setattr(Listing, _name, classmethod(_ran))


class Setting(enum.IntFlag):
    A = 1
    B = 2

    def __setattr__(self, name, value):
        RAN.append("__setattr__")
        super().__setattr__(name, value)


class Meta(enum.EnumMeta):
    def __getattribute__(cls, name):
        RAN.append("__getattribute__")
        return super().__getattribute__(name)


class OfMeta(enum.Flag, metaclass=Meta):
    A = 1
    B = 2


class Shown(enum.Flag):
    """One that says how it looks, and how its members are made: no business of combinations."""

    B = 2
    A = 1

    def __new__(cls, value):
        RAN.append("__new__")
        made = object.__new__(cls)
        made._value_ = value
        return made

    def __str__(self):
        return "shown"


class Named(enum.IntFlag):
    A = 1
    B = 2
    HIGH = 1 << 70


@pytest.mark.parametrize("cls", [OfData, OfMixin, Listing, Setting, OfMeta])
def test_no_code_of_the_application_makes_a_combination(cls):
    tag = f"{__name__}:{cls.__qualname__}"
    serializer.decode({"$type": "type", "value": tag})
    RAN.clear()
    with pytest.raises(DeserializationError, match="has no member 7"):
        serializer.decode({"$type": tag, "value": 7})
    assert RAN == []
    assert_same(serializer.loads(serializer.dumps([cls.A])), [cls.A])


def test_a_combination_that_loading_would_not_make_is_refused_when_saved():
    with pytest.raises(SerializationError, match=r"not a member of .*:OfMixin"):
        serializer.dumps(OfMixin.A | OfMixin.C)
    assert_same(serializer.loads(serializer.dumps(OfMixin.BOTH)), OfMixin.BOTH)
    with pytest.raises(SerializationError, match=r"not a member of .*:Small"):
        serializer.dumps(enum.IntFlag("Small", {"A": 1})(1 << 64))


@pytest.mark.parametrize(
    "value",
    [
        *(Shown.A | Shown.B, Shown(0)),
        *(Named.A | 8, Named.A | Named.HIGH, Named(0), Named(1 << 63)),
        *(re.IGNORECASE | re.MULTILINE, re.RegexFlag(1 << 20)),
    ],
    ids=str,
)
def test_other_combinations_are_made(value):
    tree = serializer.encode(value)
    known = type(value)._value2member_map_
    known.pop(value.value, None)  # as in another process
    RAN.clear()
    made = serializer.decode(tree)
    assert RAN == []
    assert (type(made), made.value, made.name) == (type(value), value.value, value.name)
    assert type(value)(value.value) is made


def test_what_a_boundary_makes_of_a_number_is_no_member():
    boundary = getattr(enum, "FlagBoundary", None)
    if boundary is None:  # before Python 3.11
        return

    class Ejecting(enum.IntFlag, boundary=boundary.EJECT):
        A = 1

    tag = serializer.encode(Ejecting)["value"]
    with pytest.raises(DeserializationError, match="has no member 8"):
        serializer.decode({"$type": tag, "value": 8})


def test_forged_data_makes_a_bounded_number_of_members():
    class Flags(enum.IntFlag):
        A = 1

    tag = serializer.encode(Flags)["value"]
    for value in range(_MAX_VALUES + 64):
        with contextlib.suppress(DeserializationError):
            serializer.decode({"$type": tag, "value": value << 1})
    with pytest.raises(DeserializationError, match="has no member"):
        serializer.decode({"$type": tag, "value": _MAX_VALUES << 8})
    assert len(Flags._value2member_map_) <= _MAX_VALUES + 64
    for value in (1 << 20000, -(1 << 20000)):
        with pytest.raises(DeserializationError):
            serializer.decode({"$type": tag, "value": {"$type": "int", "hex": hex(value)}})
    assert_same(serializer.loads(serializer.dumps(Flags.A)), Flags.A)
