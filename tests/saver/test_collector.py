"""The garbage collector is put off while a value is built, and left as it was."""

from __future__ import annotations

import gc
import threading

import pytest

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot._plans.pause import CollectorPause
from langgraph_pg_snapshot.errors import DeserializationError
from langgraph_pg_snapshot.serializer import register


class Witness:
    """Tells, when it is loaded, whether the collector was on."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails


seen: list[bool] = []


def load(fails: bool) -> Witness:
    seen.append(gc.isenabled())
    if fails:
        raise ValueError("can't be loaded")
    return Witness()


register(Witness, lambda witness: witness.fails, load)


@pytest.fixture(params=[True, False], ids=["collector on", "collector off"])
def was_on(request):
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    seen.clear()
    yield request.param
    (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("fails", [False, True])
def test_paused_while_values_are_built_and_then_as_before(ready_database, was_on, fails):
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("t", {"witness": Witness(fails=fails)})
        if fails:
            with pytest.raises(DeserializationError):
                saver.load_state("t")
        else:
            saver.load_state("t")
    assert set(seen) == {False}
    assert gc.isenabled() is was_on


def test_pauses_of_two_threads_that_overlap(was_on):
    pause = CollectorPause()
    is_in, may_leave = threading.Event(), threading.Event()

    def other() -> None:
        with pause:
            is_in.set()
            may_leave.wait(30)

    thread = threading.Thread(target=other)
    with pause:
        thread.start()
        assert is_in.wait(30)
    assert gc.isenabled() is False  # the other one is still at it
    may_leave.set()
    thread.join()
    assert gc.isenabled() is was_on
