"""A PostgresSnapshotSaver, to read threads from and to copy threads to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, TypeVar, cast

from langgraph.checkpoint.base import CheckpointTuple, PendingWrite

from langgraph_pg_snapshot._arguments import check_id
from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans import read, remove, transfer
from langgraph_pg_snapshot._plans.new_checkpoint import NewCheckpoint
from langgraph_pg_snapshot._plans.put import put_checkpoint
from langgraph_pg_snapshot._plans.steps import Plan
from langgraph_pg_snapshot._plans.store import Store
from langgraph_pg_snapshot._plans.writes import put_writes
from langgraph_pg_snapshot.errors import SchemaError
from langgraph_pg_snapshot.models import NamespaceKey, Target
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver
from langgraph_pg_snapshot.transfer.threads import (
    Contents,
    Found,
    Place,
    ThreadReader,
    ThreadToFill,
    UnreadableError,
    Write,
)

T = TypeVar("T")
PAGE = 1_000


class _Runs:
    """Runs plans of ours on a saver's connections."""

    def __init__(self, saver: PostgresSnapshotSaver, name: str, thread_id: str | None) -> None:
        self._saver = saver
        self._operation = partial(Operation, name, self.store.queries.label, thread_id)

    @property
    def store(self) -> Store:
        return self._saver._store  # noqa: SLF001 -- a room of the same house

    def run(self, plan: Callable[..., Plan[T]], *args: Any, **options: Any) -> T:
        """Run a plan; it makes the tables first, if need be and the saver may."""
        call = Call(self._operation(), partial(plan, self.store, *args, **options))
        return self._saver._run(call)  # noqa: SLF001

    def look(self, plan: Callable[..., Plan[T]], *args: Any) -> T:
        """Run a plan that reads; it makes no tables.

        Raises:
            SchemaError: There are none.
        """
        call = Call(self._operation(), partial(plan, self.store, *args))
        return self._saver._backend.run(call, only_looks=True)  # noqa: SLF001


@dataclass(frozen=True)
class SnapshotTables:
    """A `PostgresSnapshotSaver`, to export from, or to import from into another one.

    Args:
        saver: The saver.
    """

    saver: PostgresSnapshotSaver

    @property
    def label(self) -> str:
        """What it is, for messages."""
        return f"table {_Runs(self.saver, '', None).store.queries.label!r}"

    @contextmanager
    def open(self) -> Iterator[SnapshotReader]:
        """Nothing is to be opened."""
        yield SnapshotReader(self.saver)


class SnapshotReader(_Runs):
    """A saver's threads."""

    def __init__(self, saver: PostgresSnapshotSaver) -> None:
        super().__init__(saver, "export", None)

    def count(self) -> int:
        """How many threads there are."""
        return self.look(transfer.count_threads)

    def thread_ids(self) -> Iterator[str]:
        """The threads' ids, page by page."""
        after = None
        while page := self.look(transfer.page_of_threads, after, PAGE):
            yield from page
            after = page[-1]

    @contextmanager
    def thread(self, thread_id: str) -> Iterator[SnapshotThread]:
        """Read a thread."""
        yield SnapshotThread(self._saver, thread_id)


class SnapshotThread(ThreadReader, _Runs):
    """A thread of ours."""

    def __init__(self, saver: PostgresSnapshotSaver, thread_id: str) -> None:
        super().__init__(saver, "export", thread_id)
        self._thread_id = thread_id
        self._contents: Contents | None = None

    def contents(self) -> Contents:
        """What there is of it."""
        if self._contents is None:
            self._contents = Contents.of(*self.look(transfer.contents, self._thread_id))
        return self._contents

    def read(self, place: Place) -> Found:
        """Read a checkpoint."""
        found = self._tuple(place)
        parent = (found.parent_config or {}).get("configurable", {})
        return Found(
            place,
            parent.get("checkpoint_id"),
            cast("dict[str, Any]", found.checkpoint),
            cast("dict[str, Any]", found.metadata),
            self._numbered(place, found.pending_writes or []),
        )

    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""
        target = _target(self._thread_id, place)
        return self._numbered(place, self.look(transfer.pending_writes, target))

    def _tuple(self, place: Place) -> CheckpointTuple:
        found = self.look(read.get_checkpoint, _target(self._thread_id, place))
        if found is None:
            raise UnreadableError("it was removed meanwhile")
        return found

    def _numbered(self, place: Place, pending: Sequence[PendingWrite]) -> list[Write]:
        keys = self.look(transfer.indices, _target(self._thread_id, place))
        if len(keys) != len(pending):
            raise UnreadableError("a run wrote to it meanwhile: do it again when none is under way")
        return [
            Write(task_id, path, idx, channel, value, run_id)
            for (task_id, path, idx, run_id), (_, channel, value) in zip(keys, pending, strict=True)
        ]


class SnapshotThreadToFill(_Runs, ThreadToFill):
    """A thread of ours that another saver's thread is copied to."""

    def __init__(self, saver: PostgresSnapshotSaver, thread_id: str) -> None:
        super().__init__(saver, "import", thread_id)
        self._thread_id = check_id("thread_id", thread_id)

    def contents(self, wanted: Contents) -> Contents:
        """What there is of it; nothing is made for that."""
        del wanted
        try:
            return Contents.of(*self.look(transfer.contents, self._thread_id))
        except SchemaError:  # they are made by the first put
            return Contents({}, {})

    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""
        return SnapshotThread(self._saver, self._thread_id).writes(place)

    def begin(self) -> None:
        """Have a thread that was erased come again: an import is no late write of a run."""
        self.run(transfer.unerase, self._thread_id)

    def put(self, found: Found, changed: Mapping[str, Any]) -> None:
        """Store a checkpoint, those channels anew that changed."""
        for channel in found.channels:
            check_id("channel name", channel)
        parent = found.parent_id
        self.run(
            put_checkpoint,
            NewCheckpoint(
                Target(
                    NamespaceKey(
                        self._thread_id, check_id("checkpoint_ns", found.place.checkpoint_ns)
                    ),
                    check_id("checkpoint_id", parent) if parent is not None else None,
                ),
                {**found.checkpoint, "id": check_id("checkpoint_id", found.place.checkpoint_id)},
                found.metadata,
                changed,
                created_at=found.created_at,
                with_unversioned=True,
            ),
        )

    def put_writes(self, place: Place, writes: Sequence[Write]) -> None:
        """Store what tasks wrote at a checkpoint."""
        for (task_id, path, run_id), group in groupby(
            writes, lambda w: (w.task_id, w.task_path, w.run_id)
        ):
            own = list(group)
            for write in own:
                check_id("channel name", write.channel)
            self.run(
                put_writes,
                _target(self._thread_id, place),
                [(write.channel, write.value) for write in own],
                check_id("task_id", task_id),
                check_id("task_path", path),
                run_id=run_id,
                indices=[write.idx for write in own],
            )

    def load(self, place: Place) -> CheckpointTuple | None:
        """Read a checkpoint back."""
        return self.run(read.get_checkpoint, _target(self._thread_id, place))

    def finish(self, since: datetime | None) -> None:
        """Set since when the thread has been there, where its checkpoints don't say."""
        if since is not None:
            self.run(transfer.set_since, self._thread_id, since)

    def discard(self) -> None:
        """Remove what was stored of it."""
        self.run(remove.discard_thread, self._thread_id)


def _target(thread_id: str, place: Place) -> Target:
    return Target(NamespaceKey(thread_id, place.checkpoint_ns), place.checkpoint_id)
