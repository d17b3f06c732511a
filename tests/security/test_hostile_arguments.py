"""A hostile value in each place of each public method, one at a time: stored safely, or refused.

Only our own errors come out, nothing hangs, what is wrong is found before the server sees it, and
what was stored can be read.
"""

from __future__ import annotations

import inspect
from functools import partial
from itertools import islice

import pytest
from corpus import CORPUS
from places import MAKERS, PLACES, arguments, parameters, places, public_methods, sync_name

from helpers import SERDES, Driven, event_loop
from langgraph_pg_snapshot import (
    ConnectionUnavailableError,
    InvalidArgumentError,
    PostgresSnapshotSaver,
    SerializationError,
    SnapshotError,
)

METHODS = sorted({sync_name(method) for method in public_methods()})
# Of the values, where all of them would take too long.
FEW = 7
TWINS = [name for name in METHODS if hasattr(PostgresSnapshotSaver, f"a{name}")]
# An error names the argument, or the part of it that is wrong.
NAMED = {
    "config": ("config", "thread_id", "checkpoint_", "metadata"),
    "before": ("before", "thread_id", "checkpoint_"),
    "checkpoint": ("checkpoint", "channel"),
    "metadata": ("metadata",),
    "new_versions": ("new_versions", "channel name"),
    "writes": ("write", "channel name"),
    "state": ("state", "channel"),
    "source_thread_id": ("thread_id",),
    "target_thread_id": ("thread_id",),
    "channels": ("channel",),
    "thread_ids": ("thread_id", "filter"),
    "run_ids": ("run_id",),
    "extra_allowlist": ("allow-list",),
    "current": ("version",),
}


def test_every_parameter_of_every_method_is_attacked():
    """A method or parameter that is new has to be given hostile arguments in places.py."""
    attacked = {name: [p for p, _, _ in places(name)] for name in METHODS}
    assert {n: list(dict.fromkeys(p)) for n, p in attacked.items()} == {
        name: parameters(name) for name in METHODS
    }
    makers = {
        name
        for name, member in inspect.getmembers(PostgresSnapshotSaver)
        if inspect.ismethod(member) and not name.startswith("_")
    }
    assert makers == MAKERS


def test_every_place_is_of_a_method():
    known = {p for name in METHODS for p in parameters(name)}
    known |= {f"{name}.{p}" for name in METHODS for p in parameters(name)}
    assert set(PLACES) <= known


def attack(driven, method, *, every=1):
    """Call a method with each value in each place; returns what was wrong with the answers.

    With ``every``, each place gets only every so manieth value, and the next place others.
    """
    return [
        (parameter, place, name, wrong)
        for number, (parameter, place, put_in) in enumerate(places(method))
        for name, make in islice(CORPUS.items(), number % every, None, every)
        if (wrong := wrong_with(driven, method, parameter, partial(made, put_in, make)))
    ]


def made(put_in, make):
    return put_in(make())


def wrong_with(driven, method, parameter, make):
    """What is wrong with the answer to one call, if anything is."""
    try:
        given = arguments(method, {parameter: make()})
        result = call(driven, method, given)
        if method == "put":  # what is stored can be read
            assert driven.get_tuple(result).config == result
    except (InvalidArgumentError, SerializationError) as error:
        named = any(part in str(error) for part in NAMED.get(parameter, (parameter,)))
        return None if named else f"unnamed: {error}"
    except SnapshotError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 -- that is what must not come
        return type(error).__name__
    return None


def call(driven, method, given):
    if method == "exclusive":
        with driven.saver.exclusive(**given):
            return None
    if method in TWINS:
        return getattr(driven, method)(**given)
    return getattr(driven.saver, method)(**given)


@pytest.mark.parametrize("method", METHODS)
def test_sync(harmless, method):
    every = 3 if method == "put" else 1
    assert attack(Driven(harmless(), None), method, every=every) == []


@pytest.mark.slow
def test_put_with_every_value(harmless):
    assert attack(Driven(harmless(), None), "put") == []


@pytest.mark.parametrize("method", TWINS)
def test_async(harmless, method):
    attack_async(harmless, method, every=FEW)


@pytest.mark.slow
@pytest.mark.parametrize("method", TWINS)
def test_async_with_every_value(harmless, method):
    attack_async(harmless, method, every=1)


def attack_async(harmless, method, every):
    with event_loop() as loop:
        driven = Driven(harmless(), loop)
        assert attack(driven, method, every=every) == []
        loop.run_until_complete(driven.saver.aclose())


OTHERS = [name for name in SERDES if name != "snapshot"]
STORING = ["put", "put_writes", "save_state", "list", "list_threads", "erase"]


@pytest.mark.parametrize("serde", OTHERS)
@pytest.mark.parametrize("method", STORING)
def test_other_serializers(harmless, method, serde):
    attack_other(harmless, method, serde, every=FEW)


@pytest.mark.slow
@pytest.mark.parametrize("serde", OTHERS)
@pytest.mark.parametrize("method", STORING)
def test_other_serializers_with_every_value(harmless, method, serde):
    attack_other(harmless, method, serde, every=1)


def attack_other(harmless, method, serde, every):
    saver = harmless(serde=SERDES[serde](), table_name="others")
    assert attack(Driven(saver, None), method, every=every) == []


@pytest.mark.parametrize("bad", ["\ud800", b"bytes"], ids=ascii)
def test_refused_before_anything_is_sent(bad):
    """The same errors where there is no server at all."""
    taken = []
    with PostgresSnapshotSaver("host=127.0.0.1 port=1", min_size=0, timeout=0.1) as saver:
        for method in TWINS:
            for parameter, place, put_in in places(method):
                if (parameter, place) not in ANYTHING:
                    try:
                        getattr(saver, method)(**arguments(method, {parameter: put_in(bad)}))
                    except InvalidArgumentError:
                        continue
                    except ConnectionUnavailableError:
                        pass
                    taken.append((method, parameter, place))
    assert taken == []


# (Where the value may be anything, or is found to be no data when it is encoded.)
ANYTHING = {
    ("default", "default"),
    *(("before", place) for place in ("thread_id", "checkpoint_ns")),  # (list goes by the id)
    *(("config", place) for place in ("a value of configurable", "run_id of configurable")),
    *(("config", place) for place in ("a key of configurable", "a value of config's metadata")),
    *(("config", place) for place in ("a key of config's metadata", "metadata of config")),
    *(("before", place) for place in ("a value of configurable", "run_id of configurable")),
    *(("before", place) for place in ("a key of configurable", "a value of config's metadata")),
    *(("before", place) for place in ("a key of config's metadata", "metadata of config")),
    *(("filter", place) for place in ("a value", "a value beside", "deep inside")),
    *(("checkpoint", place) for place in ("a value", "deep in a value", "an element")),
    *(("checkpoint", place) for place in ("versions_seen", "a version that was seen", "ts")),
    *(("checkpoint", place) for place in ("updated_channels", "a version")),
    *(("metadata", place) for place in PLACES["metadata"] if place != "metadata"),
    ("new_versions", "a version"),
    *(("writes", place) for place in ("a value", "deep in a value")),
    *(("state", place) for place in ("a value", "deep in a value")),
}
