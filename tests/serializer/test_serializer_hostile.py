"""Stored data that someone forged: it becomes a value or our error, and runs nothing."""

from __future__ import annotations

import enum
import functools
import subprocess
import sys
import types
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langgraph.types import Send
from serializer_catalogue import CASES, Address, Place, Plain, Tags

from langgraph_pg_snapshot.errors import (
    DeserializationError,
    SerializationError,
    SnapshotError,
    TypeNotAllowedError,
)
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.serializer.codec import DECODERS

RAN: list[str] = []


def _ran(what):
    RAN.append(what)


@dataclass
class Constructed:
    a: int = 1
    made: list[Any] = field(default_factory=lambda: _ran("default_factory") or [])

    def __new__(cls, *_args, **_kwargs):
        _ran("__new__")
        return super().__new__(cls)

    def __post_init__(self):
        _ran("__post_init__")

    def __setattr__(self, name, value):
        _ran("__setattr__")
        super().__setattr__(name, value)

    def __getattribute__(self, name):
        _ran("__getattribute__")
        return super().__getattribute__(name)

    def __setstate__(self, state):
        _ran("__setstate__")

    def __reduce__(self):
        _ran("__reduce__")
        return (_ran, ("reduced",))

    def act(self):
        return "acted"


@dataclass
class Described:
    a: int = 1

    @property
    def b(self):
        return None

    @b.setter
    def b(self, value):
        _ran("property")


class Validated(pydantic.BaseModel):
    a: int = 1

    def __init__(self, **data):
        _ran("__init__")
        super().__init__(**data)

    def model_post_init(self, _context):
        _ran("model_post_init")

    @pydantic.field_validator("a")
    @classmethod
    def check(cls, value):
        _ran("validator")
        return value

    @pydantic.model_validator(mode="before")
    @classmethod
    def check_all(cls, value):
        _ran("model_validator")
        return value


class Missing(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value):
        _ran("_missing_")
        return cls.A


class MissingFlag(enum.Flag):
    A = 1
    B = 2

    @classmethod
    def _missing_(cls, value):
        _ran("_missing_")
        return cls.A


class RaisedError(Exception):
    def __new__(cls, *_args):
        _ran("__new__")
        return super().__new__(cls)

    def __init__(self, *_args):
        _ran("__init__")

    def __setattr__(self, name, value):
        _ran("__setattr__")


class Grown(list):
    def __init__(self, *_args):
        _ran("__init__")

    def append(self, item):
        _ran("append")

    extend = append


class Mapped(dict):
    def __setitem__(self, key, value):
        _ran("__setitem__")

    def update(self, *_args):
        _ran("update")


@dataclass
class Finalized:
    a: int = 1

    def __del__(self):
        _ran("__del__")


class Service:
    """Not data."""

    def __init__(self):
        _ran("__init__")


class Lazy(types.ModuleType):
    def __getattr__(self, name):
        _ran("module __getattr__")
        raise AttributeError(name)

    def __getattribute__(self, name):
        if name not in ("__dict__", "__class__", "__spec__", "__file__", "__name__"):
            _ran("module __getattribute__")
        return super().__getattribute__(name)


class Proxy:
    @property
    def __class__(self):
        _ran("__class__")
        return type


class Meta(type):
    def __getattr__(cls, name):
        _ran(f"metaclass {name}")
        raise AttributeError(name)

    def __subclasscheck__(cls, other):
        _ran("__subclasscheck__")
        return True


class Watched(metaclass=Meta):
    pass


proxy = Proxy()
here = __name__


@pytest.fixture
def serializer():
    return SnapshotSerializer()


@pytest.fixture(autouse=True)
def _nothing_ran():
    RAN.clear()
    yield
    RAN.clear()


HARMLESS = [
    ({"$type": f"{here}:Constructed", "a": "odd", "made": [1]}, Constructed),
    ({"$type": f"{here}:Described", "a": 5}, Described),
    ({"$type": f"{here}:Validated", "a": "not an int"}, Validated),
    ({"$type": f"{here}:Missing", "value": 1}, Missing),
    ({"$type": f"{here}:RaisedError", "args": [1]}, RaisedError),
    ({"$type": f"{here}:Grown", "value": [1]}, Grown),
    ({"$type": f"{here}:Mapped", "value": {"a": 1}}, Mapped),
]


@pytest.mark.parametrize(("tree", "cls"), HARMLESS, ids=lambda v: getattr(v, "__name__", "tree"))
def test_objects_are_made_without_their_code(serializer, tree, cls):
    value = serializer.decode(tree)
    assert RAN == []
    assert type(value) is cls


REFUSED = {
    # modules are never imported
    "not imported": {"$type": "this:Anything"},
    "os.system": {"$type": "os:system"},
    "subprocess": {"$type": "subprocess:Popen", "args": ["true"]},
    "builtins": {"$type": "builtins:eval", "value": "1"},
    "a function": {"$type": f"{here}:_ran", "what": "x"},
    "a module": {"$type": f"{here}:sys"},
    "a method": {"$type": f"{here}:Constructed.act"},
    "a dunder path": {"$type": f"{here}:Constructed.__class__"},
    "subclasses": {"$type": "builtins:object.__subclasses__"},
    "a proxy": {"$type": f"{here}:proxy"},
    "object": {"$type": "builtins:object"},
    "a metaclass": {"$type": f"{here}:Watched"},
    "a service": {"$type": f"{here}:Service"},
    "a finalizer": {"$type": f"{here}:Finalized", "a": 1},
    "partial": {"$type": "functools:partial", "func": "x"},
    "code": {"$type": "types:CodeType"},
    "pickle": {"$type": "builtins:bytes", "__reduce__": ["os.system", ["true"]]},
    "reduce": {"$type": f"{here}:Service", "__reduce__": [1], "__setstate__": {}},
    "langchain envelope as tag": {"$type": "constructor", "lc": 2, "id": ["os", "system"]},
    # tags of the wrong kind
    "tag is a number": {"$type": 1},
    "tag is a list": {"$type": ["human"]},
    "tag is a dict": {"$type": {"$type": "human"}},
    "tag is null inside": {"$type": True},
    "empty tag": {"$type": ""},
    "colon": {"$type": ":"},
    "dots": {"$type": "..:.."},
    "brackets": {"$type": f"{here}:Validated[int]"},
    "nul": {"$type": "a\x00b:c"},
    # tags with parts that don't fit
    "no parts": {"$type": "datetime"},
    "wrong parts": {"$type": "datetime", "value": 5},
    "other parts": {"$type": "UUID", "value": "x", "hex": "y"},
    "tz is no tz": {"$type": "datetime", "value": "2024-01-01", "tz": 5},
    "zone outside": {"$type": "ZoneInfo", "value": "../../etc/passwd"},
    "list in a set": {"$type": "set", "items": [[1]]},
    "dict key": {"$type": "dict", "items": [[{}, 1]]},
    "items no pairs": {"$type": "dict", "items": [1]},
    "items no list": {"$type": "tuple", "items": {"a": 1}},
    "factory": {"$type": "defaultdict", "value": {}, "factory": "os:system"},
    "odd factory": {"$type": "defaultdict", "value": {}, "factory": ["list"]},
    "fraction": {"$type": "Fraction", "numerator": "1e999999999", "denominator": 1},
    "by zero": {"$type": "Fraction", "numerator": 1, "denominator": 0},
    "no number": {"$type": "float", "value": [1]},
    "no hex": {"$type": "int", "hex": "zz"},
    "no base64": {"$type": "bytes", "value": "*"},
    "bad pattern": {"$type": "Pattern", "value": "(", "flags": 0},
    "flags": {"$type": "Pattern", "value": "a", "flags": "I"},
    "escape": {"$type": "str", "escaped": "\\x"},
    "view": {"$type": "memoryview", "value": "", "format": "B", "shape": [-1], "readonly": True},
    "huge view": {
        "$type": "memoryview",
        "value": "QQ==",
        "format": "B",
        "shape": [2**40],
        "readonly": 1,
    },
    "long ago": {"$type": "timedelta", "days": 10**12, "seconds": 0, "microseconds": 0},
    "no member": {"$type": f"{here}:Missing", "value": 2},
    "no member name": {"$type": f"{here}:Missing", "name": "mro"},
    "no flag": {"$type": f"{here}:MissingFlag", "value": 3},
    "abstract enum": {"$type": "enum:Enum", "value": 1},
    "args": {"$type": "builtins:ValueError", "args": 5},
    "no args": {"$type": "builtins:ValueError"},
    "slots": {"$type": "TimeoutPolicy", "$attributes": {"x": 1}},
    "missing field": {"$type": "human"},
    "missing factory": {"$type": f"{here}:Constructed", "a": 1},
    "dunder attribute": {"$type": f"{here}:Described", "a": 1, "$attributes": {"__class__": 1}},
    "order": {"$order": 5, "a": 1},
    "order of a model": {"$type": "human", "content": "x", "$order": 5},
    "fields set": {"$type": "human", "content": "x", "$fields_set": [[]]},
    "extra": {"$type": "human", "content": "x", "$extra": [1]},
    "private": {"$type": f"{here}:Validated", "a": 1, "$private": 5},
    "absent": {"$type": "human", "$absent": 5},
    "a type that is no data": {"$type": "type", "value": "subprocess:Popen"},
    "a type of a number": {"$type": "type", "value": 5},
    "method": {"$type": f"{here}:Described", "a": 1, "$attributes": {"__init__": 1}},
}


@pytest.mark.parametrize("tree", REFUSED.values(), ids=REFUSED.keys())
def test_forged_trees_are_refused(serializer, tree):
    loaded = set(sys.modules)
    for place in (tree, [tree], {"a": tree}, {"$type": "tuple", "items": [tree]}):
        with pytest.raises(DeserializationError):
            serializer.decode(place)
    assert RAN == []
    assert set(sys.modules) == loaded


def test_properties_and_methods_stay_what_they_are(serializer):
    tree = {"$type": f"{here}:Constructed", "a": 1, "made": [], "$attributes": {"act": 5}}
    with pytest.raises(DeserializationError, match="act"):
        serializer.decode(tree)
    value = serializer.decode({"$type": f"{here}:Described", "a": 1, "$attributes": {"b": 5}})
    assert RAN == []
    assert value.b is None


def test_lazy_modules_stay_asleep(serializer, monkeypatch):
    module = Lazy("asleep")
    monkeypatch.setitem(sys.modules, "asleep", module)
    with pytest.raises(TypeNotAllowedError):
        serializer.decode({"$type": "asleep:Thing"})
    assert RAN == []


def test_depth_is_bounded(serializer):
    for opening, closing in (("[", "]"), ('{"a":', "}"), ('{"$type":"tuple","items":[', "]}")):
        for depth in (300, 900, 5000, 100_000):
            with pytest.raises(DeserializationError):
                serializer.loads(opening * depth + "1" + closing * depth)


WRAPS = {
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "dict": lambda value: {"b": value, "a": 1},
    "pairs": lambda value: {1: value},
    "OrderedDict": lambda value: OrderedDict(b=value),
    "frozenset": lambda value: frozenset([value]),
    "deque": lambda value: deque([value]),
    "dataclass": Plain,
    "model": lambda value: Address.model_construct(city=value),
    "namedtuple": lambda value: Place("a", value),
    "subclass": lambda value: Tags([value]),
    "namespace": lambda value: types.SimpleNamespace(a=value),
    "message": lambda value: HumanMessage("x", additional_kwargs={"a": value}),
    "extra": lambda value: HumanMessage("x", odd=value),
    "send": lambda value: Send("a", value),
    "exception": ValueError,
}
LEAVES = [1, "\x00", datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Paris"))]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("max_depth", [100, 150])
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_what_is_just_not_too_deep_to_save_loads(wrap, max_depth):
    serializer = SnapshotSerializer(max_depth=max_depth)
    for leaf in LEAVES:
        value = leaf
        for _ in range(170):
            try:
                data, tree = serializer.dumps(value), serializer.encode(value)
            except SerializationError:
                break
            value = wrap(value)
        orjson.dumps({"channel": [{"wrapped": tree}]})
        SnapshotSerializer().loads(data)


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tree: {"a": tree, "$order": []},
        lambda tree: {"a": tree, "b": 1, "$order": ["a", "a"]},
        lambda tree: {"a": tree, "$order": ["a", "a", "a", "c"]},
        lambda tree: {"a": tree, "$order": ["$order", "a"]},
        lambda tree: {"$type": "human", "content": tree, "$fields_set": ["content"]},
        lambda tree: {"$type": "human", "content": tree, "$absent": ["id"], "odd": 1},
        lambda tree: {"$type": "human", "content": "x", "$extra": {"a": tree}},
        lambda tree: {"$type": "tuple", "items": [tree]},
        lambda tree: {"$type": f"{here}:Described", "a": tree, "$attributes": {"z": 1}},
    ],
)
def test_no_part_is_read_twice(wrap):
    tree = 1
    for _ in range(80):
        tree = wrap(tree)
    SnapshotSerializer().decode(tree)


@pytest.mark.timeout(5)
def test_refusals_deep_inside_are_quick():
    for wrap in WRAPS.values():
        value = print
        for _ in range(40):
            value = wrap(value)
        with suppress(SerializationError):
            SnapshotSerializer().dumps(value)


def test_cycles_are_refused(serializer):
    lists: list[Any] = []
    lists.append(lists)
    dicts: dict[str, Any] = {}
    dicts["self"] = dicts
    looped = Described(1)
    looped.a = looped
    model = Validated()
    model.a = model
    error = ValueError()
    error.args = ([error],)
    for value in (lists, dicts, looped, model, (lists,), {1: dicts}):
        with pytest.raises(SerializationError, match="too deep"):
            serializer.dumps(value)
    serializer.loads(serializer.dumps(error))  # an exception is stored with losses instead


@pytest.mark.parametrize("text", ["", "{", "nul", "[1,]", '"\\ud800"', "1e999", "\x00", "NaN"])
def test_what_is_not_json(serializer, text):
    with suppress(DeserializationError):
        serializer.loads(text)


def test_huge_numbers(serializer):
    assert serializer.loads("1" * 30) == float("1" * 30)  # by hand: we write such in a tag
    with pytest.raises(DeserializationError):
        serializer.loads("1" * 400)
    with pytest.raises(DeserializationError):
        serializer.decode({"$type": "int", "hex": 5})
    serializer.decode({"$type": "Decimal", "value": "1e999999"})


UNSTORABLE = {
    "lambda": (lambda: 0, "function"),
    "function": (_ran, "function"),
    "method": ([].append, "builtin_function"),
    "generator": ((n for n in ()), "generator"),
    "module": (sys, "module"),
    "object": (object(), "object"),
    "service": (Service.__new__(Service), "Service"),
    "file": (sys.stderr, ""),
    "process": (subprocess.Popen.__new__(subprocess.Popen), "Popen"),
    "partial": (functools.partial(_ran), "partial"),
    "NotImplemented": (NotImplemented, "NotImplementedType"),
    "class that is no data": (Service, "Service"),
    "dict view": ({}.keys(), "dict_keys"),
    "finalizer": (Finalized.__new__(Finalized), "__del__"),
}


@pytest.mark.parametrize(("value", "name"), UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_what_cannot_be_stored_names_place_and_type(serializer, value, name):
    for save in (serializer.dumps, serializer.encode):
        with pytest.raises(SerializationError) as caught:
            save({"a": [1, (2, {"f": value})]})
        assert "['a'][1][1]['f']" in str(caught.value)
        assert name in str(caught.value)


def test_places_inside_objects(serializer):
    for value, place in (
        (Described(a=print), ".a"),
        ({1: print}, "[1]"),
        ({(1,): print}, "[<tuple>]"),
        (Validated.model_construct(a={"b": [print]}), ".a['b'][0]"),
    ):
        with pytest.raises(SerializationError) as caught:
            serializer.dumps([value])
        assert str(caught.value).startswith(f"[0]{place} can't be stored: builtins.builtin")


def test_exceptions_that_hold_live_objects(serializer):
    error = ValueError("boom", print)
    error.request = sys.stderr
    error.code = 5
    tree = serializer.encode(error)
    assert tree["$lost"] == ["args[1]", ".request"]
    back = serializer.decode(tree)
    assert back.args == ("boom", repr(print))
    assert back.code == 5


def test_exceptions_of_compiled_code(serializer):
    with pytest.raises(pydantic.ValidationError) as caught:
        Validated.model_validate({"a": "x"})
    tree = serializer.encode(caught.value)
    assert tree["$lost"] == ["type pydantic_core._pydantic_core:ValidationError"]
    back = serializer.decode(tree)
    assert type(back) is ValueError
    assert str(back) == str(caught.value)


tags = st.sampled_from(
    sorted(DECODERS)
    + [
        f"{here}:{name}"
        for name in ("Constructed", "Validated", "Missing", "RaisedError", "Mapped")
    ]
    + ["builtins:ValueError", "builtins:OSError", "serializer_catalogue:Place", "a:b", ""]
)
names = st.sampled_from(
    [
        "value",
        "items",
        "content",
        "args",
        "a",
        "hex",
        "escaped",
        "flags",
        "fold",
        "tz",
        "data",
        "name",
        "shape",
        "dtype",
        "start",
        "stop",
        "step",
        "maxlen",
        "days",
        "factory",
        "offset",
        "format",
        "$order",
        "$fields_set",
        "$extra",
        "$private",
        "$attributes",
        "$absent",
        "$cause",
        "$context",
        "$suppress_context",
    ]
)
texts = ["1", "AAAA", "0x1f", "2024-01-01", "Europe/Paris", "list", "<i4", "a", "type"]
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(texts)
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(names, inner, max_size=4)
        | st.builds(
            lambda tag, members: {"$type": tag, **members},
            tags,
            st.dictionaries(names, inner, max_size=4),
        )
    ),
    max_leaves=12,
)


@settings(max_examples=600, deadline=None)
@given(trees)
def test_fuzzed_trees_become_values_or_our_errors(tree):
    RAN.clear()
    for serializer in _SERIALIZERS:
        value = None
        with suppress(DeserializationError):
            value = serializer.decode(tree)
        assert RAN == []
        with suppress(SnapshotError):  # a forged value may hold what can't be stored
            serializer.dumps(value)


def _positions(tree):
    if isinstance(tree, dict):
        for key, item in tree.items():
            yield tree, key
            yield from _positions(item)
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield tree, index
            yield from _positions(item)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.data())
def test_damaged_trees_become_values_or_our_errors(name, data):
    serializer = _SERIALIZERS[0]
    tree = orjson.loads(serializer.dumps(CASES[name]()))
    places = list(_positions([tree]))[1:]
    if not places:
        return
    parent, key = places[data.draw(st.integers(0, len(places) - 1))]
    if data.draw(st.booleans()):
        parent[key] = data.draw(trees)
    else:
        del parent[key]
    with suppress(DeserializationError):
        serializer.decode(tree)
    assert RAN == []


def _watch(name, answer):
    def method(*_args, **_kwargs):
        _ran(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return method


# What C code and libraries may ask an object that stands where they expect plain data. Sets and
# dicts must ask those they hold for __hash__ and __eq__, which are not watched.
_ASKED = {
    **dict.fromkeys(("__bool__", "__contains__", "__lt__", "__gt__", "__le__", "__ge__"), True),
    **dict.fromkeys(("__index__", "__int__", "__len__", "__length_hint__", "__trunc__"), 1),
    **dict.fromkeys(("__ne__", "__instancecheck__", "__subclasscheck__"), False),
    **dict.fromkeys(("__str__", "__repr__", "__format__", "__fspath__"), "G"),
    **dict.fromkeys(("__add__", "__radd__", "__mul__", "__rmul__", "__sub__", "__rsub__"), 1),
    **dict.fromkeys(("__and__", "__rand__", "__or__", "__ror__", "__mod__", "__rmod__"), 1),
    **dict.fromkeys(("__neg__", "__pos__", "__abs__", "__divmod__", "__floordiv__"), 1),
    "__float__": 1.0,
    "__complex__": 1j,
    "__bytes__": b"",
    "__iter__": TypeError(),
    "__next__": StopIteration(),
    "__getitem__": IndexError(),
    "__setitem__": None,
    "__call__": None,
    "__buffer__": TypeError(),
    "__set__": None,
    "__enter__": None,
    "__getattr__": AttributeError(),
    "__setattr__": None,
}
_METHODS = ("get", "keys", "items", "update", "dtype", "shape", "name", "utcoffset", "__array__")
_METHODS = (*_METHODS, "__array_interface__", "__array_struct__", "__array_function__")


def _asked(name):
    return property(lambda _self: _ran(name))


def _getattribute(self, name):
    _ran(f"getattribute {name}")
    return object.__getattribute__(self, name)


_WATCHED = {name: _watch(name, answer) for name, answer in _ASKED.items()}
_OWN = {name: _asked(name) for name in _METHODS}
_OWN |= {"__getattribute__": _getattribute, "__module__": here}
Gadget = dataclass(eq=False, repr=False)(
    type("Gadget", (), {**_WATCHED, **_OWN, "__annotations__": {"a": int}, "a": 1})
)
GadgetText = type("GadgetText", (str,), {**_WATCHED, **_OWN})
GadgetNumber = type("GadgetNumber", (int,), {**_WATCHED, **_OWN})
GadgetList = type("GadgetList", (list,), {**_WATCHED, **_OWN})
GadgetDict = type("GadgetDict", (dict,), {**_WATCHED, **_OWN})
_GADGETS = [
    {"$type": f"{here}:Gadget", "a": 1},
    {"$type": f"{here}:GadgetText", "value": "a"},
    {"$type": f"{here}:GadgetNumber", "value": 1},
    {"$type": f"{here}:GadgetList", "value": [1]},
    {"$type": f"{here}:GadgetDict", "value": {"a": 1}},
]


class UnnamedError(ImportError):
    @property
    def name(self):
        return None

    @name.setter
    def name(self, value):
        _ran("name")


def _refuses_or_reads(serializer, tree):
    RAN.clear()
    try:
        value = serializer.decode(tree)
    except SnapshotError:
        value = None
    ran = RAN.copy()
    del value
    return ran


def _members(tree):
    """Each tag with its members: those that it may have, beside those that it has."""
    yield from _positions([tree])
    nodes = [tree] + [parent[key] for parent, key in _positions(tree)]
    for node in nodes:
        if isinstance(node, dict) and "$type" in node:
            for name in ("$fields_set", "$extra", "$private", "$attributes", "$absent", "$order"):
                yield node, name
            for name in ("$cause", "$context", "$suppress_context") if "args" in node else ():
                yield node, name
            for name in ("tz", "fold", "maxlen", "factory", "freq", "order", "name", "value"):
                yield node, name


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_part_is_asked_anything(name):
    cases = CASES[name]()
    text = orjson.dumps(SnapshotSerializer().encode(cases))
    if len(text) > 20_000:
        return
    tree = orjson.loads(text)
    for part in tree if isinstance(tree, list) else [tree]:
        _ask_each_part([part])


def _ask_each_part(tree):
    places = [place for place in _members(tree) if place[1] != "$type"]
    for parent, key in places:
        missing = isinstance(parent, dict) and key not in parent
        kept = None if missing else parent[key]
        for gadget in _GADGETS:
            for forged in (gadget, [gadget], {"a": gadget}):
                parent[key] = forged
                assert _refuses_or_reads(_SERIALIZERS[0], tree) == [], (forged, key, parent)
        if missing:
            del parent[key]
        else:
            parent[key] = kept


_G = _GADGETS[0]
_NONE_RUN = [
    {"$type": "gone:Gone", "$extra": _G},
    {"$type": "gone:Gone", "$attributes": _G},
    {"$type": f"{here}:UnnamedError", "args": ["x"], "$attributes": {"name": "x", "path": _G}},
    *(
        {"$type": f"builtins:{error}", "args": args}
        for error in (
            *("BlockingIOError", "OSError", "SyntaxError", "IndentationError", "ImportError"),
            *("UnicodeDecodeError", "UnicodeEncodeError", "UnicodeTranslateError", "KeyError"),
            *("StopIteration", "SystemExit", "AttributeError"),
            *("ExceptionGroup", "BaseExceptionGroup"),
        )
        for gadget in _GADGETS
        for args in (
            *([gadget] * count for count in range(1, 6)),
            ["a", gadget],
            ["a", [gadget]],
            [gadget, [{"$type": "builtins:KeyError", "args": []}]],
            [11, "a", gadget],
            ["a", {"$type": "tuple", "items": [gadget, gadget, gadget, gadget]}],
            ["utf-8", {"$type": "bytes", "value": ""}, gadget, 0, "x"],
        )
    ),
    {"$type": "dict", "items": [[_G, 1]]},
    {"$type": "human", "content": "x", "$attributes": {"$type": "dict", "items": [[_G, 1]]}},
    {"$type": f"{here}:Described", "$attributes": {"$type": "dict", "items": [[_GADGETS[1], 1]]}},
]


@pytest.mark.parametrize("tree", _NONE_RUN, ids=lambda tree: tree["$type"])
def test_no_forged_part_runs(tree):
    for serializer in _SERIALIZERS:
        assert _refuses_or_reads(serializer, tree) == []


def _object_array(item):
    return {"$type": "ndarray", "dtype": "|O", "shape": [1], "items": [item]}


_RANGE = {"$type": "RangeIndex", "name": None, "start": 0, "stop": 1, "step": 1}
_NO_TIME = {"$type": "ndarray", "dtype": "<M8[ns]", "shape": [1], "data": "AAAAAAAAAAA="}


def _series(data):
    return {"$type": "Series", "name": None, "index": _RANGE, "data": data}


_FRAMES = {
    "index": lambda part: {"$type": "Index", "name": None, "data": {"array": _object_array(part)}},
    "index data": lambda part: {"$type": "Index", "name": None, "data": part},
    "index name": lambda part: {**_RANGE, "name": part},
    "tuple name": lambda part: {**_RANGE, "name": {"$type": "tuple", "items": [1, part]}},
    "series": lambda part: {
        "$type": "Series",
        "name": None,
        "index": _RANGE,
        "data": {"array": _object_array(part)},
    },
    "series name": lambda part: {
        "$type": "Series",
        "name": part,
        "index": _RANGE,
        "data": {"array": _object_array(1)},
    },
    "frame": lambda part: {
        "$type": "DataFrame",
        "columns": _RANGE,
        "index": _RANGE,
        "data": [{"array": _object_array(part)}],
    },
    "frame data": lambda part: {
        "$type": "DataFrame",
        "columns": _RANGE,
        "index": _RANGE,
        "data": part,
    },
    "times": lambda part: _series({"dtype": "datetime64[ns, UTC]", "array": _object_array(part)}),
    "zone": lambda part: _series({"dtype": "x", "array": _NO_TIME, "tz": part}),
    "codes": lambda part: _series(
        {"codes": _object_array(part), "categories": _RANGE, "ordered": False}
    ),
    "categories": lambda part: _series(
        {
            "codes": {"$type": "ndarray", "dtype": "|i1", "shape": [1], "data": "AA=="},
            "categories": {"$type": "Index", "name": None, "data": {"array": _object_array(part)}},
            "ordered": False,
        }
    ),
    "categories of arrays": lambda part: _series(
        {
            "codes": {"$type": "ndarray", "dtype": "|i1", "shape": [1], "data": "AA=="},
            "categories": {
                "$type": "Index",
                "name": None,
                "data": {"array": _object_array(_object_array(part))},
            },
            "ordered": False,
        }
    ),
    "Timestamp": lambda part: {"$type": "Timestamp", "value": part, "unit": "us"},
    "Timestamp zone": lambda part: {
        "$type": "Timestamp",
        "value": "2024-05-01T00:00:00+00:00",
        "unit": "us",
        "tz": part,
    },
    "Timestamp fold": lambda part: {
        "$type": "Timestamp",
        "value": "2024-05-01T00:00:00",
        "unit": "us",
        "fold": part,
    },
    "Timedelta": lambda part: {"$type": "Timedelta", "value": part, "unit": part},
    "dtype": lambda part: {"$type": "numpy", "dtype": [["a", part]], "data": "AAAA"},
    "dtype fields": lambda part: {
        "$type": "ndarray",
        "dtype": [{"$type": "tuple", "items": ["a", part]}],
        "shape": [1],
        "data": "AAAA",
    },
}


@pytest.mark.parametrize("wrap", _FRAMES.values(), ids=_FRAMES.keys())
def test_frames_ask_nothing(wrap):
    pytest.importorskip("pandas")
    for gadget in _GADGETS:
        for forged in (gadget, [gadget]):
            assert _refuses_or_reads(_SERIALIZERS[0], wrap(forged)) == []


def test_frames_keep_objects():
    pandas = pytest.importorskip("pandas")
    serializer = _SERIALIZERS[0]
    series = pandas.Series(["a", "b"], dtype=object, name=("n", 1))
    index = pandas.Index(["a", "b"], dtype=object)
    for value in (series, index, pandas.DataFrame({"a": series, "b": [1, 2]}, index=index)):
        back = serializer.loads(serializer.dumps(value))
        assert back.equals(value)
        assert str(getattr(back, "dtypes", None)) == str(getattr(value, "dtypes", None))


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "dateutil//etc/passwd", "tzlocal()", "../x"])
def test_zones_of_timestamps_import_nothing(serializer, zone):
    pandas = pytest.importorskip("pandas")
    tree = serializer.encode(pandas.Timestamp("2024-01-01", tz="Europe/Paris"))
    serializer.decode(tree)
    tree["tz"] = zone
    loaded = set(sys.modules)
    with pytest.raises(DeserializationError, match="no time zone"):
        serializer.decode(tree)
    assert set(sys.modules) == loaded


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "dateutil//etc/passwd", "tzlocal()", "../x"])
def test_zones_of_columns_import_nothing(serializer, zone):
    pandas = pytest.importorskip("pandas")
    tree = serializer.encode(pandas.Series(pandas.date_range("2024-01-01", periods=1, tz="UTC")))
    serializer.decode(tree)
    tree["data"]["dtype"] = f"datetime64[ns, {zone}]"
    loaded = set(sys.modules)
    with pytest.raises(DeserializationError, match="no time zone"):
        serializer.decode(tree)
    assert set(sys.modules) == loaded


def test_objects_beside_a_long_field(serializer):
    pytest.importorskip("numpy")
    fields = [{"$type": "tuple", "items": item} for item in (["a", "O"], ["b", "V400000000"])]
    with pytest.raises(DeserializationError):
        serializer.decode({"$type": "ndarray", "dtype": fields, "shape": [1], "items": [1]})


def test_upgrades_are_given_a_dict(serializer):
    given = []
    serializer = SnapshotSerializer(upgrades={"gone:Gone": given.append})
    assert _refuses_or_reads(serializer, {"$type": "gone:Gone", "$extra": _G}) == []
    assert given == []


def test_hidden_attributes_come_back_past_properties(serializer):
    error = UnnamedError("x", name="a", path="p")
    back = serializer.loads(serializer.dumps(error))
    assert vars(ImportError)["name"].__get__(back) == "a"
    assert back.path == "p"
    assert RAN == []


@pytest.mark.parametrize("key", ["Europe/Nowhere", "Nowhere", "../x", "/etc/passwd", "", "a.b/c"])
def test_zones_that_are_not_there_import_nothing(serializer, key):
    loaded = set(sys.modules)
    with pytest.raises(DeserializationError, match="no time zone"):
        serializer.decode({"$type": "ZoneInfo", "value": key})
    assert set(sys.modules) == loaded


@pytest.mark.parametrize("dtype", ["V1", "S", "S1", "U", "O", "V400000000", "M8[s]"])
def test_numbers_are_no_sizes(serializer, dtype):
    pytest.importorskip("numpy")
    with pytest.raises(DeserializationError):
        serializer.decode({"$type": "numpy", "dtype": dtype, "value": 400_000_000})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_fuzzed_bytes_become_values_or_our_errors(data):
    with suppress(DeserializationError):
        _SERIALIZERS[0].loads(data)


_SERIALIZERS = [
    SnapshotSerializer(),
    SnapshotSerializer(strict=True),
    SnapshotSerializer(on_unknown_type="fields"),
]
