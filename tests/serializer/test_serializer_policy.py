"""Which classes may be built, how state evolves, and what people do to JSON by hand."""

from __future__ import annotations

import dataclasses
import gc
import http
import json
import logging
import re
import sys
import types
import urllib.parse
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
import pydantic
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.types import Interrupt, Send
from serializer_catalogue import Address, Color, Outer, Plain, Slotted
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import DeserializationError, TypeNotAllowedError
from langgraph_pg_snapshot.serializer import SnapshotSerializer, register

HOME = "serializer_catalogue"


def module_with(name, monkeypatch, **classes):
    """Make a module of classes as they were, or will be."""
    module = types.ModuleType(name)
    for key, cls in classes.items():
        cls.__module__, cls.__qualname__ = name, key
        setattr(module, key, cls)
    monkeypatch.setitem(sys.modules, name, module)
    return module


# --- the allow-list


def test_strict_mode_builds_what_is_listed():
    data = SnapshotSerializer().dumps({"a": Address(city="x"), "m": HumanMessage("x")})
    strict = SnapshotSerializer(strict=True)
    with pytest.raises(TypeNotAllowedError, match=r"allowed_types=\[Address\]"):
        strict.loads(data)
    for serializer in (
        SnapshotSerializer(strict=True, allowed_types=[Address]),
        strict.with_allowlist([(HOME, "Address")]),
        strict.with_allowlist([("x", "y")]).with_allowlist({(HOME, "Address")}),
    ):
        assert serializer.loads(data) == {"a": Address(city="x"), "m": HumanMessage("x")}
    with pytest.raises(TypeNotAllowedError):
        strict.loads(data)  # a clone widens nothing but itself


def nested(outer, **classes):
    """Make a class that has others inside, as a class statement would."""
    for name, cls in classes.items():
        cls.__qualname__ = f"{outer}.{name}"
    return type(outer, (), classes)


def order(name="Order"):
    return dataclasses.make_dataclass(name, ["n"])


def shop(monkeypatch, **classes):
    """Make a module "shop" of these classes and those nested in them."""
    inner = [cls for out in classes.values() for cls in vars(out).values() if type(cls) is type]
    for cls in inner:
        cls.__module__ = "shop"
    return module_with("shop", monkeypatch, **classes)


def allows(value, *names):
    strict = SnapshotSerializer(strict=True).with_allowlist(names)
    try:
        return strict.loads(SnapshotSerializer().dumps(value)) == value
    except TypeNotAllowedError as error:
        assert f"allowed_types=[{type(value).__qualname__}]" in str(error)  # noqa: PT017  # or none
        return False


def test_the_schemas_short_name_is_that_of_the_module_first(monkeypatch):
    module = shop(monkeypatch, Order=order(), Out=nested("Out", Order=order()))
    assert allows(module.Order(1), ("shop", "Order"))
    assert not allows(module.Out.Order(1), ("shop", "Order"))
    assert allows(module.Out.Order(1), ("shop", "Out.Order"))
    assert not allows(module.Order(1), ("shop", "Out.Order"))


def test_the_schemas_short_name_is_that_of_the_only_nested_class(monkeypatch):
    module = shop(monkeypatch, Out=nested("Out", Order=order(), Other=order("Other")))
    assert allows(module.Out.Order(1), ("shop", "Order"))
    assert not allows(module.Out.Other(1), ("shop", "Order"))
    assert not allows(module.Out.Order(1), ("elsewhere", "Order"))


def test_the_schemas_short_name_of_several_nested_classes_allows_none(monkeypatch):
    module = shop(
        monkeypatch, Out=nested("Out", Order=order()), Other=nested("Other", Order=order())
    )
    for cls in (module.Out.Order, module.Other.Order):
        assert not allows(cls(1), ("shop", "Order"))
    assert allows(module.Other.Order(1), ("shop", "Other.Order"))


def test_the_schemas_short_name_of_a_class_made_in_a_function():
    local = make_local()
    assert allows(local(a=2), (__name__, "Local"))
    assert not allows(local(a=2), (__name__, "Other"))


@pytest.mark.parametrize(
    "value",
    [
        AIMessage("x", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
        Send("a", (1,)),
        Interrupt(value={1}, id="i"),
        ValueError("x"),
        pydantic.AnyUrl("http://a.b"),
        pydantic.PostgresDsn("postgres://u:p@h/d"),
        re.IGNORECASE,
        http.HTTPStatus.OK,
        json.JSONDecodeError("x", "y", 0),
        urllib.parse.urlsplit("http://a.b"),
        datetime,
        datetime(2024, 1, 1),  # noqa: DTZ001  # on purpose
        [UUID, Decimal, type(Path()), frozenset, deque, HumanMessage, Send],
        pydantic.SecretStr,
        re.RegexFlag,
    ],
    ids=repr,
)
def test_strict_mode_needs_no_list_for_langgraphs_own(value):
    serializer = SnapshotSerializer(strict=True)
    assert_same(serializer.loads(serializer.dumps(value)), value)


def test_strict_mode_needs_no_list_for_classes_of_numpy_and_pandas():
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    serializer = SnapshotSerializer(strict=True)
    value = [numpy.ndarray, numpy.float32, pandas.DataFrame, pandas.Index]
    assert_same(serializer.loads(serializer.dumps(value)), value)
    with pytest.raises(TypeNotAllowedError):
        serializer.decode({"$type": "type", "value": "numpy.exceptions:AxisError"})


def test_strict_mode_takes_no_class_for_one_of_python_that_only_says_so():
    made = types.new_class("Made", (ValueError,))
    assert made.__module__ == "types"
    with pytest.raises(TypeNotAllowedError, match=r"allowed_types=\[Made\]"):
        SnapshotSerializer(strict=True).loads(SnapshotSerializer().dumps(made("x")))


@pytest.mark.parametrize(("text", "strict"), [("true", True), ("1", True), ("", False)])
def test_strict_mode_follows_the_environment(monkeypatch, text, strict):
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", text)
    data = SnapshotSerializer().dumps(Color.RED)
    if strict:
        with pytest.raises(TypeNotAllowedError):
            SnapshotSerializer().loads(data)
    assert SnapshotSerializer(strict=False).loads(data) is Color.RED


def test_a_type_that_is_gone_is_named():
    with pytest.raises(TypeNotAllowedError) as caught:
        SnapshotSerializer().decode([{"$type": "shop.models:Order", "id": 1}])
    assert "'shop.models:Order'" in str(caught.value)
    assert "upgrades={'shop.models:Order': NewClass}" in str(caught.value)


def test_fields_instead_of_an_error(caplog):
    serializer = SnapshotSerializer(on_unknown_type="fields")
    tree = {"$type": "shop:Order", "id": 1, "tags": {"$type": "set", "items": ["a"]}}
    with caplog.at_level(logging.WARNING):
        assert serializer.decode([tree, tree]) == [{"id": 1, "tags": {"a"}}] * 2
    assert len(caplog.records) == 1
    assert "shop:Order" in caplog.text


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="max_depth"):
        SnapshotSerializer(max_depth=1000)
    with pytest.raises(ValueError, match="on_unknown_type"):
        SnapshotSerializer(on_unknown_type="ignore")  # type: ignore[arg-type]  # on purpose


# --- classes made in functions


def make_local(base=pydantic.BaseModel):
    class Local(base):
        a: int = 1

    return Local


def test_local_classes_are_found_by_the_process_that_saved_them():
    serializer, local = SnapshotSerializer(), make_local()
    assert_same(serializer.loads(serializer.dumps([local(a=2)])), [local(a=2)])


def test_local_classes_elsewhere_are_passed_in():
    local = make_local()
    name = f"{__name__}:{local.__qualname__}"
    tree = {"$type": name.replace("make_local", "make_other"), "a": 2}
    with pytest.raises(TypeNotAllowedError):
        SnapshotSerializer().decode(tree)
    local.__qualname__ = local.__qualname__.replace("make_local", "make_other")
    assert SnapshotSerializer(allowed_types=[local]).decode(tree) == local(a=2)


def test_the_class_that_is_passed_in_comes_before_one_of_the_same_name():
    first, second = make_local(), make_local()
    data = SnapshotSerializer().dumps(first())
    assert type(SnapshotSerializer(allowed_types=[second]).loads(data)) is second


def test_classes_are_forgotten_after_a_while():
    serializer = SnapshotSerializer()
    for _ in range(2100):
        serializer.dumps(dataclasses.make_dataclass("Made", ["a"])(1))
    gc.collect()
    from langgraph_pg_snapshot.serializer import codec

    assert len(codec._learned) <= 2048
    assert serializer.loads(serializer.dumps(Plain(1))) == Plain(1)


# --- evolving state


def test_upgrades_to_a_class_and_to_a_function():
    tree = {"$type": "old.place:Address", "city": "x", "street": None}
    moved = SnapshotSerializer(upgrades={"old.place:Address": Address})
    assert moved.decode(tree) == Address(city="x", street=None)
    converted = SnapshotSerializer(
        upgrades={"old.place:Address": lambda fields: Address(city=fields["city"].upper())}
    )
    assert_same(converted.decode([tree]), [Address(city="X")])
    strict = SnapshotSerializer(strict=True, upgrades={"old.place:Address": Address})
    assert strict.decode(tree) == Address(city="x", street=None)


CLASS = {"$type": "type", "value": "old:Address"}


def test_upgrades_of_classes_that_are_values():
    moved = SnapshotSerializer(upgrades={"old:Address": Address, "old:Color": Color})
    assert moved.decode([CLASS, {"$type": "type", "value": "old:Color"}]) == [Address, Color]
    assert moved.decode({"$type": "old:Color", "value": "red"}) is Color.RED
    assert moved.decode({"$type": "Interrupt", "value": CLASS, "id": ""}).value is Address


def test_upgrades_to_a_function_make_no_class():
    converting = {"upgrades": {"old:Address": lambda fields: Address(**fields)}}
    with pytest.raises(TypeNotAllowedError, match=r"'old:Address'.*pass the class"):
        SnapshotSerializer(**converting).decode(CLASS)
    lenient = SnapshotSerializer(on_unknown_type="fields", **converting)
    assert lenient.decode([CLASS]) == [{"value": "old:Address"}]
    assert SnapshotSerializer(on_unknown_type="fields").decode(CLASS) == {"value": "old:Address"}


def test_upgrades_to_what_is_not_data_are_refused():
    with pytest.raises(
        TypeNotAllowedError,
        match=r"'old:Address' is not built: \w+.Outer is not data$",
    ):
        SnapshotSerializer(upgrades={"old:Address": Outer}).decode({"$type": "old:Address"})


def test_upgrades_of_what_a_generic_class_is_made_of(monkeypatch):
    T = TypeVar("T")

    class Box(pydantic.BaseModel, Generic[T]):
        content: T

    class Renamed(pydantic.BaseModel):
        a: int

    module_with("now", monkeypatch, Box=Box, Renamed=Renamed)
    of_list, of_dict = Box[list[Renamed]], Box[dict[str, Renamed]]
    tree = {"$type": "now:Box[list[old:Old]]", "content": [{"$type": "old:Old", "a": 1}]}
    serializer = SnapshotSerializer(upgrades={"old:Old": Renamed})
    assert_same(serializer.decode(tree), of_list(content=[Renamed(a=1)]))
    serializer = SnapshotSerializer(upgrades={"old:Old": Renamed, "old:Chest": Box})
    chest = "old:Chest[dict[str, old:Old]]"
    tree = {"$type": chest, "content": {"a": {"$type": "old:Old", "a": 1}}}
    assert_same(serializer.decode(tree), of_dict(content={"a": Renamed(a=1)}))
    assert serializer.decode({"$type": "type", "value": chest}) is of_dict
    with pytest.raises(TypeNotAllowedError, match=r"'now:Box\[now:Renamed\]' is not in"):
        serializer.decode({"$type": "old:Chest[old:Old]", "content": 1})
    strict = SnapshotSerializer(strict=True, upgrades={"old:Old": Renamed})
    with pytest.raises(TypeNotAllowedError, match=r"allow-list"):
        strict.decode({"$type": "now:Box[list[old:Old]]", "content": []})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"upgrades": {"old.place.Address": Address}}, r"'old.place.Address'.*module:Qualified"),
        ({"upgrades": {"human": HumanMessage}}, r"'human'.*module:Qualified"),
        ({"upgrades": {"old:Address": "new:Address"}}, r"'old:Address'.*a class or a function"),
        ({"allowed_types": ["app:Address"]}, r"allowed_types.*'app:Address'"),
        ({"allowed_types": Address}, r"allowed_types.*a list of classes"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_policies_are_checked_when_they_are_given(given, says):
    with pytest.raises(ValueError, match=says):
        SnapshotSerializer(**given)


def test_upgrades_of_a_class_that_kept_its_name():
    serializer = SnapshotSerializer(
        upgrades={f"{HOME}:Plain": lambda fields: Plain(fields["a"], ["upgraded"])}
    )
    assert serializer.loads(serializer.dumps(Plain(1))) == Plain(1, ["upgraded"])


def test_upgrades_of_a_class_that_is_registered():
    register(Money, lambda money: money.cents, Money)
    name = f"{__name__}:Money"
    data = SnapshotSerializer().dumps(Money(5))
    assert SnapshotSerializer(upgrades={name: lambda fields: fields}).loads(data) == {"value": 5}
    assert SnapshotSerializer(upgrades={name: Money}).loads(data) == Money(5)


MEMBERS = {"a": 1, "$private": {"_p": 2}, "$extra": {"e": 3}, "$attributes": {"z": 4, "a": 5}}


def test_fields_are_all_that_is_stored_of_an_object():
    tree = {"$type": "old:Gone", **MEMBERS, "$order": ["a"]}
    fields = {"a": 1, "_p": 2, "e": 3, "z": 4}
    assert SnapshotSerializer(on_unknown_type="fields").decode(tree) == fields
    assert SnapshotSerializer(upgrades={"old:Gone": dict.copy}).decode(tree) == fields


def test_what_an_error_says_to_do_can_be_done():
    with pytest.raises(DeserializationError) as caught:
        SnapshotSerializer().decode({"$type": "Send"})
    assert str(caught.value) == (
        "the stored 'Send' has no field 'node', for which the class has no plain default"
    )


def test_a_class_that_moved_but_is_still_reachable(monkeypatch):
    module = module_with("old_home", monkeypatch)
    module.Address = Address
    tree = {"$type": "old_home:Address", "city": "x", "street": None}
    assert SnapshotSerializer().decode(tree) == Address(city="x", street=None)


def test_fields_that_were_added_take_plain_defaults():
    @dataclasses.dataclass
    class Grown:
        a: int
        b: int = 5
        c: list[Any] = dataclasses.field(default_factory=list)

    class GrownModel(pydantic.BaseModel):
        a: int
        b: int = 5
        c: dict[str, Any] = pydantic.Field(default_factory=dict)
        d: list[int] = []

    for cls in (Grown, GrownModel):
        serializer = SnapshotSerializer(upgrades={"app:State": cls})
        value = serializer.decode({"$type": "app:State", "a": 1})
        assert value == cls(a=1)
        assert value.c is not serializer.decode({"$type": "app:State", "a": 1}).c


def test_fields_that_were_added_without_a_plain_default_are_named():
    class Stamped(pydantic.BaseModel):
        a: int
        at: float = pydantic.Field(default_factory=lambda: 1.0)

    serializer = SnapshotSerializer(upgrades={"app:State": Stamped})
    with pytest.raises(DeserializationError, match=r"no field 'at'.*upgrades="):
        serializer.decode({"$type": "app:State", "a": 1})


def test_fields_that_were_removed_are_left_out_with_a_warning(caplog):
    tree = {"$type": f"{HOME}:Address", "city": "x", "street": "y", "fax": "z"}
    with caplog.at_level(logging.WARNING):
        assert SnapshotSerializer().decode(tree) == Address(city="x", street="y")
    assert "'fax'" in caplog.text
    tree = {"$type": f"{HOME}:Slotted", "a": 1, "b": 2, "fax": "z"}
    assert SnapshotSerializer().decode(tree) == Slotted(1, 2)


# --- JSON that people edited


def test_edited_objects_still_load():
    serializer = SnapshotSerializer()
    tree = serializer.encode({"b": 1, "a": {"z": 1, "y": 2}})
    tree["added"] = 3
    del tree["b"]
    assert_same(serializer.decode(tree), {"a": {"z": 1, "y": 2}, "added": 3})
    assert_same(
        serializer.decode({"$order": ["a", "a", 5, "$order"], "b": 1, "a": 2}), {"a": 2, "b": 1}
    )


def test_edited_messages_still_load():
    serializer = SnapshotSerializer()
    tree = orjson.loads(serializer.dumps(HumanMessage("x", id="1")))
    tree["content"] = "edited"
    tree["name"] = "ann"
    assert_same(serializer.decode(tree), HumanMessage("edited", id="1", name="ann"))


# --- register


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return isinstance(other, Money) and other.cents == self.cents

    __hash__ = None


def test_registered_types():
    serializer = SnapshotSerializer(strict=True)
    register(Money, lambda money: {"cents": money.cents}, lambda parts: Money(parts["cents"]))
    data = serializer.dumps([Money(5)])
    assert orjson.loads(data) == [{"$type": f"{__name__}:Money", "value": {"cents": 5}}]
    assert serializer.loads(data) == [Money(5)]


# --- the protocol


def test_it_is_a_serializer_and_can_be_encrypted():
    serializer = SnapshotSerializer()
    assert isinstance(serializer, SerializerProtocol)
    encrypted = EncryptedSerializer.from_pycryptodome_aes(serializer, key=b"0" * 16)
    assert_same(encrypted.loads_typed(encrypted.dumps_typed({"b": (1,)})), {"b": (1,)})


def test_what_others_wrote_is_refused():
    with pytest.raises(DeserializationError, match="'msgpack'"):
        SnapshotSerializer().loads_typed(("msgpack", b"\x01"))


def test_threads_share_it():
    serializer = SnapshotSerializer()

    def work(number):
        cls = pydantic.create_model(f"M{number % 7}", a=(int, 1), b=(list, []))
        for _ in range(50):
            value = {"z": [cls(a=number), Plain(number)], str(number): (number,)}
            assert serializer.loads(serializer.dumps(value))["z"][1] == Plain(number)
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == list(range(40))
