"""Exceptions are stored whatever they hold, and say what was lost; the rest comes back."""

from __future__ import annotations

import sys

import orjson
import pytest
from serializer_catalogue import CASES, OddError
from serializer_sameness import assert_same

from langgraph_pg_snapshot.errors import DeserializationError
from langgraph_pg_snapshot.serializer import SnapshotSerializer


class FinalizedError(ValueError):
    def __del__(self):
        pass


class FinalizedDecodeError(UnicodeDecodeError):
    def __del__(self):
        pass


class OddCancelled(BaseException):
    def __getattr__(self, name):
        raise AttributeError(name)


@pytest.fixture
def serializer():
    return SnapshotSerializer()


def linked(error, **links):
    for name, other in links.items():
        setattr(error, name, other)
    return error


def lost_in(serializer, value):
    tree = serializer.encode([value])[0]
    back = serializer.loads(serializer.dumps([value]))[0]
    assert type(value).__mro__[-2] in type(back).__mro__
    return tree.get("$lost"), back


def test_what_is_lost_is_listed(serializer):
    def lookup():
        return print.there_is_no_such_attribute

    with pytest.raises(AttributeError) as caught:
        lookup()
    lost, back = lost_in(serializer, caught.value)
    assert lost == [".obj"]
    assert back.name == "there_is_no_such_attribute"
    error = linked(ValueError("x"), __cause__=KeyError("k"), __context__=OSError(2, "x"))
    lost, back = lost_in(serializer, error)
    assert lost == ["__context__"]
    assert_same(back.__cause__, KeyError("k"))
    error = linked(SystemExit(1), code=print)
    vars(error)[5] = 1
    vars(error)["__class__"] = 1
    assert lost_in(serializer, error)[0] == [".code", ".5", ".__class__"]


def test_causes_that_are_too_deep_are_listed():
    shallow = SnapshotSerializer(max_depth=6)
    error = ValueError("first")
    for number in range(10):
        error = linked(ValueError(number), __cause__=error)
    back = shallow.loads(shallow.dumps(error))
    count = 0
    while back.__cause__ is not None:
        assert back.args == (9 - count,)
        back, count = back.__cause__, count + 1
    assert 0 < count < 10
    tree = shallow.encode(error)
    for _ in range(count):
        tree = tree["$cause"]
    assert tree["$lost"] == ["__cause__"]


def test_a_cause_that_stands_elsewhere_too_is_that_one(serializer):
    cause = KeyError("k")
    for error in (
        linked(ValueError("x", cause), __cause__=cause, __context__=cause),
        linked(ValueError("x", [1, cause]), __context__=cause),
        linked(OddError(1, hint="x"), original=cause, __cause__=cause),
    ):
        data = serializer.dumps(error)
        assert data.count(b"builtins:KeyError") == 1
        back = serializer.loads(data)
        assert_same(back, error)
        found = back.__cause__ or back.__context__
        assert any(found is one for one in (back.args[1:] + tuple(vars(back).values()))) or (
            found is back.args[1][1]
        )


@pytest.mark.timeout(20)
def test_chains_are_written_once(serializer):
    error = ValueError("first")
    for _ in range(40):
        error = linked(ValueError("x", error), __cause__=error, __context__=error)
        error = linked(OddError(1, hint="x"), original=error, __cause__=error, other=[error])
        error.other = None
    assert len(serializer.dumps(error)) < 100_000
    looped = ValueError("x")
    looped.args = (looped, looped, [looped])
    looped.__cause__ = looped
    other = linked(KeyError("y"), __cause__=looped)
    looped.__context__ = other
    lost, back = lost_in(serializer, looped)
    assert lost == ["args[0]", "args[1]", "args[2]", "__cause__", "__context__"]
    assert len(back.args) == 3


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FinalizedError("x", 1), ValueError("x", 1)),
        (FinalizedDecodeError("utf-8", b"\xff", 0, 1, "\x00"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exceptions_that_loading_cannot_make(serializer, error, expected):
    lost, back = lost_in(serializer, error)
    assert lost == [f"type {__name__}:{type(error).__name__}"]
    assert type(back) is type(error).__mro__[1]
    assert back.args[-1] == error.args[-1]
    assert str(error) in (str(back), str(back.args[0]))
    assert expected is None or back.args[1:] == expected.args


def test_texts_that_jsonb_refuses(serializer, jsonb_roundtrip):
    for error in (FinalizedError("\x00"), ValueError("\x00", print)):
        assert "\x00" in serializer.loads(jsonb_roundtrip(serializer.dumps(error))).args[0]


@pytest.mark.parametrize(
    "link",
    [0, 5, -7, [0, 0], [0], "gone", "kept", True, 1.5, {"a": 1}, None, [0, "a"], ["a", 0]],
    ids=repr,
)
def test_forged_links_are_refused(serializer, link):
    tree = {"$type": "builtins:ValueError", "args": [[1]], "$attributes": {"kept": 1}}
    for name in ("$cause", "$context"):
        if (name, link) == ("$context", True):
            continue
        with pytest.raises(DeserializationError):
            serializer.decode({**tree, name: link})


@pytest.mark.parametrize("name", ["exceptions changed since", "exceptions that follow others"])
def test_nothing_is_lost_of_them(serializer, name):
    assert b"$lost" not in serializer.dumps(CASES[name]())


# --- groups, which are there since Python 3.11

if sys.version_info >= (3, 11):

    def groups(levels):
        group = ExceptionGroup("innermost", [ValueError(1), KeyError("k")])  # noqa: F821  # where they are
        for level in range(levels):
            group = ExceptionGroup(str(level), [group, OSError(2, "x")])  # noqa: F821  # as above
        return group

    def test_groups_load_wherever_the_depth_ends():
        value = groups(12)
        for depth in range(2, 60):
            serializer = SnapshotSerializer(max_depth=depth)
            back = serializer.loads(serializer.dumps(value))
            assert isinstance(back, Exception)
            if "$lost" not in orjson.dumps(serializer.encode(value)).decode():
                assert_same(back, value)
                break
        else:
            raise AssertionError("12 groups fit in no depth")

    def test_groups_of_what_cannot_be_stored(serializer):
        kinds = {"ExceptionGroup": ExceptionGroup, "BaseExceptionGroup": BaseExceptionGroup}  # noqa: F821
        group = kinds["ExceptionGroup"]("g", (ValueError(print), FinalizedError("x")))
        back = serializer.loads(serializer.dumps(group))
        assert [type(error) for error in back.exceptions] == [ValueError, ValueError]
        group = kinds["BaseExceptionGroup"]("g", [KeyboardInterrupt(), OddCancelled("x")])
        tree = serializer.encode(group)
        assert tree["args"][1][1]["$lost"] == [f"type {__name__}:OddCancelled", "args"]
        back = serializer.decode(tree)
        assert type(back) is type(group)
        assert [type(error) for error in back.exceptions] == [KeyboardInterrupt, BaseException]
        group.args = ("changed",)
        assert lost_in(serializer, group)[0] == ["args"]
        cause = ValueError("x")
        group = linked(kinds["ExceptionGroup"]("g", (cause, KeyError("k"))), __cause__=cause)
        back = serializer.loads(serializer.dumps(group))
        assert_same(back, group)
        assert back.__cause__ is back.exceptions[0]
