"""What has to hold of the tables at any moment, whatever was done or broken off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import psycopg

from helpers import Driven
from langgraph_pg_snapshot._plans.codec import Blob, Codec

# Each table, or the part of it that is looked at. (Not materialized, so that indexes are used.)
PART = """{table} AS NOT MATERIALIZED (
    SELECT * FROM agent_checkpoints_{table}
    WHERE %(threads)s::text[] IS NULL OR thread_id = ANY (%(threads)s::text[]))"""
TABLES = ("threads", "history", "items", "writes", "metadata")
PARTS = "WITH " + ", ".join(PART.format(table=table) for table in TABLES)

# By name, a query for rows that should not be there.
NEVER = {
    "thread without a checkpoint": """
        SELECT thread_id, checkpoint_ns FROM threads
        EXCEPT SELECT thread_id, checkpoint_ns FROM history""",
    "checkpoint without its thread": """
        SELECT thread_id, checkpoint_ns FROM history
        EXCEPT SELECT thread_id, checkpoint_ns FROM threads""",
    "item without its thread": """
        SELECT thread_id, checkpoint_ns FROM items
        EXCEPT SELECT thread_id, checkpoint_ns FROM threads""",
    "metadata without its thread": """
        SELECT thread_id, '' FROM metadata
        EXCEPT SELECT thread_id, checkpoint_ns FROM threads""",
    "item that no checkpoint references": """
        SELECT i.thread_id, i.checkpoint_ns, i.item_id FROM items AS i
        WHERE NOT EXISTS (
            SELECT 1 FROM history AS h
            WHERE h.thread_id = i.thread_id AND h.checkpoint_ns = i.checkpoint_ns
                AND h.items @> i.item_id)""",
    "checkpoint whose items are not all there": """
        SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.items::text FROM history AS h
        WHERE (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(h.items) AS r) <> (
            SELECT count(*) FROM items AS i
            WHERE i.thread_id = h.thread_id AND i.checkpoint_ns = h.checkpoint_ns
                AND h.items @> i.item_id)""",
    "checkpoint that counts its items wrongly": """
        SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.item_count FROM history AS h
        WHERE h.item_count
            <> (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(h.items) AS r)""",
    "checkpoint whose values name other items": """
        SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.channel_values::text, h.items::text
        FROM history AS h CROSS JOIN LATERAL (
            SELECT coalesce(range_agg(int8range(run.first, run.beyond)), '{}') AS items
            FROM jsonb_each(h.channel_values) AS c (channel, tree) CROSS JOIN LATERAL (
                SELECT (c.tree ->> '$item')::bigint, (c.tree ->> '$item')::bigint + 1
                UNION ALL
                SELECT (r ->> 0)::bigint, (r ->> 1)::bigint
                FROM jsonb_array_elements(coalesce(c.tree -> '$list', c.tree -> '$dict')) AS r
            ) AS run (first, beyond)
            WHERE run.first IS NOT NULL) AS named
        WHERE named.items <> h.items""",
    "checkpoint whose parent is not there": """
        SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id
        FROM history AS h
        WHERE h.parent_checkpoint_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM history AS p
            WHERE p.thread_id = h.thread_id AND p.checkpoint_ns = h.checkpoint_ns
                AND p.checkpoint_id = h.parent_checkpoint_id)""",
    "item number that the log has yet to give": """
        SELECT i.thread_id, i.checkpoint_ns, i.item_id, t.next_items::text
        FROM items AS i JOIN threads AS t USING (thread_id, checkpoint_ns)
        WHERE NOT EXISTS (
            SELECT 1 FROM jsonb_each_text(t.next_items) AS n (owner, next)
            WHERE n.next::bigint / 1000000000 = i.item_id / 1000000000
                AND n.next::bigint > i.item_id)""",
    "log that gave another number of items": """
        SELECT t.thread_id, t.checkpoint_ns, t.appended, t.next_items::text FROM threads AS t
        WHERE t.appended <> (
            SELECT coalesce(sum(n.next::bigint %% 1000000000 - 1), 0)
            FROM jsonb_each_text(t.next_items) AS n (owner, next))""",
}  # fmt: skip
# Runs save in the background, so these may be left when a process dies before the other part of
# them is stored. `sweep` removes them a day later.
EARLY = {
    "pending write without its checkpoint": """
        SELECT thread_id, checkpoint_ns, checkpoint_id FROM writes
        EXCEPT SELECT thread_id, checkpoint_ns, checkpoint_id FROM history""",
    "subgraph without its thread": """
        SELECT thread_id, '' FROM threads EXCEPT SELECT thread_id, checkpoint_ns FROM threads""",
}
ITEMS = """
    SELECT thread_id, checkpoint_ns, item_id, digest, item::text, blob_type, blob FROM items
    WHERE digest IS NOT NULL"""
THREAD_IDS = "SELECT thread_id FROM threads UNION SELECT thread_id FROM writes"


def violations(
    dsn: str,
    calls: Driven,
    threads: Sequence[str] | None = None,
    *,
    early: bool = False,
) -> dict[str, list[Any]]:
    """What is wrong in these threads, or in all: nothing, if all is well.

    Besides the rows, each stored value is loaded, and each digest is made anew.

    Args:
        dsn: The database.
        calls: A saver on it, with the serializer that was used.
        threads: Which threads; None: all.
        early: Whether what runs store early may be there without its other part.
    """
    with psycopg.connect(dsn) as conn:
        wanted = {"threads": None if threads is None else list(threads)}

        def rows(query: str) -> list[Any]:
            return conn.execute(f"{PARTS} {query}", wanted).fetchall()

        found = {name: rows(query) for name, query in (NEVER if early else NEVER | EARLY).items()}
        items, thread_ids = rows(ITEMS), rows(THREAD_IDS)
    codec = calls.saver._store.codec
    found["item with another's digest"] = [
        key for *key, digest, item, blob_type, blob in items
        if _digest(codec, item, blob_type, blob) != digest
    ]  # fmt: skip
    found["value that can't be loaded"] = [
        (thread_id, value) for (thread_id,) in thread_ids for value in calls.check(thread_id)
    ]
    return {name: rows for name, rows in found.items() if rows}


def _digest(codec: Codec, item: str | None, blob_type: str, blob: bytes) -> bytes:
    if item is None:
        return codec._digest(Blob(blob_type, blob))
    return codec.piece(codec.load_json(orjson.loads(item))).digest
