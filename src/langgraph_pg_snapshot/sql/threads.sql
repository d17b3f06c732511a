-- Statements on whole threads: removing, pruning, copying.

-- name: lock_threads
-- Hold writers off these threads until the transaction ends (they wait, then see that the epoch
-- changed). Always in this order, so that two such transactions can't deadlock.
SELECT t.thread_id, t.checkpoint_ns
FROM {threads} AS t
WHERE t.thread_id = ANY (%(thread_ids)s::text[])
ORDER BY t.thread_id, t.checkpoint_ns
FOR UPDATE

-- name: delete_threads
-- Remove locked threads with all that belongs to them, and their pending writes. (Rows of these
-- threads that belong to no namespace are not supposed to be there; they go, too.)
WITH gone AS MATERIALIZED (
    SELECT gone.thread_id, gone.checkpoint_ns
    FROM unnest(%(locked_threads)s::text[], %(locked_namespaces)s::text[])
        AS gone (thread_id, checkpoint_ns)
), items AS (
    DELETE FROM {items} AS i
    WHERE i.thread_id = ANY (%(thread_ids)s::text[]) AND NOT EXISTS (
        SELECT 1 FROM {threads} AS t
        WHERE t.thread_id = i.thread_id AND t.checkpoint_ns = i.checkpoint_ns
            AND (t.thread_id, t.checkpoint_ns) NOT IN (SELECT * FROM gone))
), history AS (
    DELETE FROM {history} AS h
    WHERE h.thread_id = ANY (%(thread_ids)s::text[]) AND NOT EXISTS (
        SELECT 1 FROM {threads} AS t
        WHERE t.thread_id = h.thread_id AND t.checkpoint_ns = h.checkpoint_ns
            AND (t.thread_id, t.checkpoint_ns) NOT IN (SELECT * FROM gone))
), writes AS (
    DELETE FROM {writes} AS w WHERE w.thread_id = ANY (%(thread_ids)s::text[])
), said AS (
    DELETE FROM {metadata} AS m
    WHERE m.thread_id = ANY (%(thread_ids)s::text[]) AND NOT EXISTS (
        SELECT 1 FROM {threads} AS t
        WHERE t.thread_id = m.thread_id AND t.checkpoint_ns = ''
            AND (t.thread_id, t.checkpoint_ns) NOT IN (SELECT * FROM gone))
)
DELETE FROM {threads} AS t USING gone
WHERE t.thread_id = gone.thread_id AND t.checkpoint_ns = gone.checkpoint_ns

-- name: threads_of_runs
-- The threads in which these runs left checkpoints.
SELECT DISTINCT h.thread_id FROM {history} AS h WHERE h.run_id = ANY (%(run_ids)s::text[])

-- name: checkpoints_of_runs
-- The checkpoints that these runs left in locked threads.
SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id
FROM {history} AS h
WHERE h.thread_id = ANY (%(thread_ids)s::text[]) AND h.run_id = ANY (%(run_ids)s::text[])

-- name: unsay
-- Take back what checkpoints of locked threads, which are to be removed for their run's sake, said of
-- them: each value that stands there from one of them gives way to the newest that is kept, or goes.
WITH dropped AS MATERIALIZED (
    SELECT h.thread_id, h.checkpoint_id, h.metadata
    FROM unnest(%(thread_ids)s::text[], %(namespaces)s::text[], %(checkpoint_ids)s::text[])
        AS d (thread_id, checkpoint_ns, checkpoint_id)
    JOIN {history} AS h ON h.thread_id = d.thread_id AND h.checkpoint_id = d.checkpoint_id
        AND h.checkpoint_ns = ''
    WHERE d.checkpoint_ns = ''
), unsaid AS MATERIALIZED (
    SELECT DISTINCT m.thread_id, m.key
    FROM (SELECT m.thread_id, said.key, said.value
          FROM {metadata} AS m, jsonb_each(m.metadata) AS said (key, value)
          WHERE m.thread_id IN (SELECT d.thread_id FROM dropped AS d)) AS m
    JOIN dropped AS d ON d.thread_id = m.thread_id AND d.metadata -> m.key = m.value
), kept AS MATERIALIZED (
    SELECT DISTINCT ON (h.thread_id, u.key) h.thread_id, u.key, h.metadata -> u.key AS value
    FROM unsaid AS u
    JOIN {history} AS h ON h.thread_id = u.thread_id AND h.checkpoint_ns = '' AND h.metadata ? u.key
    WHERE NOT EXISTS (
        SELECT 1 FROM dropped AS d
        WHERE d.thread_id = h.thread_id AND d.checkpoint_id = h.checkpoint_id)
    ORDER BY h.thread_id, u.key, h.checkpoint_id DESC
)
UPDATE {metadata} AS m SET metadata = (m.metadata - now.keys) || now.said
FROM (
    SELECT u.thread_id, array_agg(u.key) AS keys,
        coalesce(jsonb_object_agg(u.key, k.value) FILTER (WHERE k.key IS NOT NULL), '{{}}') AS said
    FROM unsaid AS u
    LEFT JOIN kept AS k ON k.thread_id = u.thread_id AND k.key = u.key
    GROUP BY u.thread_id
) AS now
WHERE m.thread_id = now.thread_id

-- name: namespace_heads
-- The newest checkpoint of each namespace of a thread: the parent that it reads its sends from (formats
-- before 4), the root checkpoint that its call started from and whether that one is stored, and
-- the DeltaChannels whose value must be rebuilt from ancestors.
SELECT h.checkpoint_ns, h.checkpoint_id,
    CASE WHEN (h.header ->> 'v')::integer < 4 AND EXISTS (
        SELECT 1 FROM {writes} AS w
        WHERE w.thread_id = h.thread_id AND w.checkpoint_ns = h.checkpoint_ns
            AND w.checkpoint_id = h.parent_checkpoint_id AND w.channel = '__pregel_tasks'
    ) THEN h.parent_checkpoint_id END,
    h.metadata -> 'parents' ->> '',
    EXISTS (
        SELECT 1 FROM {history} AS root
        WHERE root.thread_id = h.thread_id AND root.checkpoint_ns = ''
            AND root.checkpoint_id = h.metadata -> 'parents' ->> ''),
    ARRAY(
        SELECT delta.channel
        FROM jsonb_object_keys(CASE jsonb_typeof(h.metadata -> 'counters_since_delta_snapshot')
            WHEN 'object' THEN h.metadata -> 'counters_since_delta_snapshot' ELSE '{{}}' END)
            AS delta (channel)
        WHERE h.header -> 'channel_versions' ? delta.channel
            AND NOT h.channel_values ? delta.channel)
FROM (
    SELECT DISTINCT ON (h.checkpoint_ns) h.*
    FROM {history} AS h
    WHERE h.thread_id = %(thread_id)s::text
    ORDER BY h.checkpoint_ns, h.checkpoint_id DESC
) AS h

-- name: delta_ancestors
-- The ancestors that rebuilding these DeltaChannels of a checkpoint takes.
WITH RECURSIVE {delta_chain}
SELECT chain.checkpoint_id FROM chain WHERE chain.depth > 0

-- name: checkpoint_ids
-- Every checkpoint of a thread.
SELECT h.checkpoint_ns, h.checkpoint_id FROM {history} AS h WHERE h.thread_id = %(thread_id)s::text

-- name: drop_checkpoints
-- Remove checkpoints of locked threads, and what only they held: their pending writes, items that no
-- kept checkpoint references, a namespace that is empty then. Children are left without a parent;
-- the epoch moves on, so that no writer trusts the numbers of items that are gone.
WITH dropped AS MATERIALIZED (
    SELECT d.thread_id, d.checkpoint_ns, d.checkpoint_id
    FROM unnest(%(thread_ids)s::text[], %(namespaces)s::text[], %(checkpoint_ids)s::text[])
        AS d (thread_id, checkpoint_ns, checkpoint_id)
), kept AS MATERIALIZED (
    SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id, h.items
    FROM {history} AS h
    JOIN (SELECT DISTINCT d.thread_id, d.checkpoint_ns FROM dropped AS d) AS touched
        ON h.thread_id = touched.thread_id AND h.checkpoint_ns = touched.checkpoint_ns
    WHERE NOT EXISTS (
        SELECT 1 FROM dropped AS d
        WHERE d.thread_id = h.thread_id AND d.checkpoint_ns = h.checkpoint_ns
            AND d.checkpoint_id = h.checkpoint_id)
), touched AS MATERIALIZED (
    SELECT d.thread_id, d.checkpoint_ns, max(live.checkpoints) AS checkpoints,
        coalesce(range_agg(live.items) FILTER (WHERE live.items IS NOT NULL), '{{}}') AS items
    FROM (SELECT DISTINCT d.thread_id, d.checkpoint_ns FROM dropped AS d) AS d
    LEFT JOIN (
        SELECT k.thread_id, k.checkpoint_ns, count(*) AS checkpoints, range_agg(k.items) AS items
        FROM kept AS k GROUP BY k.thread_id, k.checkpoint_ns
    ) AS live ON live.thread_id = d.thread_id AND live.checkpoint_ns = d.checkpoint_ns
    GROUP BY d.thread_id, d.checkpoint_ns
), gone_items AS (
    DELETE FROM {items} AS i USING touched
    WHERE i.thread_id = touched.thread_id AND i.checkpoint_ns = touched.checkpoint_ns
        AND NOT touched.items @> i.item_id
), gone_writes AS (
    DELETE FROM {writes} AS w USING touched
    WHERE w.thread_id = touched.thread_id AND w.checkpoint_ns = touched.checkpoint_ns
        AND (touched.checkpoints IS NULL OR EXISTS (
            SELECT 1 FROM dropped AS d
            WHERE d.thread_id = w.thread_id AND d.checkpoint_ns = w.checkpoint_ns
                AND d.checkpoint_id = w.checkpoint_id))
), orphaned AS (
    UPDATE {history} AS h SET parent_checkpoint_id = NULL
    FROM kept AS k, dropped AS d
    WHERE h.thread_id = k.thread_id AND h.checkpoint_ns = k.checkpoint_ns
        AND h.checkpoint_id = k.checkpoint_id
        AND d.thread_id = k.thread_id AND d.checkpoint_ns = k.checkpoint_ns
        AND d.checkpoint_id = k.parent_checkpoint_id
), emptied AS (
    DELETE FROM {threads} AS t USING touched
    WHERE t.thread_id = touched.thread_id AND t.checkpoint_ns = touched.checkpoint_ns
        AND touched.checkpoints IS NULL
), said AS (
    DELETE FROM {metadata} AS m USING touched
    WHERE m.thread_id = touched.thread_id AND touched.checkpoint_ns = ''
        AND touched.checkpoints IS NULL
), moved_on AS (
    UPDATE {threads} AS t SET epoch = t.epoch + 1
    FROM touched
    WHERE t.thread_id = touched.thread_id AND t.checkpoint_ns = touched.checkpoint_ns
        AND touched.checkpoints IS NOT NULL
)
DELETE FROM {history} AS h USING dropped AS d
WHERE h.thread_id = d.thread_id AND h.checkpoint_ns = d.checkpoint_ns
    AND h.checkpoint_id = d.checkpoint_id

-- name: drop_unreferenced_items
-- Remove items of a locked namespace that no checkpoint references (any more).
WITH live AS MATERIALIZED (
    SELECT coalesce(range_agg(h.items), '{{}}') AS items
    FROM {history} AS h
    WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
), gone AS (
    DELETE FROM {items} AS i USING live
    WHERE i.thread_id = %(thread_id)s::text AND i.checkpoint_ns = %(checkpoint_ns)s::text
        AND NOT live.items @> i.item_id
)
UPDATE {threads} AS t SET epoch = t.epoch + 1
WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = %(checkpoint_ns)s::text

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
    SELECT 1 FROM {history} AS t WHERE t.thread_id = %(target)s::text AND NOT EXISTS (
        SELECT 1 FROM {history} AS s
        WHERE s.thread_id = %(source)s::text AND s.checkpoint_ns = t.checkpoint_ns
            AND s.checkpoint_id = t.checkpoint_id)
) OR EXISTS (
    SELECT 1 FROM {writes} AS t WHERE t.thread_id = %(target)s::text AND NOT EXISTS (
        SELECT 1 FROM {writes} AS s
        WHERE s.thread_id = %(source)s::text AND s.checkpoint_ns = t.checkpoint_ns
            AND s.checkpoint_id = t.checkpoint_id AND s.task_id = t.task_id AND s.idx = t.idx))

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
    ON CONFLICT (thread_id, checkpoint_ns) DO NOTHING
    RETURNING checkpoint_ns
), metadata AS (
    INSERT INTO {metadata} (thread_id, metadata)
    SELECT %(target)s::text, s.metadata
    FROM {metadata} AS s
    WHERE s.thread_id = %(source)s::text AND '' IN (SELECT checkpoint_ns FROM copied)
    ON CONFLICT (thread_id) DO UPDATE SET metadata = EXCLUDED.metadata
), items AS (
    INSERT INTO {items} (thread_id, checkpoint_ns, item_id, created_at, digest, item, blob_type, blob)
    SELECT %(target)s::text, s.checkpoint_ns, s.item_id, s.created_at, s.digest, s.item, s.blob_type,
        s.blob
    FROM {items} AS s JOIN namespaces AS n ON n.checkpoint_ns = s.checkpoint_ns
    WHERE s.thread_id = %(source)s::text AND n.items @> s.item_id
        AND s.checkpoint_ns IN (SELECT checkpoint_ns FROM copied)
), writes AS (
    INSERT INTO {writes} (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, channel,
        value, blob_type, blob, created_at)
    SELECT %(target)s::text, s.checkpoint_ns, s.checkpoint_id, s.task_id, s.idx, s.task_path,
        s.channel, s.value, s.blob_type, s.blob, s.created_at
    FROM {writes} AS s
    WHERE s.thread_id = %(source)s::text AND {is_chosen}
        AND s.checkpoint_ns IN (SELECT checkpoint_ns FROM copied)
    ON CONFLICT (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO NOTHING
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
