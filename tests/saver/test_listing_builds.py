"""A listing reads a page at once, and builds its checkpoints a few at a time."""

from __future__ import annotations

from itertools import islice

import pytest

from helpers import Chain, Variant, config_of
from langgraph_pg_snapshot.errors import DeserializationError
from langgraph_pg_snapshot.serializer import register


class Counted:
    """Its loading is noted."""

    def __init__(self, number: int) -> None:
        self.number = number


loaded: list[int] = []
broken: set[int] = set()


def load(number: int) -> Counted:
    if number in broken:
        raise ValueError("can't be loaded")
    loaded.append(number)
    return Counted(number)


register(Counted, lambda each: each.number, load)


@pytest.fixture(params=["sync", "async"])
def driven(request, ready_database):
    loaded.clear()
    broken.clear()
    with Variant(request.param, "conninfo", "snapshot").open(ready_database) as driven:
        yield driven


def fill(driven, checkpoints, rows):
    chain = Chain(driven, "t")
    chain.put({"rows": [{"text": f"{row} " * 30} for row in range(rows)], "counted": Counted(0)})
    for number in range(1, checkpoints):
        chain.put({"counted": Counted(number)})


def listed(driven):
    """The listing's checkpoints one by one, by their numbers."""
    if driven.loop is None:
        found = driven.saver.list(config_of("t"))
    else:
        listing = driven.saver.alist(config_of("t"))
        found = iter(lambda: driven.loop.run_until_complete(anext(listing, None)), None)
    for each in found:
        yield each.checkpoint["channel_values"]["counted"].number


# How many are built when the n-th is taken: as many again as before, unless they are large.
@pytest.mark.parametrize(
    ("rows", "built"),
    [(1, [1, 2, 4, 4, 8, 8, 8, 8, 10, 10]), (1_500, [1, 2, 4, 4, 6, 6, 8, 8, 10, 10])],
    ids=["small", "large"],
)
def test_no_more_are_built_than_as_many_again_as_were_taken(driven, rows, built):
    fill(driven, 10, rows)
    assert [(number, len(loaded)) for number in listed(driven)] == [
        (9 - place, number) for place, number in enumerate(built)
    ]
    assert loaded == [*reversed(range(10))]  # each once


@pytest.mark.parametrize("place", range(6))
def test_one_that_cannot_be_built_is_told_when_its_turn_comes(driven, place):
    fill(driven, 6, 1)
    broken.add(5 - place)
    listing = listed(driven)
    assert [*islice(listing, place)] == [5, 4, 3, 2, 1, 0][:place]
    with pytest.raises(DeserializationError, match=r"list \(thread 't'.*channel 'counted'"):
        next(listing)
