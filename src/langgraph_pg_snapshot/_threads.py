"""What the saver does besides LangGraph's hooks: threads as a directory of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from langgraph_pg_snapshot._base import SaverBase
from langgraph_pg_snapshot._calls import directory
from langgraph_pg_snapshot._calls import threads as calls
from langgraph_pg_snapshot.listings import CheckpointInfo, StorageStats, ThreadInfo
from langgraph_pg_snapshot.models import UnloadableValue
from langgraph_pg_snapshot.pictures import HistoryGraph


class ThreadDirectory(SaverBase):
    """The thread-keyed methods, part of `PostgresSnapshotSaver`."""

    def save_state(self, thread_id: str, state: Mapping[str, Any]) -> str:
        """Store a thread's whole state; a graph with these channels picks it up.

        Args:
            thread_id: The thread, made if it is not there.
            state: Values by channel. Channels that it does not name have no value afterwards, and
                no task is left to run; what the thread held before stays in its history.

        Returns:
            The id of the checkpoint that holds it.

        Raises:
            InvalidArgumentError: The id is not usable, or state is no dict with str keys.
            SerializationError: A value can't be stored; nothing was.
            LeaseLostError: The block around it (`exclusive`) does not hold the thread any more.
            StorageError: The database refused or failed.
        """
        return self._run(calls.save_state(self._store, thread_id, state))

    async def asave_state(self, thread_id: str, state: Mapping[str, Any]) -> str:
        """Like `save_state`."""
        return await self._arun(calls.save_state(self._store, thread_id, state))

    def load_state(self, thread_id: str) -> dict[str, Any] | None:
        """A thread's newest state, whoever stored it; None if there is no such thread.

        Nothing is rebuilt: a DeltaChannel's value is there only if LangGraph stored a snapshot of
        it with the newest checkpoint (one in a hundred updates by default), because the reducer
        that it is rebuilt with is the graph's. ``graph.get_state(config).values`` always has it.

        Raises:
            InvalidArgumentError: The id is not usable.
            DeserializationError: A stored value can't be built.
            StorageError: The database refused or failed.
        """
        return self._run(calls.load_state(self._store, thread_id))

    async def aload_state(self, thread_id: str) -> dict[str, Any] | None:
        """Like `load_state`."""
        return await self._arun(calls.load_state(self._store, thread_id))

    def list_threads(
        self,
        *,
        limit: int | None = None,
        before: ThreadInfo | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 -- as in list()
        order: Literal["newest", "oldest"] = "newest",
    ) -> Sequence[ThreadInfo]:
        """Threads that have a checkpoint in their root namespace, by when they were updated last.

        A page costs the same wherever it is in the directory. (Counting its threads' checkpoints
        costs more the more these are.)

        Args:
            limit: At most so many; None (default) means all, read in one snapshot.
            before: The last thread of the page before, to go on after it in either order. One that
                is updated between two pages moves to the newest end.
            filter: What runs must have said of the thread (such as ``{"user_id": "ada"}``): the
                newest value of each of these keys must be this one; None matches a missing key,
                too. An index finds them. Where metadata is encrypted, each thread's newest
                checkpoint is what tells, and all threads are read until there are enough.
            order: "newest" (default) or "oldest" first.

        Raises:
            InvalidArgumentError: An argument is not usable; one of ``filter``'s keys is LangGraph's
                own word about a checkpoint (``step``, ``source``, ``run_id``, …).
            DeserializationError: Stored metadata can't be built.
            StorageError: The database refused or failed.
        """
        return self._run(directory.list_threads(self._store, limit, before, filter, order))

    async def alist_threads(
        self,
        *,
        limit: int | None = None,
        before: ThreadInfo | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 -- as in list()
        order: Literal["newest", "oldest"] = "newest",
    ) -> Sequence[ThreadInfo]:
        """Like `list_threads`."""
        return await self._arun(directory.list_threads(self._store, limit, before, filter, order))

    def history(
        self,
        thread_id: str,
        *,
        checkpoint_ns: str = "",
        limit: int | None = None,
        before: str | None = None,
    ) -> Sequence[CheckpointInfo]:
        """Checkpoints of a thread without their values, newest first; empty if there is none.

        One statement, which reads no item and no pending write. (`list` has the values.)

        Args:
            thread_id: The thread.
            checkpoint_ns: Its namespace; "" (default) is the root.
            limit: At most so many; None (default) means all.
            before: A checkpoint id: only older ones, to go on after the last one of a page.

        Raises:
            InvalidArgumentError: An argument is not usable.
            DeserializationError: Stored metadata can't be built.
            StorageError: The database refused or failed.
        """
        return self._run(directory.history(self._store, thread_id, checkpoint_ns, limit, before))

    async def ahistory(
        self,
        thread_id: str,
        *,
        checkpoint_ns: str = "",
        limit: int | None = None,
        before: str | None = None,
    ) -> Sequence[CheckpointInfo]:
        """Like `history`."""
        return await self._arun(
            directory.history(self._store, thread_id, checkpoint_ns, limit, before)
        )

    def history_graph(
        self, thread_id: str, *, checkpoint_ns: str = "", limit: int | None = 100
    ) -> HistoryGraph:
        """A picture of a thread's checkpoints and forks; without any if there is no such thread.

        It shows steps, nodes, what changed, what was asked and what failed, and where the thread
        stands. In a notebook it shows itself; ``.svg`` and ``.mermaid`` (or ``str()``) are for
        elsewhere. One statement, which reads no value of a channel.

        Args:
            thread_id: The thread.
            checkpoint_ns: Its namespace; "" (default) is the root.
            limit: At most so many checkpoints, the newest (default 100); the picture tells how many
                it leaves out. None means all.

        Raises:
            InvalidArgumentError: An argument is not usable.
            StorageError: The database refused or failed.
        """
        return self._run(directory.history_graph(self._store, thread_id, checkpoint_ns, limit))

    async def ahistory_graph(
        self, thread_id: str, *, checkpoint_ns: str = "", limit: int | None = 100
    ) -> HistoryGraph:
        """Like `history_graph`."""
        return await self._arun(
            directory.history_graph(self._store, thread_id, checkpoint_ns, limit)
        )

    def get_channel(
        self,
        thread_id: str,
        channel: str,
        *,
        last: int | None = None,
        checkpoint_id: str | None = None,
        checkpoint_ns: str = "",
        default: Any = None,
    ) -> Any:
        """The value of one channel; nothing else of the checkpoint is read.

        Args:
            thread_id: The thread.
            channel: The channel.
            last: Only the last so many elements of a list or tuple. Of a list that is stored by
                element (one longer than 256 bytes, of elements of 48 or more) only these are read.
            checkpoint_id: The checkpoint; None (default) is the newest one.
            checkpoint_ns: Its namespace; "" (default) is the root.
            default: What to return if thread, checkpoint or channel is not there. (A channel that
                holds None is there; pass something else to tell the two apart.)

        Raises:
            InvalidArgumentError: An argument is not usable, or ``last`` is given for what is no
                list or tuple.
            ChannelNotStoredError: It is a DeltaChannel, and this checkpoint holds no snapshot of
                it: only the graph can rebuild it.
            DeserializationError: The value can't be built.
            StorageError: The database refused or failed.
        """
        return self._run(
            directory.get_channel(
                self._store,
                thread_id,
                channel,
                last=last,
                checkpoint_id=checkpoint_id,
                checkpoint_ns=checkpoint_ns,
                default=default,
            )
        )

    async def aget_channel(
        self,
        thread_id: str,
        channel: str,
        *,
        last: int | None = None,
        checkpoint_id: str | None = None,
        checkpoint_ns: str = "",
        default: Any = None,
    ) -> Any:
        """Like `get_channel`."""
        return await self._arun(
            directory.get_channel(
                self._store,
                thread_id,
                channel,
                last=last,
                checkpoint_id=checkpoint_id,
                checkpoint_ns=checkpoint_ns,
                default=default,
            )
        )

    def stats(self) -> StorageStats:
        """Counts, sizes of the tables, and the ten largest threads.

        The counts are exact, so this reads every row of every thread (though not values that are
        kept out of their rows): a look from time to time, not one a request.

        Raises:
            StorageError: The database refused or failed.
        """
        return self._run(directory.stats(self._store))

    async def astats(self) -> StorageStats:
        """Like `stats`."""
        return await self._arun(directory.stats(self._store))

    def check(self, thread_id: str) -> Sequence[UnloadableValue]:
        """Try to load every value of a thread's history, as after a class was renamed or removed.

        Returns:
            What can't be loaded, and why; empty if all can, and for a thread that does not exist.

        Raises:
            InvalidArgumentError: The id is not usable.
            StorageError: The database refused or failed.
        """
        return self._run(calls.check_thread(self._store, thread_id))

    async def acheck(self, thread_id: str) -> Sequence[UnloadableValue]:
        """Like `check`."""
        return await self._arun(calls.check_thread(self._store, thread_id))
