"""Classes of one name: what is stored leads to the class that it was, or is refused."""

from __future__ import annotations

import dataclasses
import enum
import gc
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, Optional, TypeVar, Union

import pydantic
import pytest
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import SerializationError, TypeNotAllowedError
from langgraph_pg_snapshot.serializer import SnapshotSerializer, names, register

T = TypeVar("T")


class Box(pydantic.BaseModel, Generic[T]):
    content: T


@dataclasses.dataclass
class Point:
    x: int


class Kind(enum.Enum):
    A = "a"


class Tags(list):
    pass


class OddError(Exception):
    pass


@pytest.fixture
def serializer():
    return SnapshotSerializer()


@pytest.fixture
def notebook(monkeypatch):
    """A module whose classes are defined again and again."""
    module = types.ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", module)

    def run(source):
        exec(textwrap.dedent(source), vars(module))  # noqa: S102  # as a notebook does
        return module

    return run


def twin(name):
    return {
        "Point": lambda: dataclasses.make_dataclass("Point", ["x"])(1),
        "Kind": lambda: enum.Enum("Kind", {"A": "a"}).A,
        "Tags": lambda: type("Tags", (list,), {})([1]),
        "Box": lambda: pydantic.create_model("Box", content=(int, 1))(content=2),
    }[name]()


@pytest.mark.parametrize("name", ["Point", "Kind", "Tags", "Box"])
def test_a_class_that_has_the_name_of_another_is_refused(serializer, name):
    value = twin(name)
    type(value).__module__ = __name__
    type(value).__qualname__ = name
    for unstorable in (value, type(value)):
        with pytest.raises(SerializationError, match=rf":{name}' leads to.*a name of its own"):
            serializer.dumps([unstorable])
    type(value).__qualname__ = f"Other{name}"
    assert_same(serializer.loads(serializer.dumps([value])), [value])


def test_an_exception_that_has_the_name_of_another_becomes_what_it_derives_from(serializer):
    error = type("OddError", (ValueError,), {"__module__": __name__})("boom")
    tree = serializer.encode(error)
    assert tree["$lost"] == [f"type {__name__}:OddError"]
    assert_same(serializer.decode(tree), ValueError("boom", "boom"))


SOURCES = {
    "dataclass": """
        from dataclasses import dataclass
        @dataclass
        class State:
            a: int
        """,
    "model": """
        import pydantic
        class State(pydantic.BaseModel):
            a: int
        """,
    "nested": """
        from dataclasses import dataclass
        class Outer:
            @dataclass
            class State:
                a: int
        State = Outer.State
        """,
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())
def test_a_class_that_is_defined_again(serializer, notebook, source):
    old = notebook(source).State(a=1)
    saved = serializer.dumps({"state": old})
    assert_same(serializer.loads(saved), {"state": old})
    new = notebook(source).State(a=1)
    with pytest.raises(SerializationError, match=r"\['state'\].*make the value again"):
        serializer.dumps({"state": old})
    assert_same(serializer.loads(saved), {"state": new})
    assert_same(serializer.loads(serializer.dumps({"state": new})), {"state": new})
    with pytest.raises(SerializationError):
        serializer.dumps([old])


def test_a_generic_model_that_is_defined_again(serializer, notebook):
    source = """
        import pydantic
        from typing import Generic, TypeVar
        T = TypeVar("T")
        class Box(pydantic.BaseModel, Generic[T]):
            content: T
        """
    old = notebook(source).Box[int](content=1)
    saved = serializer.dumps(old)
    new = notebook(source).Box[int](content=1)
    assert_same(serializer.loads(saved), new)
    with pytest.raises(SerializationError, match="make the value again"):
        serializer.dumps(old)
    assert_same(serializer.loads(serializer.dumps(new)), new)


def test_an_exception_whose_class_is_defined_again_is_stored_with_losses(serializer, notebook):
    source = "class Failed(ValueError): pass"
    old = notebook(source).Failed("boom")
    assert "$lost" not in serializer.encode(old)
    new = notebook(source).Failed("boom")
    assert serializer.encode(old)["$lost"] == ["type notebook:Failed"]
    assert_same(serializer.loads(serializer.dumps(new)), new)


def test_a_module_that_is_imported_again(serializer, notebook, monkeypatch):
    old = notebook(SOURCES["model"]).State(a=1)
    saved = serializer.dumps(old)
    module = types.ModuleType("notebook")
    monkeypatch.setitem(sys.modules, "notebook", module)
    exec(textwrap.dedent(SOURCES["model"]), vars(module))  # noqa: S102  # as importing does
    with pytest.raises(SerializationError, match="make the value again"):
        serializer.dumps(old)
    assert_same(serializer.loads(saved), module.State(a=1))


def test_a_registered_class_that_is_defined_again(serializer, notebook):
    source = "class Money:\n    cents = 5"
    old = notebook(source).Money()
    register(type(old), lambda money: money.cents, lambda _: old)
    assert serializer.loads(serializer.dumps(old)) is old
    new = notebook(source).Money()
    register(type(new), lambda money: money.cents, lambda _: new)
    assert serializer.loads(serializer.dumps(new)) is new
    with pytest.raises(SerializationError, match="is not data"):
        serializer.dumps(old)


# --- classes that no name leads to


def local_dataclass():
    @dataclasses.dataclass
    class Local:
        a: int = 1

    return Local()


LOCAL = {
    "dataclass": local_dataclass,
    "make_dataclass": lambda: dataclasses.make_dataclass("Made", ["a"])(1),
    "create_model": lambda: pydantic.create_model("Made", a=(int, 1))(a=2),
    "enum": lambda: enum.Enum("Made", {"A": 1}).A,
    "subclass": lambda: type("Made", (dict,), {})(a=1),
    "generic": lambda: Box[type("Inner", (pydantic.BaseModel,), {})].model_construct(content=1),
    "exception": lambda: type("Made", (ValueError,), {})("x"),
}


@pytest.mark.parametrize("make", LOCAL.values(), ids=LOCAL.keys())
def test_each_of_several_classes_of_one_name_is_itself(serializer, make):
    values = [make() for _ in range(3)]
    assert len({type(value) for value in values}) == 3
    kept = [serializer.dumps([value, type(value)]) for value in values]
    for _ in range(2):
        for value, data in zip(values, kept, strict=True):
            assert_same(serializer.loads(data), [value, type(value)])
            assert serializer.dumps([value, type(value)]) == data


def test_of_several_classes_that_are_passed_in_it_is_the_one_that_was_saved(serializer):
    first, second = local_dataclass(), local_dataclass()
    both = SnapshotSerializer(strict=True, allowed_types=[type(first), type(second)])
    for value in (first, second):
        assert_same(both.loads(both.dumps(value)), value)
    tree = serializer.encode(second)
    tree["$type"] = tree["$type"].partition("#")[0] + "#another process"
    with pytest.raises(TypeNotAllowedError, match="several classes"):
        both.decode(tree)
    only = SnapshotSerializer(strict=True, allowed_types=[type(first)])
    assert_same(only.decode(tree), first)
    upgraded = SnapshotSerializer(upgrades={tree["$type"].partition("#")[0]: Point})
    with pytest.raises(Exception, match="no field 'x'"):
        upgraded.decode(tree)


def test_a_class_is_found_as_long_as_it_lives(serializer):
    values = [local_dataclass(), local_dataclass(), Box[Point](content=Point(1))]
    kept = [serializer.dumps(value) for value in values]
    for number in range(2100):
        serializer.dumps(dataclasses.make_dataclass(f"Made{number}", ["a"])(1))
    gc.collect()
    for value, data in zip(values, kept, strict=True):
        assert_same(serializer.loads(data), value)
        assert serializer.dumps(value) == data


def test_generic_models_of_classes_of_one_name(serializer):
    class Holder:
        @dataclasses.dataclass
        class Point:
            x: int

    Holder.Point.__qualname__ = "Point"
    values = [Box[Point].model_construct(content=1), Box[Holder.Point].model_construct(content=1)]
    assert type(values[0]).__qualname__ == type(values[1]).__qualname__
    for value in values:
        assert_same(serializer.loads(serializer.dumps(value)), value)


def test_a_generic_model_that_this_process_has_not_subscripted(serializer):
    tree = {"$type": f"{__name__}:Box[bytes]", "content": 1}
    with pytest.raises(TypeNotAllowedError, match=r"write Box\[bytes\] before loading"):
        serializer.decode(tree)
    assert_same(
        SnapshotSerializer(allowed_types=[Box[bytes]]).decode(tree),
        Box[bytes].model_construct(content=1),
    )


ELSEWHERE = """
import sys
from langgraph_pg_snapshot.serializer import SnapshotSerializer
import attrs

@attrs.frozen(cache_hash=True)
class Slotted:
    a: str

@attrs.frozen(cache_hash=True, slots=False)
class Open:
    a: str

class Child(Open):
    pass

classes = [Slotted, Open, Child]
serializer = SnapshotSerializer(strict=True, allowed_types=classes)
values = [cls("x") for cls in classes]
hashes = [hash(value) for value in values]
if len(sys.argv) > 1:
    loaded = serializer.loads(sys.argv[1])
    assert loaded == values
    assert [hash(value) for value in loaded] == hashes
    assert set(loaded) == set(values)
else:
    print(serializer.dumps(values).decode())
"""


def test_remembered_hashes_of_attrs_are_those_of_the_process():
    pytest.importorskip("attrs")

    def run(seed, *args):
        return subprocess.run(
            [sys.executable, "-c", ELSEWHERE, *args],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    saved = run("1")
    assert saved.returncode == 0, saved.stderr
    assert "hash" not in saved.stdout
    loaded = run("2", saved.stdout)
    assert loaded.returncode == 0, loaded.stderr


def run(source, *args):
    """Run a script in a process of its own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), *args],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


TWINS = {
    "made in a function": """
        def make(which):
            if which == "a":
                class State(pydantic.BaseModel):
                    n: int
            else:
                class State(pydantic.BaseModel):
                    n: int
                    other: str = "b"
            return State
        mine, other = make("a"), make("b")
        """,
    "made of a class that is elsewhere": """
        class Box(pydantic.BaseModel, Generic[T]):
            n: T
        def module(name):
            module = sys.modules[name] = types.ModuleType(name)
            exec("import pydantic\\nclass Item(pydantic.BaseModel): pass", vars(module))
            module.Item.__module__ = name
            return module
        one, two = module("one"), module("two")
        if sys.argv[1] in ("save", "both"):
            mine = Box[dict[str, one.Item | None]]
        other = Box[dict[str, two.Item | None]]
        """,
    "made of a class that was made in a function": """
        class Box(pydantic.BaseModel, Generic[T]):
            n: T
        def make():
            class Item(pydantic.BaseModel):
                pass
            return Item
        mine, other = Box[make()], Box[make()]
        """,
}
TWIN = """
import sys, types
from typing import Generic, TypeVar
import pydantic
from langgraph_pg_snapshot.errors import TypeNotAllowedError
from langgraph_pg_snapshot.serializer import SnapshotSerializer
T = TypeVar("T")
{classes}
serializer = SnapshotSerializer()
if sys.argv[1] == "save":
    print(serializer.dumps(mine.model_construct(n={{}})).decode())
else:
    serializer.dumps(other.model_construct(n={{}}))
    try:
        serializer.loads(sys.argv[2])
    except TypeNotAllowedError as error:
        print(error)
    if sys.argv[1] == "both":
        given = SnapshotSerializer(allowed_types=[mine])
        assert type(given.loads(sys.argv[2])) is mine
"""


@pytest.mark.parametrize("classes", TWINS.values(), ids=TWINS)
def test_a_class_that_another_process_made_is_not_guessed(classes):
    source = TWIN.format(classes=textwrap.dedent(classes))
    saved = run(source, "save")
    assert "allowed_types=[…]" in run(source, "load", saved)
    run(source, "both", saved)


class Item(pydantic.BaseModel):
    pass


@pytest.mark.parametrize(
    "argument",
    [
        *(int, Item, None, list[Item], dict[str, Item], tuple[int, ...], Optional[Item]),  # noqa: UP045  # an argument, too
        *(int | str, Union[str, int], Literal["a", 1], list, Any, type[Item], Box[Box[Item]]),  # noqa: UP007  # as above
    ],
    ids=str,
)
def test_a_generic_model_whose_name_says_all_is_found_in_any_process(serializer, argument):
    cls = Box[argument]
    tree = serializer.encode(cls.model_construct(content=1))
    assert "#" not in tree["$type"]
    names._classes.clear()  # as in another process
    assert type(serializer.decode(tree)) is cls


@pytest.mark.parametrize(
    "argument",
    [Annotated[int, 5], TypeVar("Some"), Callable[[int], int], Literal[Kind.A]],
    ids=str,
)
def test_a_generic_model_whose_name_says_less_is_found_in_its_process(serializer, argument):
    value = Box[argument].model_construct(content=1)
    assert "#" in serializer.encode(value)["$type"]
    assert_same(serializer.loads(serializer.dumps(value)), value)
