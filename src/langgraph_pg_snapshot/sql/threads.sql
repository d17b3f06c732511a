-- Statements that copy threads.

-- name: is_chosen
-- (Part of a statement.) Rows s that a copy is to have: all, or those of the checkpoints that are named.
(NOT %(head_only)s::boolean OR (s.checkpoint_ns, s.checkpoint_id) IN (
    SELECT * FROM unnest(%(namespaces)s::text[], %(checkpoint_ids)s::text[])))

-- name: compare_threads
-- Whether a target differs from what a copy would be, and whether it has checkpoints or pending writes
-- that the source has not. (Pending writes of a namespace without checkpoints are not copied.)
SELECT EXISTS (
    SELECT 1
    FROM (
        SELECT s.* FROM {history} AS s WHERE s.thread_id = %(source)s::text AND {is_chosen}
    ) AS s
    FULL JOIN (SELECT * FROM {history} WHERE thread_id = %(target)s::text) AS t
        ON t.checkpoint_ns = s.checkpoint_ns AND t.checkpoint_id = s.checkpoint_id
    WHERE (s.header, s.metadata, s.sealed, s.channel_values)
        IS DISTINCT FROM (t.header, t.metadata, t.sealed, t.channel_values)
) OR EXISTS (
    SELECT 1
    FROM (
        SELECT s.* FROM {writes} AS s WHERE s.thread_id = %(source)s::text AND {is_chosen}
            AND s.checkpoint_ns IN (
                SELECT n.checkpoint_ns FROM {threads} AS n WHERE n.thread_id = %(source)s::text)
    ) AS s
    FULL JOIN (SELECT * FROM {writes} WHERE thread_id = %(target)s::text) AS t
        ON t.checkpoint_ns = s.checkpoint_ns AND t.checkpoint_id = s.checkpoint_id
        AND t.task_id = s.task_id AND t.idx = s.idx
    WHERE (s.channel, s.value, s.blob) IS DISTINCT FROM (t.channel, t.value, t.blob)
) OR EXISTS (
    SELECT 1 FROM {metadata} AS s WHERE s.thread_id = %(source)s::text AND NOT EXISTS (
        SELECT 1 FROM {metadata} AS t
        WHERE t.thread_id = %(target)s::text AND t.metadata = s.metadata)
), EXISTS (
    -- (EXCEPT: see the head of retention.sql.)
    SELECT t.checkpoint_ns, t.checkpoint_id
    FROM {history} AS t WHERE t.thread_id = %(target)s::text
    EXCEPT
    SELECT s.checkpoint_ns, s.checkpoint_id
    FROM {history} AS s WHERE s.thread_id = %(source)s::text
) OR EXISTS (
    SELECT t.checkpoint_ns, t.checkpoint_id, t.task_id, t.idx
    FROM {writes} AS t WHERE t.thread_id = %(target)s::text
    EXCEPT
    SELECT s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx
    FROM {writes} AS s WHERE s.thread_id = %(source)s::text)

-- name: clear_copy
-- Remove an earlier copy, in its locked namespaces. (Pending writes only where the source has them:
-- others came just now, and are not a copy's.)
WITH items AS (
    DELETE FROM {items} AS t
    WHERE t.thread_id = %(target)s::text AND t.checkpoint_ns = ANY (%(locked)s::text[])
), writes AS (
    DELETE FROM {writes} AS t USING {writes} AS s
    WHERE t.thread_id = %(target)s::text AND s.thread_id = %(source)s::text
        AND s.checkpoint_ns = t.checkpoint_ns AND s.checkpoint_id = t.checkpoint_id
        AND s.task_id = t.task_id AND s.idx = t.idx
), history AS (
    DELETE FROM {history} AS t
    WHERE t.thread_id = %(target)s::text AND t.checkpoint_ns = ANY (%(locked)s::text[])
)
DELETE FROM {threads} AS t
WHERE t.thread_id = %(target)s::text AND t.checkpoint_ns = ANY (%(locked)s::text[])

-- name: copy_thread
-- Copy a thread inside the server, or chosen checkpoints of it: with their items, under the same
-- numbers, and their pending writes; parents that are left behind are cut off. It tells whether
-- another writer was making one of the namespaces (which then was not copied).
WITH namespaces AS MATERIALIZED (
    SELECT s.checkpoint_ns, range_agg(s.items) AS items
    FROM {history} AS s
    WHERE s.thread_id = %(source)s::text AND {is_chosen}
    GROUP BY s.checkpoint_ns
), copied AS (
    INSERT INTO {threads} (thread_id, checkpoint_ns, appended, next_items, epoch)
    SELECT %(target)s::text, s.checkpoint_ns, s.appended, s.next_items, %(epoch)s::bigint
    FROM {threads} AS s JOIN namespaces AS n ON n.checkpoint_ns = s.checkpoint_ns
    WHERE s.thread_id = %(source)s::text
    ON CONFLICT ({tenant_key}thread_id, checkpoint_ns) DO NOTHING
    RETURNING checkpoint_ns
), metadata AS (
    INSERT INTO {metadata} (thread_id, metadata)
    SELECT %(target)s::text, s.metadata
    FROM {metadata} AS s
    WHERE s.thread_id = %(source)s::text AND '' IN (SELECT checkpoint_ns FROM copied)
    ON CONFLICT ({tenant_key}thread_id) DO UPDATE SET metadata = EXCLUDED.metadata
), items AS (
    INSERT INTO {items} (thread_id, checkpoint_ns, item_id, created_at, digest, item, blob_type, blob)
    SELECT %(target)s::text, s.checkpoint_ns, s.item_id, s.created_at, s.digest, s.item, s.blob_type,
        s.blob
    FROM {items} AS s JOIN namespaces AS n ON n.checkpoint_ns = s.checkpoint_ns
    WHERE s.thread_id = %(source)s::text AND n.items @> s.item_id
        AND s.checkpoint_ns IN (SELECT checkpoint_ns FROM copied)
), writes AS (
    INSERT INTO {writes} (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, run_id,
        channel, value, blob_type, blob, created_at)
    SELECT %(target)s::text, s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx, s.task_path,
        s.run_id, s.channel, s.value, s.blob_type, s.blob, s.created_at
    FROM {writes} AS s
    WHERE s.thread_id = %(source)s::text AND {is_chosen}
        AND s.checkpoint_ns IN (SELECT checkpoint_ns FROM copied)
    ON CONFLICT ({tenant_key}thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING
), history AS (
    INSERT INTO {history} (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id,
        created_at, header, metadata, sealed_type, sealed, channel_values, items, item_count)
    SELECT %(target)s::text, s.checkpoint_ns, s.checkpoint_id,
        CASE WHEN NOT %(head_only)s::boolean
            OR (s.checkpoint_ns, s.parent_checkpoint_id) IN (
                SELECT * FROM unnest(%(namespaces)s::text[], %(checkpoint_ids)s::text[]))
            THEN s.parent_checkpoint_id END,
        s.run_id, s.created_at, s.header, s.metadata, s.sealed_type, s.sealed, s.channel_values,
        s.items, s.item_count
    FROM {history} AS s
    WHERE s.thread_id = %(source)s::text AND {is_chosen}
        AND s.checkpoint_ns IN (SELECT checkpoint_ns FROM copied)
)
SELECT (SELECT count(*) FROM copied) < (SELECT count(*) FROM namespaces)
