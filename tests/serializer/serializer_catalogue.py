"""Every kind of value that is kept exactly, by name: made anew for each test."""

# ruff: noqa: DTZ001, DTZ901  # naive datetimes are values that people store, too

from __future__ import annotations

import enum
import ipaddress
import os
import pathlib
import re
import sys
import time as clock
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar
from zoneinfo import ZoneInfo

import pydantic
import pydantic.dataclasses
import pydantic_core
from langchain_core import messages as lc
from langchain_core.documents import Document
from langchain_core.prompt_values import ChatPromptValue
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.errors import GraphInterrupt, GraphRecursionError
from langgraph.store.base import Item, SearchItem
from langgraph.types import Command, Interrupt, Overwrite, Send, TimeoutPolicy
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, SecretBytes, SecretStr
from serializer_catalogue_arrays import ARRAY_CASES

T = TypeVar("T")


@dataclass
class Wrapped(Generic[T]):
    a: T


class Row(list, Generic[T]):
    @cached_property
    def size(self) -> int:
        return len(self)


class Key(SecretStr):
    pass


class RawKey(SecretBytes):
    pass


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    LIST = [1, 2]  # noqa: RUF012  # an unhashable value is looked up by name


class TextEnum(str, enum.Enum):
    A = "a"
    NUL = "\x00"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Permission(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class IntPermission(enum.IntFlag):
    READ = 1
    WRITE = 2


Point = namedtuple("Point", "x y")  # noqa: PYI024  # the old kind is a kind too


class Place(NamedTuple):
    name: str
    at: Point = Point(0, 0)


@dataclass
class Plain:
    a: int
    b: list[Any] = field(default_factory=list)
    c: str = field(default="c", init=False)

    @cached_property
    def worked_out(self) -> int:
        return self.a * 2


@dataclass(frozen=True)
class Frozen:
    a: int
    b: tuple[Any, ...] = ()


@dataclass(slots=True)
class Slotted:
    a: int
    b: Any = None


@dataclass(slots=True, frozen=True)
class SlottedFrozen:
    a: int = 1


@dataclass
class Child(Plain):
    _: KW_ONLY
    d: float = 0.5

    def __post_init__(self):
        self.noted = {"by": "post_init"}


class Outer:
    @dataclass
    class Inner:
        x: int

    class Kind(enum.Enum):
        A = "a"


class Address(BaseModel):
    city: str
    street: str | None = None


class FullAddress(Address):
    zip_code: str


class Person(BaseModel):
    name: str
    home: Address
    tags: list[str] = []
    _seen: set[int] = PrivateAttr(default_factory=set)


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    from_: str = Field(alias="from")


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    when: datetime
    amount: Decimal = Decimal("1.10")


class Empty(BaseModel):
    pass


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")


class Box(BaseModel, Generic[T]):
    content: T


class Numbers(RootModel[list[int]]):
    pass


class Secrets(BaseModel):
    key: SecretStr
    raw: SecretBytes
    url: pydantic.HttpUrl


class Picky(BaseModel):
    """Refuses on construction what assignment let in: no validator may run on loading."""

    n: int

    @pydantic.field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return n


@pydantic.dataclasses.dataclass
class Checked:
    n: int
    m: list[int] = Field(default_factory=list)


class State(TypedDict, total=False):
    b: int
    a: str


class OddError(Exception):
    """Its constructor takes other arguments than it passes on."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"{code}: {hint}")
        self.code = code
        self.hint = hint


@dataclass
class DataError(Exception):
    code: int
    detail: dict[str, Any]


class SlottedError(Exception):
    __slots__ = ("code", "unset")


class Tags(list):
    pass


class Config(dict):
    pass


class Name(str):  # noqa: SLOT000  # it has attributes, as a subclass may
    pass


class Celsius(float):
    pass


class Count(int):
    pass


def _with_cache():
    value = Plain(2)
    assert value.worked_out == 4
    vars(value).pop("worked_out")
    return value


def _remembering():
    value = Row[int]([1, 2])
    assert value.size == 2
    vars(value).pop("size")
    return value


def _odd_model():
    value = Person(name="a", home=Address(city="b"))
    value._seen.add(3)
    del value.tags
    return value


def _reset_order():
    value = Address(city="x", street="y")
    del value.city
    value.city = "z"
    return value


def _negative():
    value = Picky(n=1)
    value.n = -1
    return value


def _named(cls, **attributes):
    value = cls["value"] if isinstance(cls, dict) else cls("x")
    for name, item in attributes.items():
        setattr(value, name, item)
    return value


def _changed(error, **attributes):
    for name, item in attributes.items():
        setattr(error, name, item)
    return error


def _raised(act):
    try:
        act()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return error.with_traceback(None)


def _raise(error):
    raise error


def _raise_from(error, cause):
    try:
        _raise(cause or KeyError("hidden"))
    except Exception:  # noqa: BLE001  # whatever it is
        raise error from cause


def _raise_in(error, handled):
    try:
        _raise(handled)
    except KeyError:
        raise error  # noqa: B904  # that one follows the other is the point


def _noted():
    error = KeyError("k", 1)
    error.__dict__["extra"] = (1, 2)
    return error


def _set_in_place():
    message = lc.AIMessage("x")
    message.additional_kwargs["late"] = {"b": 1, "a": 2}
    return message


_PARIS = ZoneInfo("Europe/Paris")
_UTC = timezone.utc
_TOOL_CALL = {"name": "f", "args": {"zz": 1, "a": {"y": 1, "x": [1.0]}}, "id": "call_1"}
_USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}

CASES: dict[str, Any] = {
    "none": lambda: None,
    "bools": lambda: [True, False],
    "ints": lambda: [0, -1, 2**53, 2**63 - 1, -(2**63), 2**64 - 1],
    "big ints": lambda: [2**64, -(2**63) - 1, 10**400, -(7**6000)],
    "floats": lambda: [0.0, 1.0, 0.1, 1e-4, 1e-5, 1.5e-11, 9007199254740993.0, 9999999999999998.0],
    "odd floats": lambda: [-0.0, 1e16, 1e22, 1e300, 5e-324, 1e-12, 1e-13, 2.2250738585072014e-308],
    "no numbers": lambda: [float("nan"), float("inf"), float("-inf")],
    "text": lambda: ["", "é", "日本", "😀", "\\u0000", 'a"b\\c', "\u2028", "\x7f", "$type"],
    "odd text": lambda: [
        "\x00",
        "a\x00b",
        "\ud800",
        "\udfff\ud800",
        "\ud83d\ude00",
        "\\\x00\\u0000",
    ],
    "bytes": lambda: [b"", b"\x00\xff", bytearray(b"ab"), bytearray()],
    "memoryviews": lambda: [
        memoryview(b"abcd"),
        memoryview(bytearray(b"abcd")),
        memoryview(b"abcdefgh").cast("H"),
        memoryview(b"abcdef").cast("B", (2, 3)),
        memoryview(b""),
        memoryview(b"abcd")[::-2],
        memoryview(b"abcdefgh").cast("n"),
        memoryview(b"ab").cast("c"),
    ],
    "struct sequences": lambda: [
        clock.gmtime(0),
        clock.localtime(10**9),
        clock.struct_time(range(9)),
        os.stat_result(range(10), {"st_atime_ns": 5, "st_mtime": 1.5}),
        os.terminal_size((80, 24)),
    ],
    "lists": lambda: [[], [[]], [1, "a", None, [2.5]]],
    "tuples": lambda: [(), (1,), (1, (2, [3]))],
    "dicts": lambda: [{}, {"a": {}}, {"b": 1, "a": 2}, {"a": 1, "b": 2}, {"": 0}],
    "dict orders": lambda: [
        {"aa": 1, "b": 2},
        {"é": 1, "zz": 2},
        {"zz": 1, "é": 2},
        {"zzz": 1, "é": 2},
        {str(n): n for n in range(100)},
    ],
    "dict keys": lambda: [
        {1: "a", "1": "b", None: 1, (1, 2): 3, 1.5: 4},
        {True: 1, "True": 2},
        {TextEnum.A: 1},
        {"a": 1, TextEnum.A.value + "b": 2},
        {Name("n"): 1},
        {frozenset({1}): b"x"},
        {Frozen(1): Frozen(2)},
        {"\x00": 1},
        {"\ud800": {"\x00a": 1}},
    ],
    "reserved keys": lambda: [
        {"$type": "human", "content": "x"},
        {"$order": ["a"], "a": 1},
        {"$list": [[1, 2]]},
        {"$dict": 1, "$item": 2},
        {"$": {"$type": {"$type": 1}}},
        {"type": "constructor", "lc": 2, "id": ["os", "system"]},
    ],
    "OrderedDict": lambda: OrderedDict([("b", 1), ("a", OrderedDict())]),
    "defaultdicts": lambda: [
        defaultdict(list, b=[1], a=[2]),
        defaultdict(int),
        defaultdict(None, {1: 2}),
        defaultdict(Counter, a=Counter("b")),
        defaultdict(deque, a=deque([1])),
        defaultdict(OrderedDict),
        defaultdict(defaultdict),
        defaultdict(Decimal),
    ],
    "Counter": lambda: [Counter("banana"), Counter({"a": -1, 3: 2.5})],
    "sets": lambda: [
        set(),
        {1, "a", (2, 3)},
        frozenset({1.5, None}),
        {frozenset()},
        {"\x00", b"a"},
    ],
    "deques": lambda: [deque(), deque([1, [2]]), deque([1], maxlen=3), deque(maxlen=0)],
    "ranges": lambda: [range(3), range(5, 0, -2), range(10**30), slice(1, None, 2)],
    "complex": lambda: [1 + 2j, complex(-0.0, float("inf"))],
    "datetimes": lambda: [
        datetime(2024, 2, 29, 12, 30, 15, 123456),
        datetime(2024, 1, 1, tzinfo=_UTC),
        datetime(2024, 10, 27, 2, 30, tzinfo=_PARIS, fold=1),
        datetime(2024, 10, 27, 2, 30, tzinfo=_PARIS, fold=0),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=3601, microseconds=5))),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(microseconds=-5))),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(seconds=-1, microseconds=5))),
        datetime(2024, 1, 1, fold=1),
        datetime.min,
        datetime.max,
    ],
    "dates": lambda: [date(2024, 2, 29), date.min, date.max],
    "times": lambda: [time(1, 2, 3, 4), time(1, tzinfo=_UTC), time(2, 30, tzinfo=_PARIS, fold=1)],
    "timedeltas": lambda: [timedelta(-1, 5, 7), timedelta.max, timedelta.min, timedelta()],
    "zones": lambda: [_UTC, timezone(timedelta(hours=1)), timezone(timedelta(0), "Z"), _PARIS],
    "UUID": lambda: uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "Decimals": lambda: [Decimal("1.10"), Decimal("-0"), Decimal("1E+999"), Decimal("Infinity")],
    "Fractions": lambda: [Fraction(1, 3), Fraction(-(10**50), 7)],
    "paths": lambda: [
        pathlib.Path("/a/b"),
        pathlib.PurePosixPath("a"),
        pathlib.PureWindowsPath("c:\\a"),
        pathlib.Path("\udcff"),
    ],
    "patterns": lambda: [
        re.compile("a(b)", re.IGNORECASE | re.MULTILINE),
        re.compile(b"\xff"),
        re.compile("\x00"),
    ],
    "addresses": lambda: [
        ipaddress.ip_address("10.0.0.1"),
        ipaddress.ip_address("fe80::1%eth0"),
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("fe80::/64"),
        ipaddress.ip_interface("10.0.0.1/8"),
        ipaddress.ip_interface("::1/64"),
    ],
    "Ellipsis": lambda: ...,
    "SimpleNamespace": lambda: types.SimpleNamespace(b=1, a=types.SimpleNamespace()),
    "enums": lambda: [*Color, *TextEnum, *Level, Outer.Kind.A],
    "flags": lambda: [
        Permission.READ,
        Permission.READ | Permission.RUN,
        Permission(0),
        IntPermission.READ | IntPermission.WRITE,
        IntPermission(0),
        re.IGNORECASE | re.MULTILINE,
    ],
    "namedtuples": lambda: [Point(1, (2,)), Place("a"), Place("b", Point("x", None))],
    "dataclasses": lambda: [
        Plain(1, [Plain(2)]),
        Frozen(1, (Frozen(2),)),
        Slotted(1, Slotted(2)),
        SlottedFrozen(),
        Child(1, d=2.5),
        Outer.Inner(3),
        _with_cache(),
    ],
    "pydantic models": lambda: [
        Address(city="x"),
        Address(city="x", street=None),
        Person(name="a", home=FullAddress(city="b", zip_code="c"), tags=["\x00"]),
        Address.model_construct(street="only"),
        Aliased(**{"from": "me"}, other={"b": 1, "a": (1,)}),
        FrozenModel(when=datetime(2024, 1, 1)),
        Numbers([1, 2]),
        _negative(),
        _odd_model(),
        _reset_order(),
        Empty(),
        Loose(),
        Loose(**{"$type": 1, "b": (2,)}),
    ],
    "generic models": lambda: [
        Box[int](content=1),
        Box[Address](content=Address(city="c")),
        Box(content=1),
    ],
    "generic classes": lambda: [
        Wrapped[int](1),
        Row[int]([1]),
    ],
    "attributes": lambda: [
        _named({"value": Plain(1)}, __hidden=1, _private=(2,), odd=None),
        _named(Tags, __hidden=1),
        _remembering(),
    ],
    "secrets and URLs": lambda: [
        Secrets(
            key=SecretStr("k\x00"), raw=SecretBytes(b"\xff"), url="http://user@example.org/?q=1#f"
        ),
        pydantic.PostgresDsn("postgres://u:p@h:1,h2:3/d"),
        [Key("k"), RawKey(b"k"), _named(Key, purpose={"b": 1, "a": 2})],
    ],
    "pydantic dataclass": lambda: Checked(1, [2]),
    "TypedDict": lambda: State(b=1, a="x"),
    "subclasses": lambda: [
        Tags([1, Tags()]),
        Config(b=1, a=Config()),
        Name("\x00"),
        Celsius("nan"),
        Celsius(-0.0),
        Count(10**30),
        _named(Name, unit={"a": 1}),
    ],
    "exceptions": lambda: [
        ValueError("boom", 3),
        OddError(3, hint="x"),
        DataError(3, {"b": 1, "a": 2}),
        FileNotFoundError(2, "No such file", "f"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"),
        KeyboardInterrupt(),
        GraphRecursionError("deep"),
        GraphInterrupt([Interrupt(value=1, id="i")]),
        _noted(),
    ],
    "exceptions changed since": lambda: [
        _changed(StopIteration(1), value=(2,)),
        _changed(SystemExit(1), code={"b": 1, "a": 2}),
        _changed(OSError(2, "x"), errno=5, strerror="q", filename="f", filename2=b"g"),
        _changed(BlockingIOError(11, "x"), characters_written=5),
        _changed(ImportError("x", name="n", path="p"), msg=None),
        _changed(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"), reason="other", start=1),
        _changed(SyntaxError("m", ("f", 1, 2, "t")), lineno=7, text=None),
        _changed(SlottedError("x"), code=(1,)),
        _changed(ValueError("x"), args=("y", (1,))),
        _changed(AttributeError("x", name="a"), name="b"),
        _changed(NameError("x", name="a"), name=None),
    ],
    "exceptions that follow others": lambda: [
        _raised(lambda: _raise_from(ValueError("x"), KeyError("k", (1,)))),
        _raised(lambda: _raise_from(ValueError("x"), None)),
        _raised(lambda: _raise_in(ValueError("x"), KeyError("k"))),
        _raised(lambda: _raise_from(OddError(1, hint="x"), _raised(lambda: 1 / 0))),
        _changed(ValueError("x"), __cause__=KeyError("k"), __suppress_context__=False),
        _changed(ValueError("x"), __notes__=["look there"]),
    ],
    "messages": lambda: [
        lc.HumanMessage("hi"),
        lc.HumanMessage("hi", id="1", name="ann", custom={"b": 1, "a": 2}),
        lc.HumanMessage(content=["a", {"type": "text", "text": "b"}]),
        lc.HumanMessage("x", name=None, id=None),
        lc.SystemMessage("sys", additional_kwargs={"z": 1, "a": [1]}),
        lc.AIMessage(
            "ok",
            tool_calls=[_TOOL_CALL],
            usage_metadata=_USAGE,
            response_metadata={"m": "x"},
            id="r",
        ),
        lc.AIMessage(
            "", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": "bad"}]
        ),
        lc.ToolMessage("r", tool_call_id="call_1", artifact={1, (2, 3)}, status="error"),
        lc.ToolMessage("r", tool_call_id="call_1"),
        lc.FunctionMessage("r", name="f"),
        lc.ChatMessage("c", role="critic"),
        lc.RemoveMessage(id="7"),
        lc.AIMessage(content="x", **lc.AIMessage("").model_dump(exclude={"content", "type"})),
        _set_in_place(),
    ],
    "message chunks": lambda: [
        lc.HumanMessageChunk(content="a"),
        lc.AIMessageChunk(content="a", tool_calls=[_TOOL_CALL], chunk_position="last"),
        lc.AIMessageChunk(
            content="a", tool_call_chunks=[{"name": "f", "args": '{"a', "id": "1", "index": 0}]
        ),
        lc.SystemMessageChunk(content="a"),
        lc.ToolMessageChunk(content="a", tool_call_id="1"),
        lc.FunctionMessageChunk(content="a", name="f"),
        lc.ChatMessageChunk(content="a", role="r"),
    ],
    "documents": lambda: [
        Document("text", metadata={"source": "s", "n": 1}, id="d"),
        ChatPromptValue(messages=[lc.HumanMessage("x")]),
    ],
    "langgraph types": lambda: [
        Send("node", {"b": (1,), "a": {2}}),
        Send("node", lc.HumanMessage("x"), timeout=TimeoutPolicy(run_timeout=1.5)),
        Command(update={"a": (1,)}, goto=["x", Send("y", None)]),
        Command(resume={"id": {1}}, graph=Command.PARENT),
        Command(update=[("a", 1)], goto=()),
        Interrupt(value={"q": (1,)}, id="i"),
        Interrupt(value=1, response_schema=Address),
        Interrupt(value=1, response_schema={"type": "string"}),
        Overwrite([(1,)]),
        TimeoutPolicy(idle_timeout=timedelta(seconds=2)),
        _DeltaSnapshot([lc.HumanMessage("x")]),
    ],
    "store items": lambda: [
        Item(
            value={"b": 1, "a": 2},
            key="k",
            namespace=("a", "b"),
            created_at=datetime(2024, 1, 1),
            updated_at=datetime(2024, 1, 2),
        ),
        SearchItem(("a",), "k", {}, datetime(2024, 1, 1), datetime(2024, 1, 2), 0.5),
    ],
    "classes": lambda: [int, str, Address, Plain, Color, ValueError],
}

try:
    _url = pydantic_core.Url("http://a.b", preserve_empty_path=True)
except TypeError:  # before pydantic 2.12
    pass
else:

    class Bare(BaseModel):
        model_config = ConfigDict(url_preserve_empty_path=True)
        url: pydantic.AnyUrl

    CASES["URLs without a path"] = lambda: [
        pydantic_core.Url("http://a.b", preserve_empty_path=True),
        pydantic_core.Url("http://a.b?q", preserve_empty_path=True),
        pydantic_core.MultiHostUrl("http://a.b,c.d", preserve_empty_path=True),
        Bare(url="http://a.b"),
        Bare(url="http://a.b/"),
    ]

if hasattr(pydantic, "Secret"):
    CASES["Secret"] = lambda: [pydantic.Secret((1, {2})), pydantic.Secret[int](5)]

if sys.version_info >= (3, 11):

    class Size(enum.StrEnum):
        BIG = "big"

    CASES["StrEnum"] = lambda: [Size.BIG, {Size.BIG: Size.BIG}]
    CASES["ExceptionGroup"] = lambda: ExceptionGroup(  # noqa: F821  # under the version that has it
        "g", [ValueError(1), KeyError("k")]
    )

if sys.version_info < (3, 14):
    from pydantic import v1

    class Old(v1.BaseModel):
        a: int = 3
        b: list[Any] = []
        _p: int = v1.PrivateAttr(4)

    CASES["pydantic.v1"] = lambda: [Old(), Old(a=5, b=[(1,)]), Old.construct(a="odd")]

try:
    import attrs
except ImportError:
    pass
else:

    @attrs.define
    class Defined:
        a: int
        b: list[Any] = attrs.field(factory=list)

    @attrs.frozen(cache_hash=True)
    class FrozenDefined:
        a: int = 1

    @attrs.define(slots=False)
    class Open:
        _a: int = attrs.field(default=1, validator=attrs.validators.instance_of(int))

    CASES["attrs"] = lambda: [Defined(1, [(2,)]), FrozenDefined(), {FrozenDefined(2): 1}, Open(5)]

CASES |= ARRAY_CASES
