"""What a plan needs besides its arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace

from langgraph_pg_snapshot._plans.cache import ItemCache
from langgraph_pg_snapshot._plans.codec import Codec
from langgraph_pg_snapshot._plans.held import HeldBack
from langgraph_pg_snapshot._plans.known import KnownLogs
from langgraph_pg_snapshot.sql import Queries


@dataclass(frozen=True)
class Store:
    """Where and how state is stored.

    Attributes:
        queries: The statements, with the tables' names filled in.
        codec: How values become columns.
        known: What this process knows of the threads' logs.
        cache: Items that it has read.
        held: What this process can't store yet.
        refuses_races: Whether a run is refused that builds on what is not the newest any more.
    """

    queries: Queries
    codec: Codec
    known: KnownLogs
    cache: ItemCache
    held: HeldBack
    refuses_races: bool = False

    @property
    def uncached(self) -> Store:
        """The same for who goes through everything: without items that were read before."""
        return replace(self, cache=ItemCache(0))
