"""Hypothesis strategies for every kind of value that is kept exactly, nested in one another."""

from __future__ import annotations

import ipaddress
import pathlib
import re
import string
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import serializer_catalogue as kinds
from hypothesis import strategies as st
from langchain_core import messages as lc
from langchain_core.documents import Document
from langchain_core.prompt_values import ChatPromptValue
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.errors import GraphInterrupt
from langgraph.store.base import Item, SearchItem
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
from pydantic import AnyUrl, PostgresDsn, SecretBytes, SecretStr
from pydantic_core import MultiHostUrl, Url

# Any code point, the surrogates too; and texts that look like what the format uses.
texts = st.text(st.characters(exclude_categories=()), max_size=8) | st.sampled_from(
    ["$type", "$order", "$list", "$", "\\u0000", "\\", "\x00", "1", "human", "\ud83d\ude00"]
)
names = st.text(string.ascii_letters, min_size=1, max_size=3)
binaries = st.binary(max_size=5)
floats = st.floats() | st.sampled_from([-0.0, 1e16, 5e-324, 1e-12, 9.999999999999998e15])
offsets = st.builds(
    timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), texts
) | st.builds(timezone, st.integers(-1400, 1400).map(lambda n: timedelta(minutes=n)))
zones = st.sampled_from([timezone.utc, ZoneInfo("Europe/Paris"), ZoneInfo("UTC")]) | offsets
moments = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes() | st.just(datetime(2024, 10, 27, 2, 30)),  # noqa: DTZ001  # given a zone
    st.none() | zones,
    st.integers(0, 1),
)
times = st.builds(
    lambda time, zone, fold: time.replace(tzinfo=zone, fold=fold),
    st.times(),
    st.none() | zones,
    st.integers(0, 1),
)
path_texts = st.text(st.characters(exclude_characters="\x00"), max_size=5)
integers = st.integers() | st.integers(2**62, 2**66)
small = st.integers(-(10**20), 10**20)
patterns = st.builds(
    re.compile,
    texts.map(re.escape) | binaries.map(re.escape),
    st.sampled_from([0, re.IGNORECASE, re.MULTILINE | re.DOTALL, re.VERBOSE]),
)
networks = st.ip_addresses(v=4).map(lambda a: ipaddress.ip_network(f"{a}/20", strict=False)) | (
    st.ip_addresses(v=6).map(lambda a: ipaddress.ip_network(f"{a}/64", strict=False))
)
enums = st.sampled_from([*kinds.Color, *kinds.Level, *kinds.TextEnum, kinds.Outer.Kind.A])
flags = st.integers(0, 7).map(kinds.Permission) | st.integers(0, 3).map(kinds.IntPermission)
scalars = (
    st.none()
    | st.booleans()
    | integers
    | floats
    | texts
    | binaries
    | st.complex_numbers()
    | st.decimals().filter(lambda number: not number.is_snan())  # those have no hash
    | st.fractions()
    | st.uuids()
    | st.dates()
    | st.timedeltas()
    | times
    | moments
    | zones
    | st.ip_addresses()
    | networks
    | st.ip_addresses().map(lambda address: ipaddress.ip_interface(f"{address}/17"))
    | patterns
    | st.builds(range, small, small, small.filter(bool))
    | path_texts.map(pathlib.PurePosixPath)
    | path_texts.map(pathlib.PureWindowsPath)
    | path_texts.map(pathlib.Path)
    | enums
    | flags
    | st.just(...)
    | st.builds(kinds.Name, texts)
    | st.builds(kinds.Celsius, floats)
    | st.builds(kinds.Count, integers)
    | st.builds(kinds.SlottedFrozen, integers)
    | texts.map(SecretStr)
    | binaries.map(SecretBytes)
    | st.sampled_from([int, str, kinds.Address, kinds.Plain, kinds.Color, ValueError, datetime])
)
if sys.version_info >= (3, 11):
    scalars |= st.sampled_from(kinds.Size)

hashables: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple)
        | st.frozensets(inner, max_size=3)
        | st.builds(kinds.Frozen, inner)
        | st.builds(kinds.Place, inner, inner)
        | st.builds(kinds.Point, inner, inner)
    ),
    max_leaves=4,
)


def dicts(inner):
    return (
        st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=3)
        | st.dictionaries(names, inner, max_size=6)
    )


_CHUNKS = [lc.HumanMessageChunk, lc.SystemMessageChunk, lc.AIMessageChunk]


def messages(inner):
    calls = st.fixed_dictionaries(
        {"name": texts, "args": st.dictionaries(texts, inner, max_size=3), "id": texts}
    )
    more = st.dictionaries(texts, inner, max_size=2)
    return (
        st.builds(lc.HumanMessage, texts, id=st.none() | texts, name=st.none() | texts)
        | st.builds(
            lc.AIMessage,
            content=texts,
            additional_kwargs=more,
            tool_calls=st.lists(calls, max_size=2),
        )
        | st.builds(lc.ToolMessage, content=texts, tool_call_id=texts, artifact=inner)
        | st.builds(lc.AIMessageChunk, content=texts, response_metadata=more)
        | st.builds(lambda text, extra: lc.HumanMessage(text, odd=extra), texts, inner)
        | st.builds(lc.SystemMessage, texts, additional_kwargs=more)
        | st.builds(lc.ChatMessage, texts, role=texts)
        | st.builds(lc.FunctionMessage, texts, name=texts)
        | texts.map(lambda text: lc.RemoveMessage(id=text))
        | st.builds(lambda cls, text: cls(content=text), st.sampled_from(_CHUNKS), texts)
        | st.builds(lc.ToolMessageChunk, content=texts, tool_call_id=texts)
        | st.builds(lc.FunctionMessageChunk, content=texts, name=texts)
        | st.builds(lc.ChatMessageChunk, content=texts, role=texts)
        | st.builds(Document, texts, metadata=st.dictionaries(names, inner, max_size=2))
        | st.lists(texts.map(lc.HumanMessage), max_size=2).map(
            lambda those: ChatPromptValue(messages=those)
        )
    )


def langgraph_types(inner):
    days = st.dates().map(lambda day: datetime(day.year, day.month, day.day))  # noqa: DTZ001  # naive ones, too
    namespaces = st.lists(names, max_size=2).map(tuple)
    return (
        st.builds(Send, texts, inner)
        | st.builds(
            Command, update=inner, resume=inner, goto=texts, graph=st.sampled_from([None, "x"])
        )
        | st.builds(Interrupt, inner, texts)
        | inner.map(lambda value: Interrupt(value, response_schema=kinds.Address))
        | inner.map(Overwrite)
        | st.builds(TimeoutPolicy, run_timeout=st.timedeltas(timedelta(1)))
        | inner.map(_DeltaSnapshot)
        | st.builds(Item, value=dicts(inner), key=texts, namespace=namespaces, created_at=days,
                    updated_at=days)
        | st.builds(SearchItem, namespaces, texts, dicts(inner), days, days, floats)
    )  # fmt: skip


def exceptions(_inner):
    # What prints the same when it is made again: sets may not, and views say where they are.
    inner = scalars | st.dictionaries(names, scalars, max_size=2) | st.lists(scalars, max_size=2)
    args = st.lists(inner, max_size=2)

    def noted(error, note, extra):
        if hasattr(error, "add_note"):
            error.add_note(note)
        error.extra = extra
        return error

    plain = (
        args.map(lambda items: ValueError(*items))
        | args.map(lambda items: KeyError(*items))
        | st.builds(kinds.OddError, integers, hint=texts)
        | st.builds(kinds.DataError, integers, st.dictionaries(names, inner, max_size=2))
        | st.builds(OSError, st.integers(1, 40), texts, texts)
        | inner.map(lambda value: GraphInterrupt([Interrupt(value, id="i")]))
    )
    made = plain | st.builds(noted, plain, texts, inner)
    if sys.version_info >= (3, 11):
        made |= st.builds(ExceptionGroup, texts, st.lists(plain, min_size=1, max_size=2))  # noqa: F821  # under the version that has it
    return made


URLS = [
    AnyUrl("x://y"),
    PostgresDsn("postgres://u:p@h:1,h2:3/d"),
    Url("http://a.b/"),
    MultiHostUrl("http://a.b,c.d/"),
]


def models(inner):
    def with_private(person, seen):
        person._seen = seen
        return person

    def without(model, name):
        delattr(model, name)
        return model

    people = st.builds(kinds.Person.model_construct, name=texts, home=inner, tags=inner)
    return (
        st.builds(kinds.Address.model_construct, city=inner, street=inner)
        | st.builds(kinds.Address.model_construct, st.just({"city"}), city=inner, street=inner)
        | st.builds(kinds.FullAddress.model_construct, city=inner, zip_code=inner)
        | people
        | st.builds(with_private, people, inner)
        | people.map(lambda person: without(person, "tags"))
        | st.builds(kinds.Aliased.model_construct, from_=inner, other=inner)
        | st.builds(kinds.FrozenModel.model_construct, when=inner, amount=st.decimals())
        | inner.map(lambda value: kinds.Box.model_construct(content=value))
        | integers.map(lambda value: kinds.Box[int](content=value))
        | st.builds(kinds.Box[kinds.Address], content=st.builds(kinds.Address, city=texts))
        | st.lists(integers, max_size=3).map(kinds.Numbers)
        | st.builds(
            kinds.Secrets,
            key=texts.map(SecretStr),
            raw=binaries.map(SecretBytes),
            url=st.just("http://user@example.org/?q=1#f"),
        )
        | st.sampled_from(URLS)
        | st.builds(kinds.Checked, st.integers(), st.lists(st.integers(), max_size=2))
    )  # fmt: skip


def objects(inner):
    def with_attribute(value, extra):
        value.extra = extra
        return value

    lists = st.lists(inner, max_size=2)
    plain = st.builds(kinds.Plain, inner, lists)
    made = (
        plain
        | st.builds(with_attribute, plain, inner)
        | st.builds(kinds.Child, inner, d=floats)
        | st.builds(kinds.Slotted, inner, inner)
        | inner.map(kinds.Outer.Inner)
        | inner.map(kinds.Wrapped)
        | inner.map(kinds.Wrapped[int])
        | lists.map(kinds.Row)
        | lists.map(kinds.Tags)
        | dicts(inner).map(kinds.Config)
        | st.builds(with_attribute, texts.map(kinds.Name), inner)
        | st.dictionaries(names, inner, max_size=3).map(lambda d: types.SimpleNamespace(**d))
    )
    if hasattr(kinds, "Old"):
        made |= st.builds(kinds.Old.construct, a=inner, b=inner)
        made |= st.builds(kinds.Old, a=st.integers(), b=lists)
    if hasattr(kinds, "Defined"):
        made |= st.builds(kinds.Defined, inner, lists)
        made |= st.builds(kinds.Open, st.integers())
        made |= st.builds(kinds.FrozenDefined, integers)
    return made


def containers(inner):
    return (
        st.lists(inner, max_size=4)
        | dicts(inner)
        | dicts(inner).map(OrderedDict)
        | dicts(inner).map(lambda items: defaultdict(list, items))
        | st.lists(hashables, max_size=3).map(Counter)
        | st.sets(hashables, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.builds(deque, st.lists(inner, max_size=3), st.none() | st.integers(3, 5))
        | st.builds(slice, inner, inner, inner)
    )


views = st.builds(
    lambda data, writable: memoryview(bytearray(data) if writable else data),
    binaries,
    st.booleans(),
) | st.binary(min_size=12, max_size=12).map(lambda data: memoryview(data).cast("H", (2, 3)))

arrays = frames = None
try:
    import numpy as np
    from hypothesis.extra import numpy as given_numpy
except ImportError:
    pass
else:
    _dtypes = (
        given_numpy.boolean_dtypes()
        | given_numpy.integer_dtypes(endianness="?")
        | given_numpy.unsigned_integer_dtypes(endianness="?")
        | given_numpy.floating_dtypes(endianness="?")
        | given_numpy.complex_number_dtypes(endianness="?")
        | given_numpy.datetime64_dtypes(endianness="?")
        | given_numpy.timedelta64_dtypes(endianness="?")
        | given_numpy.unicode_string_dtypes(endianness="?", max_len=3)
        | given_numpy.byte_string_dtypes(max_len=3)
    )
    _shapes = given_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    _numbers = given_numpy.arrays(_dtypes, _shapes)
    numpy_scalars = given_numpy.arrays(_dtypes, ()).map(lambda array: array[()])
    _records = given_numpy.arrays(np.dtype([("b", "<i4"), ("a", ">f8", (2,))]), _shapes)

    def arrays(inner):
        """Arrays in C's order, in Fortran's, and views that are in neither; arrays of objects."""
        return (
            _numbers
            | _numbers.map(np.asfortranarray)
            | _numbers.map(lambda array: array[..., ::-1] if array.ndim else array)
            | _records
            | numpy_scalars
            | given_numpy.arrays(object, _shapes, elements=inner)
        )


try:
    import pandas as pd
except ImportError:
    pass
else:

    def _series(elements, dtype):
        return st.lists(elements, max_size=3).map(lambda each: pd.Series(each, dtype=dtype))

    def _indexed(series, label, is_named):
        series = series.rename(label)
        index = pd.Index([f"i{n}" for n in range(len(series))], name="k")
        return series.set_axis(index) if is_named else series

    def _frame(columns):
        if not columns:
            return pd.DataFrame()
        return pd.concat([each.reset_index(drop=True).iloc[:1] for each in columns], axis=1)

    _zoned = st.integers(0, 3).map(
        lambda size: pd.Series(pd.date_range("2024-03-30", periods=size, tz="Europe/Paris"))
    )
    _plain = (
        _series(st.integers(-(2**63), 2**63 - 1), "int64")
        | _series(floats, "float64")
        | _series(st.booleans(), "bool")
        | _series(st.none() | st.text(string.printable, max_size=3), "string")
        | _series(st.none() | st.integers(-9, 9), "Int8")
        | _series(st.none() | st.booleans(), "boolean")
        | _series(st.sampled_from("uvw"), "category")
        | _zoned
    )

    def frames(inner):
        """Series, indexes, and frames of series of one length."""
        labels = st.none() | names | st.integers()
        series = st.builds(_indexed, _plain | _series(inner, object), labels, st.booleans())
        return (
            series
            | _plain.map(lambda each: pd.Index(each, name="n"))
            | st.builds(pd.RangeIndex, st.integers(0, 5), st.integers(6, 9))
            | st.lists(series, max_size=3).map(_frame)
        )


KINDS = {
    "containers": containers,
    "objects": objects,
    "models": models,
    "messages": messages,
    "langgraph types": langgraph_types,
    "exceptions": exceptions,
}
if arrays is not None:
    KINDS["arrays"] = arrays
if frames is not None:
    KINDS["frames"] = frames


def nested(inner):
    """Every kind that holds values."""
    return st.one_of([make(inner) for make in KINDS.values()])


# So that what is added to the catalogue is nested, too.
catalogued = st.sampled_from(sorted(kinds.CASES)).map(lambda name: kinds.CASES[name]())
leaves = hashables | binaries.map(bytearray) | views | catalogued
# Not st.recursive(): with this many kinds, it takes many times as long.
shallow = leaves | nested(scalars)
values: st.SearchStrategy[Any] = leaves | nested(shallow)
