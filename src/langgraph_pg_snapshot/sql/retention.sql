-- Statements that shorten threads: which checkpoints a policy keeps, what goes with the others.

-- name: drop_checkpoints
-- Remove these checkpoints of locked threads, and what only they held.
WITH dropped AS MATERIALIZED (
    SELECT d.thread_id, d.checkpoint_ns, d.checkpoint_id
    FROM unnest(%(thread_ids)s::text[], %(namespaces)s::text[], %(checkpoint_ids)s::text[])
        AS d (thread_id, checkpoint_ns, checkpoint_id)
), {touched}, {removals}
SELECT count(*) FROM dropped

-- name: drop_expendable
-- Remove what a policy does not keep of threads whose rows are locked, and what only that held; tells
-- what it was.
WITH RECURSIVE {expendable}, dropped AS MATERIALIZED (
    SELECT e.* FROM expendable AS e
    JOIN unnest(%(locked_threads)s::text[], %(locked_namespaces)s::text[])
        AS locked (thread_id, checkpoint_ns)
        ON e.thread_id = locked.thread_id AND e.checkpoint_ns = locked.checkpoint_ns
), {touched}, {removals}
{figures}

-- name: measure_expendable
-- What drop_expendable would remove, if it had all of these threads.
WITH RECURSIVE {expendable}, dropped AS MATERIALIZED (
    SELECT e.* FROM expendable AS e
), {touched}
{figures}

-- name: threads_with_expendable
-- Those of these threads of which a policy does not keep everything.
WITH RECURSIVE {expendable}
SELECT DISTINCT e.thread_id FROM expendable AS e

-- name: kept_checkpoints
-- The checkpoints of a thread that a policy keeps, and those that they can't be loaded without.
WITH RECURSIVE {expendable}
SELECT r.checkpoint_ns, r.checkpoint_id FROM ranked AS r
EXCEPT SELECT e.checkpoint_ns, e.checkpoint_id FROM expendable AS e

-- name: figures
-- (Part of a statement.) Checkpoints, items and pending writes that go, and the bytes of their values
-- as they are stored, by thread.
SELECT d.thread_id, h.number, i.number, w.number, h.bytes + i.bytes + w.bytes
FROM (SELECT DISTINCT d.thread_id FROM dropped AS d) AS d
CROSS JOIN LATERAL (
    SELECT count(*) AS number, {checkpoint_bytes} AS bytes
    FROM dropped AS gone
    JOIN {history} AS h ON h.thread_id = gone.thread_id AND h.checkpoint_ns = gone.checkpoint_ns
        AND h.checkpoint_id = gone.checkpoint_id
    WHERE gone.thread_id = d.thread_id) AS h
CROSS JOIN LATERAL (
    SELECT count(*) AS number, {item_bytes} AS bytes
    FROM touched
    JOIN {items} AS i ON i.thread_id = touched.thread_id
        AND i.checkpoint_ns = touched.checkpoint_ns AND {is_gone_item}
    WHERE touched.thread_id = d.thread_id) AS i
CROSS JOIN LATERAL (
    SELECT count(*) AS number, {write_bytes} AS bytes
    FROM touched
    JOIN {writes} AS w ON w.thread_id = touched.thread_id
        AND w.checkpoint_ns = touched.checkpoint_ns AND {is_gone_write} AND {is_counted_write}
    WHERE touched.thread_id = d.thread_id) AS w

-- name: expendable
-- (Part of a statement.) The checkpoints of some threads that a policy does not keep, and that those
-- which stay can do without.
ranked AS MATERIALIZED (
    SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.created_at,
        row_number() OVER (
            PARTITION BY h.thread_id, h.checkpoint_ns ORDER BY h.checkpoint_id DESC) AS place
    FROM {history} AS h
    WHERE h.thread_id = ANY (%(thread_ids)s::text[])
), within AS MATERIALIZED (
    SELECT r.thread_id, r.checkpoint_ns, r.checkpoint_id
    FROM ranked AS r
    WHERE (%(keep_last)s::bigint IS NULL OR r.place <= %(keep_last)s::bigint)
        AND (%(oldest)s::timestamptz IS NULL OR r.place = 1 OR r.created_at >= %(oldest)s::timestamptz)
), finished AS MATERIALIZED (
    -- A call of a subgraph has its task's id after a ":" in the namespace, unlike a subgraph with a memory
    -- of its own, which outlives calls. A call goes with the root checkpoint that it started
    -- from, once that is stored: runs save in the background, so a call may come first. If it is gone, or
    -- never came, the call goes after a day with those from before the oldest that stays.
    SELECT h.thread_id, h.checkpoint_ns
    FROM ranked AS r
    JOIN {history} AS h ON h.thread_id = r.thread_id AND h.checkpoint_ns = r.checkpoint_ns
        AND h.checkpoint_id = r.checkpoint_id
    LEFT JOIN ranked AS root ON root.thread_id = h.thread_id AND root.checkpoint_ns = ''
        AND root.checkpoint_id = h.metadata -> 'parents' ->> ''
    WHERE r.place = 1 AND strpos(r.checkpoint_ns, ':') > 0 AND NOT EXISTS (
        SELECT 1 FROM within AS k
        WHERE k.thread_id = root.thread_id AND k.checkpoint_ns = ''
            AND k.checkpoint_id = root.checkpoint_id)
        AND (root.checkpoint_id IS NOT NULL
            OR r.created_at < now() - interval '1 day'
            AND h.metadata -> 'parents' ->> '' < (
                SELECT min(k.checkpoint_id) FROM within AS k
                WHERE k.thread_id = h.thread_id AND k.checkpoint_ns = ''))
), memories AS MATERIALIZED (
    SELECT r.thread_id, r.checkpoint_ns FROM ranked AS r
    WHERE r.place = 1 AND r.checkpoint_ns <> '' AND strpos(r.checkpoint_ns, ':') = 0
), stays (thread_id, checkpoint_ns, checkpoint_id, channel) AS (
    -- What is needed by what stays, stays, and needs for itself in turn. A row with a channel is an
    -- ancestor that this DeltaChannel is rebuilt from.
    SELECT k.thread_id, k.checkpoint_ns, k.checkpoint_id, NULL::text
    FROM within AS k
    WHERE NOT EXISTS (
        SELECT 1 FROM finished AS f
        WHERE f.thread_id = k.thread_id AND f.checkpoint_ns = k.checkpoint_ns)
    UNION
    SELECT h.thread_id, more.checkpoint_ns, more.checkpoint_id, more.channel
    FROM stays AS s
    JOIN {history} AS h ON h.thread_id = s.thread_id AND h.checkpoint_ns = s.checkpoint_ns
        AND h.checkpoint_id = s.checkpoint_id
    CROSS JOIN LATERAL ({needed}) AS more (checkpoint_ns, checkpoint_id, channel)
), expendable AS MATERIALIZED (
    SELECT r.thread_id, r.checkpoint_ns, r.checkpoint_id FROM ranked AS r
    EXCEPT SELECT s.thread_id, s.checkpoint_ns, s.checkpoint_id FROM stays AS s
)

-- name: needed
-- (Part of a statement.) What checkpoint h, which is needed as s tells, needs in its turn.
-- DeltaChannels are rebuilt from ancestors, back to one that has the value
SELECT h.checkpoint_ns, h.parent_checkpoint_id, delta.channel
FROM (
    SELECT s.channel WHERE s.channel IS NOT NULL
    UNION
    SELECT own.channel FROM jsonb_object_keys(
        CASE jsonb_typeof(h.metadata -> 'counters_since_delta_snapshot')
            WHEN 'object' THEN h.metadata -> 'counters_since_delta_snapshot' ELSE '{{}}' END)
        AS own (channel)
    WHERE h.header -> 'channel_versions' ? own.channel
) AS delta
WHERE h.parent_checkpoint_id IS NOT NULL AND NOT h.channel_values ? delta.channel
UNION ALL
-- Formats before 4 have the sends that are to be run with the parent's writes
SELECT h.checkpoint_ns, h.parent_checkpoint_id, NULL
WHERE h.header @? '$.v ? (@ < 4)' AND EXISTS (
    SELECT 1 FROM {writes} AS w
    WHERE w.thread_id = h.thread_id AND w.checkpoint_ns = h.checkpoint_ns
        AND w.checkpoint_id = h.parent_checkpoint_id AND w.channel = '__pregel_tasks')
UNION ALL
-- Who goes on from an earlier root checkpoint finds memories as they were before it
SELECT m.checkpoint_ns, earlier.checkpoint_id, NULL
FROM memories AS m
CROSS JOIN LATERAL (
    SELECT e.checkpoint_id FROM {history} AS e
    WHERE e.thread_id = m.thread_id AND e.checkpoint_ns = m.checkpoint_ns
        AND e.checkpoint_id < h.checkpoint_id
    ORDER BY e.checkpoint_id DESC
    LIMIT 1) AS earlier
WHERE h.checkpoint_ns = '' AND m.thread_id = h.thread_id
UNION ALL
-- and from a fork, before the one that it was forked from
SELECT h.checkpoint_ns, h.parent_checkpoint_id, NULL
WHERE h.checkpoint_ns = '' AND h.metadata ->> 'source' IN ('update', 'fork') AND EXISTS (
    SELECT 1 FROM memories AS m
    JOIN {history} AS e ON e.thread_id = m.thread_id AND e.checkpoint_ns = m.checkpoint_ns
    WHERE m.thread_id = h.thread_id AND e.checkpoint_id >= h.parent_checkpoint_id
        AND e.checkpoint_id < h.checkpoint_id)

-- name: touched
-- (Part of a statement.) The checkpoints that stay in namespaces of which some are dropped, how many they
-- are there, and the items that they reference.
kept AS MATERIALIZED (
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
)

-- name: is_gone_item
-- (Part of a statement.) No checkpoint that stays references item i.
NOT touched.items @> i.item_id

-- name: is_gone_write
-- (Part of a statement.) No checkpoint that stays has the pending write w.
(touched.checkpoints IS NULL OR EXISTS (
    SELECT 1 FROM dropped AS d
    WHERE d.thread_id = w.thread_id AND d.checkpoint_ns = w.checkpoint_ns
        AND d.checkpoint_id = w.checkpoint_id))

-- name: removals
-- (Part of a statement.) Remove dropped checkpoints, and what only they held: their pending writes, items
-- that no kept checkpoint references, a namespace that is empty then. Children are left without a
-- parent; the epoch moves on, so that no writer trusts the numbers of items that are gone.
gone_items AS (
    DELETE FROM {items} AS i USING touched
    WHERE i.thread_id = touched.thread_id AND i.checkpoint_ns = touched.checkpoint_ns
        AND {is_gone_item}
), gone_writes AS (
    DELETE FROM {writes} AS w USING touched
    WHERE w.thread_id = touched.thread_id AND w.checkpoint_ns = touched.checkpoint_ns
        AND {is_gone_write}
), parentless AS (
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
), gone_checkpoints AS (
    DELETE FROM {history} AS h USING dropped AS d
    WHERE h.thread_id = d.thread_id AND h.checkpoint_ns = d.checkpoint_ns
        AND h.checkpoint_id = d.checkpoint_id
)

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
