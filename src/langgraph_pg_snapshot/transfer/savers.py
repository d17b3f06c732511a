"""Reading and filling any checkpoint saver through its public methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from inspect import signature
from itertools import groupby
from typing import Any, cast

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    CheckpointTuple,
    PendingWrite,
    writes_sort_key,
)
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_pg_snapshot.errors import (
    ArgumentTypeError,
    SerializationError,
    SnapshotError,
    StorageError,
)
from langgraph_pg_snapshot.transfer.threads import (
    Contents,
    Found,
    Place,
    ThreadReader,
    ThreadToFill,
    UnreadableError,
    Write,
)

PAGE = 50


@dataclass(frozen=True)
class AnySaver:
    """Any checkpoint saver, to import from through its ``list`` and ``get_tuple``.

    What a saver does not tell is made up so that the order stays: the numbers of a task's writes,
    and the tasks' paths (only `InMemorySaver` is asked for its own). Memory is bounded as far as
    the saver's ``list`` bounds it; PostgresSaver's does not, `OfficialTables` does.

    Args:
        saver: The saver. An async one has to be used from another thread than its event loop's, as
            `aimport_threads` does.

    Raises:
        InvalidArgumentError: It is no checkpoint saver.
    """

    saver: BaseCheckpointSaver[Any]

    def __post_init__(self) -> None:
        if not isinstance(self.saver, BaseCheckpointSaver):
            raise ArgumentTypeError(
                f"saver must be a BaseCheckpointSaver, got {type(self.saver).__name__}"
            )

    @property
    def label(self) -> str:
        """What it is, for messages."""
        return f"a {type(self.saver).__name__}"

    @contextmanager
    def open(self) -> Iterator[SaverReader]:
        """Give what reads it; nothing is to be opened."""
        yield SaverReader(self.saver)


class SaverReader:
    """The threads of any saver."""

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        self._saver = saver
        self._thread_ids: list[str] | None = None

    def count(self) -> int:
        """How many threads there are."""
        return len(self._ids())

    def thread_ids(self) -> Iterator[str]:
        """The threads' ids."""
        return iter(self._ids())

    def _ids(self) -> list[str]:
        if self._thread_ids is None:
            with _asking(self._saver):
                found = (_name(each.config, "thread_id") for each in self._saver.list(None))
                self._thread_ids = sorted(set(found))
        return self._thread_ids

    @contextmanager
    def thread(self, thread_id: str) -> Iterator[SaverThread]:
        """Read a thread; a saver has no way to read it as of one moment."""
        yield SaverThread(self._saver, thread_id)


class SaverThread(ThreadReader):
    """A thread of a saver."""

    def __init__(self, saver: BaseCheckpointSaver[Any], thread_id: str) -> None:
        self._saver = saver
        self._thread_id = thread_id
        self._contents: Contents | None = None

    def contents(self) -> Contents:
        """What there is of it."""
        if self._contents is None:
            with _asking(self._saver):
                self._contents = contents_of(
                    self._saver.list({"configurable": {"thread_id": self._thread_id}})
                )
        return self._contents

    def read(self, place: Place) -> Found:
        """Read a checkpoint."""
        found = self._tuple(place)
        return Found(
            place,
            _name(found.parent_config, "checkpoint_id") or None,
            cast("dict[str, Any]", found.checkpoint),
            cast("dict[str, Any]", found.metadata),
            self._numbered(place, found.pending_writes or []),
        )

    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""
        return self._numbered(place, self._tuple(place).pending_writes or [])

    def _tuple(self, place: Place) -> CheckpointTuple:
        with _asking(self._saver):
            found = self._saver.get_tuple(config_of(self._thread_id, *place))
        if found is None:
            raise UnreadableError("it is listed, but can't be read: was it removed meanwhile?")
        return found

    def _numbered(self, place: Place, pending: Sequence[PendingWrite]) -> list[Write]:
        if isinstance(self._saver, InMemorySaver):
            stored = self._saver.writes.get((self._thread_id, *place), {})
            keys = sorted((path, *key) for key, (_, _, _, path) in stored.items())
            if [task_id for _, task_id, _ in keys] == [task_id for task_id, _, _ in pending]:
                return [
                    Write(task_id, path, idx, channel, value)
                    for (path, _, idx), (task_id, channel, value) in zip(keys, pending, strict=True)
                ]
        return numbered(pending)


def numbered(pending: Sequence[PendingWrite]) -> list[Write]:
    """Writes with numbers, and paths if it takes any to keep them in this order."""
    writes: list[Write] = []
    for rank, (task_id, group) in enumerate(groupby(pending, lambda each: each[0])):
        writes += [
            Write(task_id, f"~{rank:06}", WRITES_IDX_MAP.get(channel, place), channel, value)
            for place, (_, channel, value) in enumerate(group)
        ]
    keys = [writes_sort_key("", write.task_id, write.idx) for write in writes]
    if keys == sorted(keys):
        return [write._replace(task_path="") for write in writes]
    return writes


def contents_of(found: Iterator[CheckpointTuple]) -> Contents:
    """What a listing shows; only names of it are kept."""
    places, tasks = [], []
    for each in found:
        place = (_name(each.config, "checkpoint_ns"), _name(each.config, "checkpoint_id"))
        places.append((*place, _name(each.parent_config, "checkpoint_id")))
        channels: dict[str, list[str]] = {}
        for task_id, channel, _ in each.pending_writes or ():
            channels.setdefault(task_id, []).append(channel)
        tasks += [
            (*place, task_id, len(own), sum(channel in WRITES_IDX_MAP for channel in own))
            for task_id, own in channels.items()
        ]
    return Contents.of(places, tasks)


def config_of(thread_id: str, checkpoint_ns: str, checkpoint_id: str | None) -> RunnableConfig:
    """The config that names a checkpoint."""
    named = {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns}
    if checkpoint_id is not None:
        named["checkpoint_id"] = checkpoint_id
    return {"configurable": named}


def _name(config: RunnableConfig | None, key: str) -> str:
    return (config or {}).get("configurable", {}).get(key) or ""


@contextmanager
def _naming(
    saver: BaseCheckpointSaver[Any], wrapper: type[SnapshotError], failed: str
) -> Iterator[None]:
    """Have what a saver raises say which saver it was, and what it could not do."""
    try:
        yield
    except SnapshotError:
        raise
    except psycopg.OperationalError as error:
        raise StorageError(f"{type(saver).__name__}: {error}") from error
    except Exception as error:
        raise wrapper(
            f"{type(saver).__name__} {failed}: {type(error).__name__}: {error}"
        ) from error


def _asking(saver: BaseCheckpointSaver[Any]) -> AbstractContextManager[None]:
    return _naming(saver, UnreadableError, "can't read it")


def _storing(saver: BaseCheckpointSaver[Any]) -> AbstractContextManager[None]:
    return _naming(saver, SerializationError, "can't store it")


class SaverThreadToFill(ThreadToFill):
    """A thread of any saver that another thread is copied to, by its ``put`` and ``put_writes``.

    Savers keep no time of a thread that could be set.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any], thread_id: str) -> None:
        self.saver = saver
        self.thread_id = thread_id
        self._takes_path = "task_path" in signature(saver.put_writes).parameters

    def contents(self, wanted: Contents) -> Contents:
        """What there is of it, in the namespaces that are wanted."""
        namespaces = sorted({place.checkpoint_ns for place in wanted.parents})
        with _asking(self.saver):
            return contents_of(
                found
                for namespace in namespaces
                for found in _paged(self.saver, config_of(self.thread_id, namespace, None))
            )

    def put(self, found: Found, changed: Mapping[str, Any]) -> None:
        """Store a checkpoint."""
        del changed  # a saver may keep values by version, or all: it is told that all are new
        config = config_of(self.thread_id, found.place.checkpoint_ns, found.parent_id)
        with _storing(self.saver):
            self.saver.put(
                config,
                cast("Any", found.checkpoint),
                cast("Any", found.metadata),
                dict(found.checkpoint["channel_versions"]),
            )

    def put_writes(self, place: Place, writes: Sequence[Write]) -> None:
        """Store what tasks wrote at a checkpoint."""
        config = config_of(self.thread_id, *place)
        # Savers replace those that are replaced in place only if they come by themselves.
        for (task_id, path, _), group in groupby(
            writes, lambda w: (w.task_id, w.task_path, w.channel in WRITES_IDX_MAP)
        ):
            pairs = [(write.channel, write.value) for write in group]
            with _storing(self.saver):
                if self._takes_path:
                    self.saver.put_writes(config, pairs, task_id, path)
                else:
                    self.saver.put_writes(config, pairs, task_id)

    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""
        return SaverThread(self.saver, self.thread_id).writes(place)

    def load(self, place: Place) -> CheckpointTuple | None:
        """Read a checkpoint back."""
        with _asking(self.saver):
            return self.saver.get_tuple(config_of(self.thread_id, *place))

    def discard(self) -> None:
        """Remove what was stored of it."""
        self.saver.delete_thread(self.thread_id)


def _paged(saver: BaseCheckpointSaver[Any], config: RunnableConfig) -> Iterator[CheckpointTuple]:
    """A namespace's checkpoints; some savers hold in memory all that they are asked to list."""
    before: RunnableConfig | None = None
    while True:
        count = 0
        for each in saver.list(config, before=before, limit=PAGE):
            count += 1
            before = each.config
            yield each
        if count < PAGE:
            return
