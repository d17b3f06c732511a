"""The attributes of an instance: what is stored can be set again, and nothing runs for it."""

from __future__ import annotations

import functools
import types
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pydantic
import pytest
from serializer_catalogue import Plain, Row, Tags
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import (
    DeserializationError,
    SerializationError,
    TypeNotAllowedError,
)
from langgraph_pg_snapshot.serializer import SnapshotSerializer

RAN: list[str] = []
HIDDEN = ("static", "of_class", "remembered", "partial", "factory")


class Factory:
    """A default factory that says when it is looked at."""

    def __call__(self):
        RAN.append("__call__")

    def __hash__(self):
        RAN.append("__hash__")
        return 1

    def __eq__(self, other):
        RAN.append("__eq__")
        return False


@dataclass
class Made:
    a: int = field(default_factory=Factory())

    def method(self):
        return None

    @staticmethod
    def static():
        return None

    @classmethod
    def of_class(cls):
        return None

    @functools.lru_cache  # noqa: B019  # what is tested
    def remembered(self):
        return None

    @functools.cached_property
    def worked_out(self):
        return None

    partial = functools.partialmethod(method)
    factory = dict
    limit = 5


class Swapped(NamedTuple):
    x: int
    y: int

    def __iter__(self):
        RAN.append("__iter__")
        return iter((self[1], self[0]))


class Liar:
    def __getattribute__(self, name):
        RAN.append(name)
        return {} if name == "__dict__" else object.__getattribute__(self, name)


@dataclass
class LyingData(Liar):
    a: int = 1


class LyingTags(Liar, list):
    pass


class _Pair(NamedTuple):
    x: int
    y: int


class LyingPair(Liar, _Pair):
    pass


class LyingModel(Liar, pydantic.BaseModel):
    a: int = 1


class MetaLiar(type):
    def __getattribute__(cls, name):
        RAN.append(name)
        return type.__getattribute__(cls, name)


@dataclass
class OfMeta(metaclass=MetaLiar):
    a: int = 1


class Disguised:
    """An attribute of a class that is asked what it is."""

    @property
    def __class__(self):
        RAN.append("__class__")
        return functools.cached_property


@dataclass
class Holding:
    a: int = 1
    guise = Disguised()


@dataclass
class OwnDict:
    a: int = 1

    @property
    def __dict__(self):  # type: ignore[override]  # on purpose
        RAN.append("__dict__")
        return {}


class OwnDictError(ValueError):
    @property
    def __dict__(self):  # type: ignore[override]  # on purpose
        RAN.append("__dict__")
        return {}


class OwnDictTags(list):
    @property
    def __dict__(self):  # type: ignore[override]  # on purpose
        RAN.append("__dict__")
        return {}


class Remembering(dict):
    @functools.cached_property
    def client(self):
        return print


@pytest.fixture
def serializer():
    RAN.clear()
    return SnapshotSerializer()


def with_attribute(value: Any, name: Any) -> Any:
    vars(value)[name] = 1
    return value


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Made(1), "method"),
        *((lambda: Made(1), name) for name in HIDDEN),
        (lambda: Made(1), "__call__"),
        (lambda: Made(1), "__slots__"),
        (lambda: Made(1), 5),
        (lambda: Tags([1]), "__len__"),
        (lambda: Tags([1]), None),
        (types.SimpleNamespace, 5),
    ],
)
def test_attributes_that_loading_would_refuse_are_refused_when_saved(serializer, make, name):
    serializer.loads(serializer.dumps(make()))
    with pytest.raises(SerializationError, match=r"^\[0\].* can't be stored: .* attribute"):
        serializer.dumps([with_attribute(make(), name)])


@pytest.mark.parametrize("kind", [OrderedDict, Counter])
def test_the_attributes_of_dicts_of_pythons_own_are_kept(serializer, kind):
    value = with_attribute(kind(b=1, a=2), "noted")
    assert_same(serializer.loads(serializer.dumps(value)), value)
    with pytest.raises(SerializationError, match="the name of a method"):
        serializer.dumps(with_attribute(kind(), "update"))
    tree = {"$type": kind.__name__, "value": {}, "$attributes": {"update": 1}}
    with pytest.raises(DeserializationError, match="the name of a method"):
        serializer.decode(tree)
    tree = {"$type": "defaultdict", "value": {}, "$attributes": {"noted": 1}}
    with pytest.raises(DeserializationError, match="no place for attributes"):
        serializer.decode(tree)


@pytest.mark.parametrize("name", ["method", "__call__", "worked_out", *HIDDEN])
def test_forged_attributes_are_refused(serializer, name):
    tree = {"$type": f"{__name__}:Made", "a": 1, "$attributes": {name: 1}}
    with pytest.raises(DeserializationError, match=name):
        serializer.decode(tree)


def test_what_cached_properties_remember_is_not_stored(serializer):
    value = Remembering(a=1)
    assert value.client is print
    assert_same(serializer.loads(serializer.dumps(value)), Remembering(a=1))
    row = Row[int]([1])
    assert row.size == 1
    assert "size" not in vars(serializer.loads(serializer.dumps(row)))


def test_cached_properties_of_attrs_are_not_stored(serializer):
    attrs = pytest.importorskip("attrs")

    @attrs.define
    class Defined:
        a: int

        @functools.cached_property
        def client(self):
            return print

    value = Defined(1)
    assert value.client is print
    assert serializer.encode(value).keys() == {"$type", "a"}
    assert serializer.loads(serializer.dumps(value)) == value


@pytest.mark.parametrize("cls", [OwnDict, OwnDictTags])
def test_a_class_that_makes_its_own_dict_is_refused(serializer, cls):
    with pytest.raises(SerializationError, match="makes its own __dict__"):
        serializer.dumps([cls()])
    RAN.clear()
    tree = {"$type": f"{__name__}:{cls.__qualname__}", "value": [], "$attributes": {"b": 1}}
    with pytest.raises(TypeNotAllowedError, match="makes its own __dict__"):
        serializer.decode(tree)
    assert RAN == []


def test_an_exception_that_makes_its_own_dict_is_not_asked_for_it(serializer):
    error = OwnDictError("x")
    error.noted = 1
    tree = serializer.encode(error)
    back = serializer.decode(tree)
    assert RAN == []
    assert type(back) is OwnDictError
    assert back.args == ("x",)
    assert back.noted == 1


@pytest.mark.parametrize("cls", [LyingData, LyingTags, LyingPair, LyingModel])
def test_the_state_of_an_instance_is_not_asked_of_its_class(serializer, cls):
    value = {LyingTags: lambda: LyingTags([1]), LyingPair: lambda: LyingPair(1, 2)}.get(cls, cls)()
    state = object.__getattribute__(value, "__dict__")
    state["a"] = "stored"
    RAN.clear()
    back = serializer.loads(serializer.dumps(value))
    assert RAN == []
    assert type(back) is cls
    assert object.__getattribute__(back, "__dict__") == state == {"a": "stored"}


def test_the_elements_of_a_namedtuple_are_those_of_the_tuple(serializer):
    value = serializer.loads(serializer.dumps(Swapped(1, 2)))
    assert RAN == []
    assert (value.x, value.y) == (1, 2)


@pytest.mark.parametrize("cls", [OfMeta, Holding])
def test_a_class_is_not_asked_what_it_is(serializer, cls):
    value = cls(5)
    RAN.clear()
    back = serializer.loads(serializer.dumps([value, cls]))
    assert RAN == []
    assert back[1] is cls
    assert back[0].a == 5


def test_attributes_that_hide_no_method_are_kept(serializer):
    value = with_attribute(Made(1), "limit")
    assert vars(serializer.loads(serializer.dumps(value))) == {"a": 1, "limit": 1}


def test_default_factories_are_not_asked_anything(serializer):
    with pytest.raises(DeserializationError, match="no field 'a'"):
        serializer.decode({"$type": f"{__name__}:Made"})
    assert RAN == []


def test_the_class_of_a_generic_instance_is_not_stored(serializer):
    assert "$attributes" not in serializer.encode(Row[int]([1]))
    assert_same(serializer.loads(serializer.dumps(Plain(1))), Plain(1))
