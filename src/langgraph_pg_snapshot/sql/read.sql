-- Statements that read checkpoints with their items and pending writes.
-- Two rules keep them usable on Citus: no volatile function in DO UPDATE SET, no correlated unnest().

-- name: get_checkpoint
-- One checkpoint with its pending writes, its items if they are a good part of the log (if not,
-- get_items follows), and what a writer must know to build on it. Of the items that the reader
-- holds come only the stamps.
SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id,
    h.header::text, h.metadata::text, h.sealed_type, h.sealed, h.channel_values::text,
    pending.writes, pending.blobs, sends.writes, sends.blobs,
    t.epoch, t.appended, t.next_items::text, t.appended <= 2 * h.item_count + 500 AS is_near,
    near.items, near.stamps, near.blob_ids, near.blob_types, near.blobs
FROM {history} AS h
JOIN {threads} AS t ON t.thread_id = h.thread_id AND t.checkpoint_ns = h.checkpoint_ns
LEFT JOIN LATERAL ({pending_writes}) AS pending ON true
LEFT JOIN LATERAL ({pending_sends}) AS sends ON true
LEFT JOIN LATERAL (
    SELECT {item_columns}
    FROM {items} AS i
    WHERE t.appended <= 2 * h.item_count + 500 AND i.thread_id = h.thread_id AND i.checkpoint_ns = h.checkpoint_ns
        AND i.item_id >= lower(h.items) AND i.item_id < upper(h.items) AND h.items @> i.item_id
) AS near ON true
WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
    AND {which}
ORDER BY h.checkpoint_id DESC
LIMIT 1

-- name: list_checkpoints
-- A page of checkpoints, newest first, with their pending writes; get_items brings their items.
SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id,
    h.header::text, h.metadata::text, h.sealed_type, h.sealed, h.channel_values::text,
    pending.writes, pending.blobs, sends.writes, sends.blobs, t.epoch
FROM (
    SELECT h.* FROM {history} AS h
    WHERE {which}
    ORDER BY h.checkpoint_id DESC, h.thread_id DESC, h.checkpoint_ns DESC
    LIMIT %(limit)s::integer
) AS h
JOIN {threads} AS t ON t.thread_id = h.thread_id AND t.checkpoint_ns = h.checkpoint_ns
LEFT JOIN LATERAL ({pending_writes}) AS pending ON true
LEFT JOIN LATERAL ({pending_sends}) AS sends ON true
ORDER BY h.checkpoint_id DESC, h.thread_id DESC, h.checkpoint_ns DESC

-- name: get_items
-- The items of the given runs of one thread's log; none if the log has another epoch by now: the
-- thread may have been made anew, with other items under these numbers.
SELECT {item_columns}
FROM unnest(%(starts)s::bigint[], %(ends)s::bigint[]) AS run (first, beyond)
JOIN {items} AS i ON i.thread_id = %(thread_id)s::text AND i.checkpoint_ns = %(checkpoint_ns)s::text
    AND i.item_id >= run.first AND i.item_id < run.beyond
WHERE %(epoch)s::bigint IS NULL OR %(epoch)s::bigint = ({epoch})

-- name: epoch
-- (Part of a statement.) The epoch of a log.
SELECT t.epoch FROM {threads} AS t
WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = %(checkpoint_ns)s::text

-- name: get_delta_history
-- Ancestors of a checkpoint, nearest first, each with its writes to the wanted channels and the
-- stored values of those that it is the nearest to hold; ends where every channel has one. A
-- DeltaChannel is rebuilt from that.
WITH RECURSIVE {delta_chain}
SELECT ({epoch}), ancestor.stored, pending.writes, pending.blobs
FROM chain
LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(c.channel, c.stored)::text AS stored
    FROM {history} AS h, jsonb_each(h.channel_values) AS c (channel, stored)
    WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
        AND h.checkpoint_id = chain.checkpoint_id
        AND c.channel = ANY (%(channels)s::text[]) AND NOT c.channel = ANY (chain.seeded_before)
        -- (Most hold none of them: those are not looked up again.)
        AND chain.seeded <> chain.seeded_before
) AS ancestor ON true
LEFT JOIN LATERAL (
    SELECT {write_columns}
    FROM {writes} AS w
    WHERE w.thread_id = %(thread_id)s::text AND w.checkpoint_ns = %(checkpoint_ns)s::text
        AND w.checkpoint_id = chain.checkpoint_id
        AND w.channel = ANY (%(channels)s::text[]) AND NOT w.channel = ANY (chain.seeded_before)
) AS pending ON true
WHERE chain.depth > 0
ORDER BY chain.depth

-- name: delta_chain
-- (Part of a statement.) The target and its ancestors, back to where each wanted channel has a stored
-- value: with the channels that had one before, and those that have one here or had one before.
-- (The depth is bounded: a hand-made cycle must not hang.)
target AS (
    SELECT h.checkpoint_id, h.parent_checkpoint_id
    FROM {history} AS h
    WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
        AND {which}
    ORDER BY h.checkpoint_id DESC
    LIMIT 1
), chain AS (
    SELECT 0 AS depth, target.checkpoint_id, target.parent_checkpoint_id,
        ARRAY[]::text[] AS seeded_before, ARRAY[]::text[] AS seeded
    FROM target
    UNION ALL
    SELECT chain.depth + 1, h.checkpoint_id, h.parent_checkpoint_id, chain.seeded,
        chain.seeded || ARRAY(
            SELECT wanted.channel FROM unnest(%(channels)s::text[]) AS wanted (channel)
            WHERE h.channel_values ? wanted.channel)
    FROM chain
    -- (LIMIT has it look up each parent by its whole key: without statistics a thread looks so small
    -- that all of it would be read for each one.)
    CROSS JOIN LATERAL (
        SELECT h.* FROM {history} AS h
        WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
            AND h.checkpoint_id = chain.parent_checkpoint_id
        LIMIT 1
    ) AS h
    WHERE NOT chain.seeded @> %(channels)s::text[] AND chain.depth < 1000000
)

-- name: pending_writes
-- (Part of a statement.) The pending writes of checkpoint h.
SELECT {write_columns}
FROM {writes} AS w
WHERE w.thread_id = h.thread_id AND w.checkpoint_ns = h.checkpoint_ns
    AND w.checkpoint_id = h.checkpoint_id

-- name: pending_sends
-- (Part of a statement.) Sends that the parent of checkpoint h wrote, for formats before 4, in
-- which a checkpoint has them there.
SELECT {write_columns}
FROM {writes} AS w
WHERE h.header @? '$.v ? (@ < 4)' AND w.thread_id = h.thread_id
    AND w.checkpoint_ns = h.checkpoint_ns AND w.checkpoint_id = h.parent_checkpoint_id
    AND w.channel = '__pregel_tasks'

-- name: write_columns
-- (Part of a statement.) Writes in the order in which a run applies them; blobs apart, in that order.
json_agg(json_build_array(w.task_id, w.channel, w.value, w.blob_type)
    ORDER BY w.task_path, w.task_id, w.idx)::text AS writes,
array_agg(w.blob ORDER BY w.task_path, w.task_id, w.idx)
    FILTER (WHERE w.blob IS NOT NULL) AS blobs

-- name: item_columns
-- (Part of a statement.) Items i by number: JSON ones in one text, without those that the reader
-- holds; blobs apart with their numbers; of each one its stamp: its digest (sixteen zero bytes if it
-- has none) and the transaction that wrote its row.
json_agg(i.item ORDER BY i.item_id)
    FILTER (WHERE i.blob IS NULL AND NOT %(held)s::int8multirange @> i.item_id)::text AS items,
string_agg(coalesce(i.digest, decode(repeat('00', 16), 'hex')) || xidsend(i.xmin), ''::bytea
    ORDER BY i.item_id) AS stamps,
array_agg(i.item_id ORDER BY i.item_id) FILTER (WHERE i.blob IS NOT NULL) AS blob_ids,
array_agg(i.blob_type ORDER BY i.item_id) FILTER (WHERE i.blob IS NOT NULL) AS blob_types,
array_agg(i.blob ORDER BY i.item_id) FILTER (WHERE i.blob IS NOT NULL) AS blobs

-- name: which_any
-- (Condition.) Any checkpoint (the newest one comes first).
true

-- name: which_thread
-- (Condition.) Checkpoints of one thread.
h.thread_id = %(thread_id)s::text

-- name: which_namespace
-- (Condition.) Checkpoints of one namespace.
h.checkpoint_ns = %(checkpoint_ns)s::text

-- name: which_checkpoint
-- (Condition.) The checkpoint with this id.
h.checkpoint_id = %(checkpoint_id)s::text

-- name: which_before
-- (Condition.) Checkpoints older than this id.
h.checkpoint_id < %(before)s::text

-- name: which_after_cursor
-- (Condition.) Checkpoints that follow the last one of the page before.
(h.checkpoint_id, h.thread_id, h.checkpoint_ns)
    < (%(last_checkpoint_id)s::text, %(last_thread_id)s::text, %(last_checkpoint_ns)s::text)

-- name: which_metadata
-- (Condition.) Checkpoints whose metadata has these values, None matching a missing key too.
h.metadata @> %(contained)s::jsonb AND NOT EXISTS (
    SELECT 1 FROM jsonb_each(%(filter)s::jsonb) AS wanted (key, value)
    WHERE coalesce(h.metadata -> wanted.key, 'null') <> wanted.value)
