"""A saver in both colours, and under a serializer that hides what it stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers import Driven, Variant

OPEN = (Variant("sync", "conninfo", "snapshot"), Variant("async", "plain", "jsonplus"))
SEALED = Variant("sync", "conninfo", "encrypted")


@pytest.fixture(params=OPEN, ids=str)
def saver(request: pytest.FixtureRequest, ready_database: str) -> Iterator[Driven]:
    """A saver that stores metadata in the open."""
    with request.param.open(ready_database) as driven:
        yield driven


@pytest.fixture(params=(*OPEN, SEALED), ids=str)
def any_saver(request: pytest.FixtureRequest, ready_database: str) -> Iterator[Driven]:
    """A saver under each kind of serializer."""
    with request.param.open(ready_database) as driven:
        yield driven
