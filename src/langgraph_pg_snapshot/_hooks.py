"""LangGraph's hooks: what a graph calls while it runs, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)

from langgraph_pg_snapshot._base import SaverBase
from langgraph_pg_snapshot._calls import hooks as calls
from langgraph_pg_snapshot._plans.listing import Page

# Checkpoints with more items than this are built off the event loop's thread when it is listed.
HEAVY_ITEMS = 200


class LangGraphHooks(SaverBase):
    """The methods of `BaseCheckpointSaver`, part of `PostgresSnapshotSaver`."""

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, whose parent is the one that config names. Idempotent.

        Args:
            config: Names thread, namespace and parent; its metadata is stored, too.
            checkpoint: The checkpoint; it is not changed.
            metadata: Its metadata.
            new_versions: The channels that changed, with their new versions.

        Returns:
            The config that names the stored checkpoint.

        Raises:
            InvalidArgumentError: An id is missing or not usable.
            SerializationError: A value can't be stored; nothing was.
            ConcurrentWriteError: Other writers on the thread were faster, time after time.
            ConcurrentUpdateError: (``on_conflict="raise"``) Its parent is not the newest any more.
            LeaseLostError: The block around it (`exclusive`) does not hold the thread any more.
            StorageError: The database refused or failed.
        """
        call, following = calls.put(self._store, config, checkpoint, metadata, new_versions)
        self._run(call)
        return following

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Like `put`."""
        call, following = calls.put(self._store, config, checkpoint, metadata, new_versions)
        await self._arun(call)
        return following

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote after a checkpoint, which need not be stored yet.

        Idempotent: a retried task's writes keep their first version, errors and interrupts their
        last.

        Args:
            config: Names thread, namespace and checkpoint.
            writes: (channel, value) pairs.
            task_id: The task.
            task_path: The task's path; pending writes are read back in its order.

        Raises:
            InvalidArgumentError: An id is missing or not usable.
            SerializationError: A value can't be stored; nothing was.
            LeaseLostError: The block around it (`exclusive`) does not hold the thread any more.
            StorageError: The database refused or failed.
        """
        self._run(calls.put_writes(self._store, config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Like `put_writes`."""
        await self._arun(calls.put_writes(self._store, config, writes, task_id, task_path))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Read a checkpoint with its pending writes.

        Args:
            config: Names thread, namespace and checkpoint; without an id it is the newest one.

        Returns:
            The checkpoint, or None if there is none.

        Raises:
            InvalidArgumentError: An id is missing or not usable.
            DeserializationError: A stored value can't be built; the message says which and why.
            StorageError: The database refused or failed.
        """
        return self._run(calls.get_tuple(self._store, config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Like `get_tuple`."""
        return await self._arun(calls.get_tuple(self._store, config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Read checkpoints, newest first. No connection is held while the caller iterates.

        Args:
            config: Names the thread; its namespace, if it has the key (otherwise every one); a
                checkpoint, if only that one is wanted. None means every thread.
            filter: Metadata that they must have; None matches a missing key, too.
            before: Only checkpoints before the one that this config names.
            limit: At most so many; None (default) means all.

        Raises:
            InvalidArgumentError: An argument is not usable.
            DeserializationError: A stored value can't be built.
            StorageError: The database refused or failed.
        """
        listing = calls.Lister(self._store, config, filter, before, limit)
        return self._iterate(listing)

    def _iterate(self, listing: calls.Lister) -> Iterator[CheckpointTuple]:
        while entries := self._run(listing.next_page()):
            page = Page(entries)
            while found := listing.build(page):
                yield from found

    def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 -- LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Like `list`."""
        listing = calls.Lister(self._store, config, filter, before, limit)
        return self._aiterate(listing)

    async def _aiterate(self, listing: calls.Lister) -> AsyncIterator[CheckpointTuple]:
        while entries := await self._arun(listing.next_page()):
            page = Page(entries)
            while found := await _build(listing, page):
                for each in found:
                    yield each

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What DeltaChannels are rebuilt from.

        The writes of a checkpoint's ancestors, oldest first, back to the nearest stored value,
        which is the ``seed``. One or two statements.

        Args:
            config: Names the checkpoint; its own writes are not included.
            channels: The channels to rebuild.

        Raises:
            InvalidArgumentError: An argument is not usable.
            DeserializationError: A stored value can't be built.
            StorageError: The database refused or failed.
        """
        return self._run(calls.get_delta_history(self._store, config, channels))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Like `get_delta_channel_history`."""
        return await self._arun(calls.get_delta_history(self._store, config, channels))

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread with all its namespaces. One that does not exist is no error.

        Raises:
            InvalidArgumentError: The id is not usable.
            StorageError: The database refused or failed; nothing was removed.
        """
        self._run(calls.delete_thread(self._store, thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """Like `delete_thread`."""
        await self._arun(calls.delete_thread(self._store, thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints and pending writes of these runs, by ``run_id``, in every thread.

        Those that don't exist are no error. Children are left without a parent. A write is its
        run's if the config that it was put with says so; one without a ``run_id`` goes with its
        checkpoint only. It waits for who is writing at that moment, for half a minute at most. What
        comes later with such a ``run_id`` is not stored, in any thread: use each only once.

        Raises:
            InvalidArgumentError: run_ids is no sequence of str (a single str is refused as well).
            ConcurrentWriteError: Something of them may be left; call it again.
            StorageError: The database refused or failed; nothing was removed.
        """
        self._run(calls.delete_for_runs(self._store, run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Like `delete_for_runs`."""
        await self._arun(calls.delete_for_runs(self._store, run_ids))

    def copy_thread(
        self, source_thread_id: str, target_thread_id: str, *, head_only: bool = False
    ) -> None:
        """Copy a thread inside the server: every namespace, checkpoint, parent and pending write.

        Doing it again brings the copy up to date, as long as it was not used as a thread of its
        own. A source that does not exist copies nothing.

        Args:
            source_thread_id: The thread to copy.
            target_thread_id: The copy; afterwards it is what a copy into a new thread would be.
            head_only: Copy only what ``prune`` with "keep_latest" would keep: the newest checkpoint
                of each namespace, without a parent, with its pending writes and the ancestors that
                its DeltaChannels are rebuilt from. False (default) copies the whole history.

        Raises:
            InvalidArgumentError: An argument is not usable, or the target has checkpoints or
                pending writes that the source has not; nothing was changed.
            StorageError: The database refused or failed; nothing was changed.
        """
        self._run(
            calls.copy_thread(self._store, source_thread_id, target_thread_id, head_only=head_only)
        )

    async def acopy_thread(
        self, source_thread_id: str, target_thread_id: str, *, head_only: bool = False
    ) -> None:
        """Like `copy_thread`."""
        await self._arun(
            calls.copy_thread(self._store, source_thread_id, target_thread_id, head_only=head_only)
        )

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Shorten or remove threads.

        Args:
            thread_ids: The threads; those that don't exist are no error.
            strategy: "keep_latest" (default) keeps the newest checkpoint of each namespace with its
                pending writes, and the ancestors that its DeltaChannels are rebuilt from; finished
                subgraph calls go. "delete" removes everything.

        Raises:
            InvalidArgumentError: The strategy is unknown (a ValueError), or thread_ids is no
                sequence of str (a TypeError; a single str is refused as well).
            StorageError: The database refused or failed.
        """
        self._run(calls.prune(self._store, thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Like `prune`."""
        await self._arun(calls.prune(self._store, thread_ids, strategy))


async def _build(listing: calls.Lister, page: Page) -> list[CheckpointTuple]:
    if page.size <= HEAVY_ITEMS:
        return listing.build(page)
    return await asyncio.to_thread(listing.build, page)
