"""Random calls with several hostile arguments at once, one after the other on one saver."""

from __future__ import annotations

import pytest
from corpus import CORPUS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import arguments, places, public_methods, sync_name
from test_hostile_arguments import call

from helpers import SERDES, Driven, event_loop
from langgraph_pg_snapshot import PostgresSnapshotSaver, SnapshotError

METHODS = sorted({sync_name(method) for method in public_methods()})

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=30)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
values = st.sampled_from(sorted(CORPUS)).map(lambda name: CORPUS[name]()) | plain


@st.composite
def calls(draw):
    """A method, and arguments of which some have something hostile in one of their places."""
    method = draw(st.sampled_from(METHODS))
    by_parameter = {}
    for parameter, _, put_in in places(method):
        by_parameter.setdefault(parameter, []).append(put_in)
    if not by_parameter:
        return method, {}
    chosen = draw(st.sets(st.sampled_from(sorted(by_parameter)), min_size=1, max_size=3))
    return method, {
        parameter: (draw(st.sampled_from(by_parameter[parameter])), draw(values))
        for parameter in sorted(chosen)
    }


def fuzz(driven, examples):
    # Derandomized and without a database of examples: CI does the same every time.
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(calls())
    def run(made):
        method, hostile = made
        try:
            ready = {parameter: put_in(value) for parameter, (put_in, value) in hostile.items()}
            call(driven, method, arguments(method, ready))
        except (SnapshotError, TypeError, ValueError):
            pass

    run()


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("serde", SERDES)
@pytest.mark.parametrize("examples", [100, pytest.param(3_000, marks=pytest.mark.slow)])
def test_only_our_errors_come_out(canary, serde, colour, examples):
    saver = PostgresSnapshotSaver(canary, serde=SERDES[serde](), table_name="odd", deadline=20)
    with event_loop() as loop:
        driven = Driven(saver, loop if colour == "async" else None)
        fuzz(driven, examples)
        driven.call(saver, "close")
