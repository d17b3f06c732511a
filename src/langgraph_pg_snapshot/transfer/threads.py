"""A thread as every saver has it: checkpoints, and the writes that tasks left at them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple, Protocol

from langgraph.checkpoint.base import CheckpointTuple, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.types import TASKS

from langgraph_pg_snapshot._plans.versions import next_version
from langgraph_pg_snapshot.errors import DeserializationError

# Before this format, the sends that a parent wrote are its child's.
FORMAT_WITH_SENDS = 4


class Place(NamedTuple):
    """A checkpoint of a thread."""

    checkpoint_ns: str
    checkpoint_id: str


class Write(NamedTuple):
    """A pending write, as it was put.

    Attributes:
        task_id: The task that wrote it.
        task_path: The task's path; empty where the saver does not know it.
        idx: Its number among the task's writes; errors, interrupts and the like have fixed ones.
        channel: The channel.
        value: What was written.
        run_id: The run that wrote it; None where the saver does not know it.
    """

    task_id: str
    task_path: str
    idx: int
    channel: str
    value: Any
    run_id: str | None = None


@dataclass(frozen=True)
class Contents:
    """What of a thread is stored.

    Attributes:
        parents: The parent of each checkpoint (None: it has none).
        tasks: How much each task wrote at each of them.
        replacing: Checkpoints with writes that are replaced in place: interrupts, answers, errors.
        shortened: Namespaces that are known to have begun before their oldest checkpoint.
    """

    parents: Mapping[Place, str | None]
    tasks: Mapping[tuple[Place, str], int]
    replacing: AbstractSet[Place] = frozenset()
    shortened: AbstractSet[str] = frozenset()

    @classmethod
    def of(
        cls,
        places: Iterable[Sequence[Any]],
        tasks: Iterable[Sequence[Any]],
        shortened: Iterable[str] = (),
    ) -> Contents:
        """Make it of rows.

        Args:
            places: Namespace, id, parent.
            tasks: Namespace, id, task, number of writes, number of those replaced in place.
            shortened: Namespaces.
        """
        parents = {Place(ns, one): parent or None for ns, one, parent in places}
        # Writes whose checkpoint never came are nobody's.
        counts = [
            (Place(ns, one), *counted) for ns, one, *counted in tasks if Place(ns, one) in parents
        ]
        return cls(
            parents,
            {(place, task): count for place, task, count, _ in counts},
            frozenset(place for place, _, _, replaced in counts if replaced),
            frozenset(shortened),
        )

    @property
    def writes(self) -> int:
        """How many pending writes there are."""
        return sum(self.tasks.values())

    def oldest_first(self) -> list[Place]:
        """Every checkpoint behind its parent, and the root namespace before those of subgraphs."""
        ordered: dict[Place, None] = {}
        for place in sorted(self.parents):
            line: list[Place] = []
            each: Place | None = place
            # As a rule the parent has a smaller id and stands there already.
            while each is not None and each not in ordered and each not in line:
                line.append(each)
                each = self.parent_of(each)
            ordered.update(dict.fromkeys(reversed(line)))
        return list(ordered)

    def parent_of(self, place: Place) -> Place | None:
        """A checkpoint's parent, if it is stored."""
        parent = self.parents[place]
        found = Place(place.checkpoint_ns, parent) if parent is not None else None
        return found if found in self.parents else None


@dataclass(frozen=True)
class Found:
    """A checkpoint that was read.

    Attributes:
        place: Which one it is.
        parent_id: Its parent's id, if it has one.
        checkpoint: The checkpoint with its values.
        metadata: Its metadata.
        writes: Its pending writes, in the order in which a run applies them.
        since: When the thread was made, if that is known otherwise than by its checkpoints.
    """

    place: Place
    parent_id: str | None
    checkpoint: dict[str, Any]
    metadata: dict[str, Any]
    writes: Sequence[Write]
    since: datetime | None = None

    @property
    def channels(self) -> dict[str, Any]:
        """The version of every channel; None for one that has a value only."""
        return {
            **dict.fromkeys(self.checkpoint["channel_values"]),
            **self.checkpoint["channel_versions"],
        }

    def changed_since(self, before: Found | None) -> dict[str, Any]:
        """The channels to store anew on top of another checkpoint, with their versions.

        Two savers' words are not taken for it that equal versions are equal values: a channel is
        taken over only if it was read as the very same object.
        """
        if before is None:
            return self.channels
        versions, old_values = before.channels, before.checkpoint["channel_values"]
        return {
            channel: version
            for channel, version in self.channels.items()
            if versions.get(channel, _NONE) != version
            or self.checkpoint["channel_values"].get(channel, _NONE)
            is not old_values.get(channel, _NONE)
        }

    @property
    def created_at(self) -> datetime | None:
        """When it was made, by its own account; None if that is no time."""
        try:
            moment = datetime.fromisoformat(self.checkpoint["ts"].replace("Z", "+00:00"))
        except (KeyError, ValueError, AttributeError):
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)

    @property
    def pending_writes(self) -> list[PendingWrite]:
        """The writes as LangGraph is handed them."""
        return [(write.task_id, write.channel, write.value) for write in self.writes]

    def with_sends(self, parents_writes: Sequence[Write]) -> Found:
        """What LangGraph is to be handed: in formats before 4, sends lie with the parent."""
        sends = [write.value for write in parents_writes if write.channel == TASKS]
        if not sends:
            return self
        versions = dict(self.checkpoint["channel_versions"])
        versions[TASKS] = max(versions.values()) if versions else next_version(None)
        values = {**self.checkpoint["channel_values"], TASKS: sends}
        checkpoint = {**self.checkpoint, "channel_versions": versions, "channel_values": values}
        return Found(self.place, self.parent_id, checkpoint, self.metadata, self.writes)

    @property
    def wants_sends(self) -> bool:
        """Whether its sends lie with its parent."""
        return (
            self.parent_id is not None
            and self.checkpoint.get("v", FORMAT_WITH_SENDS) < FORMAT_WITH_SENDS
        )


_NONE = object()


def in_order(writes: Iterable[Write]) -> list[Write]:
    """Writes in the order in which a run applies them."""
    return sorted(writes, key=lambda w: writes_sort_key(w.task_path, w.task_id, w.idx))


class UnreadableError(DeserializationError):
    """A source holds a value that its serializer can't build."""

    def __init__(self, message: str, channel: str | None = None) -> None:
        super().__init__(message)
        self.channel = channel


class ThreadReader(ABC):
    """Reads one thread, as it was at one moment."""

    @abstractmethod
    def contents(self) -> Contents:
        """What there is of it; empty if there is no such thread."""

    @abstractmethod
    def read(self, place: Place) -> Found:
        """Read a checkpoint.

        Raises:
            UnreadableError: A value can't be built.
        """

    @abstractmethod
    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint.

        Raises:
            UnreadableError: A value can't be built.
        """

    def made(self, place: Place) -> bool:  # noqa: ARG002 -- for those that do
        """Whether a checkpoint that is not there (any more) is one that an earlier import made."""
        return False


class ThreadToFill(ABC):
    """A thread that another saver's thread is copied to."""

    @abstractmethod
    def contents(self, wanted: Contents) -> Contents:
        """What there is of it (in the namespaces that are wanted, at least); makes nothing."""

    def begin(self) -> None:  # noqa: B027 -- not for all
        """Clear the way for a thread that is not there."""

    @abstractmethod
    def put(self, found: Found, changed: Mapping[str, Any]) -> None:
        """Store a checkpoint, these channels of it anew."""

    @abstractmethod
    def put_writes(self, place: Place, writes: Sequence[Write]) -> None:
        """Store what tasks wrote at a checkpoint."""

    @abstractmethod
    def writes(self, place: Place) -> list[Write]:
        """Read what tasks wrote at a checkpoint."""

    @abstractmethod
    def load(self, place: Place) -> CheckpointTuple | None:
        """Read a checkpoint back."""

    def finish(self, since: datetime | None) -> None:  # noqa: B027 -- not for all
        """End a copy of a thread that was made at that time, if that is known."""

    @abstractmethod
    def discard(self) -> None:
        """Remove what was stored of it."""


class Reader(Protocol):
    """An opened source."""

    def count(self) -> int:
        """How many threads there are."""
        ...

    def thread_ids(self) -> Iterator[str]:
        """The threads' ids."""
        ...

    def thread(self, thread_id: str) -> AbstractContextManager[ThreadReader]:
        """Read a thread, as it is at one moment if that can be had."""
        ...


class Source(Protocol):
    """Where threads are read; nothing is ever written there."""

    @property
    def label(self) -> str:
        """What it is, for messages: without a password."""
        ...

    def open(self) -> AbstractContextManager[Reader]:
        """Open it, for as long as the block lasts."""
        ...
