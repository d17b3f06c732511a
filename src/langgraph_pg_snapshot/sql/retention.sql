-- Statements that shorten threads: which checkpoints a policy keeps, what goes with the others.
-- The planner can't know how many rows a WITH brings, and takes it for few; then it may compare each with each. So
-- two of them are compared by EXCEPT or FULL JOIN, which go by a hash or by order whatever is expected, and rows
-- of a table are looked up by their keys in a LATERAL with LIMIT or OFFSET, which stays one look-up a row.

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
WITH RECURSIVE {expendable}, matched AS MATERIALIZED (
    SELECT e.thread_id, e.checkpoint_ns, e.checkpoint_id, locked.thread_id IS NOT NULL AS is_locked
    FROM expendable AS e
    FULL JOIN unnest(%(locked_threads)s::text[], %(locked_namespaces)s::text[])
        AS locked (thread_id, checkpoint_ns)
        ON e.thread_id = locked.thread_id AND e.checkpoint_ns = locked.checkpoint_ns
), dropped AS MATERIALIZED (
    SELECT m.thread_id, m.checkpoint_ns, m.checkpoint_id FROM matched AS m
    WHERE m.is_locked AND m.thread_id IS NOT NULL
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
SELECT part.thread_id, sum(part.checkpoints)::bigint, sum(part.items)::bigint,
    sum(part.writes)::bigint, sum(part.bytes)::bigint
FROM (
    SELECT h.thread_id, count(*) AS checkpoints, 0 AS items, 0 AS writes, {checkpoint_bytes} AS bytes
    FROM dropped AS d
    CROSS JOIN LATERAL (
        SELECT h.* FROM {history} AS h
        WHERE h.thread_id = d.thread_id AND h.checkpoint_ns = d.checkpoint_ns
            AND h.checkpoint_id = d.checkpoint_id
        LIMIT 1) AS h
    GROUP BY h.thread_id
    UNION ALL
    SELECT i.thread_id, 0, count(*), 0, {item_bytes}
    FROM touched
    CROSS JOIN LATERAL (
        SELECT i.* FROM {items} AS i
        WHERE i.thread_id = touched.thread_id AND i.checkpoint_ns = touched.checkpoint_ns
            AND {is_gone_item}
        OFFSET 0) AS i
    GROUP BY i.thread_id
    UNION ALL
    SELECT w.thread_id, 0, 0, count(*), {write_bytes}
    FROM dropped AS d
    CROSS JOIN LATERAL (
        SELECT w.* FROM {writes} AS w
        WHERE w.thread_id = d.thread_id AND w.checkpoint_ns = d.checkpoint_ns
            AND w.checkpoint_id = d.checkpoint_id
        OFFSET 0) AS w
    GROUP BY w.thread_id
    UNION ALL
    -- With the last checkpoint of a namespace go also the writes whose checkpoint never came
    SELECT w.thread_id, 0, 0, count(*), {write_bytes}
    FROM touched
    CROSS JOIN LATERAL (
        SELECT w.* FROM {writes} AS w
        WHERE w.thread_id = touched.thread_id AND w.checkpoint_ns = touched.checkpoint_ns
            AND NOT {is_write_of_stored}
        OFFSET 0) AS w
    WHERE touched.checkpoints = 0 AND {is_counted_write}
    GROUP BY w.thread_id
) AS part
GROUP BY part.thread_id

-- name: expendable
-- (Part of a statement.) The checkpoints of some threads that a policy does not keep, and that those
-- which stay can do without.
ranked AS MATERIALIZED (
    SELECT w.*, min(w.checkpoint_id) FILTER (WHERE w.checkpoint_ns = '' AND w.is_within)
        OVER (PARTITION BY w.thread_id) AS oldest_root
    FROM (
        SELECT r.*, (%(keep_last)s::bigint IS NULL OR r.place <= %(keep_last)s::bigint)
            AND (%(oldest)s::timestamptz IS NULL OR r.place = 1 OR r.created_at >= %(oldest)s::timestamptz)
            AS is_within
        FROM (
            SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.created_at,
                CASE WHEN strpos(h.checkpoint_ns, ':') > 0 THEN h.metadata -> 'parents' ->> '' END
                    AS called_from,
                row_number() OVER (
                    PARTITION BY h.thread_id, h.checkpoint_ns ORDER BY h.checkpoint_id DESC) AS place
            FROM {history} AS h
            WHERE h.thread_id = ANY (%(thread_ids)s::text[])
        ) AS r
    ) AS w
), calls AS MATERIALIZED (
    SELECT c.thread_id, c.checkpoint_ns, c.created_at, c.called_from, c.oldest_root,
        root.is_within AS is_root_within
    FROM (SELECT r.* FROM ranked AS r WHERE r.place = 1 AND strpos(r.checkpoint_ns, ':') > 0) AS c
    FULL JOIN (SELECT r.* FROM ranked AS r WHERE r.checkpoint_ns = '') AS root
        ON root.thread_id = c.thread_id AND root.checkpoint_id = c.called_from
), finished AS MATERIALIZED (
    -- A call of a subgraph has its task's id after a ":" in the namespace, unlike a subgraph with a memory
    -- of its own, which outlives calls. A call goes with the root checkpoint that it started
    -- from, once that is stored: runs save in the background, so a call may come first. If it is gone, or
    -- never came, the call goes after a day with those from before the oldest that stays.
    SELECT c.thread_id, c.checkpoint_ns
    FROM calls AS c
    WHERE c.thread_id IS NOT NULL AND c.is_root_within IS NOT TRUE
        AND (c.is_root_within IS NOT NULL
            OR c.created_at < now() - interval '1 day' AND c.called_from < c.oldest_root)
), memories AS MATERIALIZED (
    SELECT r.thread_id, r.checkpoint_ns FROM ranked AS r
    WHERE r.place = 1 AND r.checkpoint_ns <> '' AND strpos(r.checkpoint_ns, ':') = 0
), within AS MATERIALIZED (
    SELECT r.thread_id, r.checkpoint_ns, r.checkpoint_id, r.is_within,
        f.thread_id IS NOT NULL AS is_finished
    FROM ranked AS r
    FULL JOIN finished AS f ON f.thread_id = r.thread_id AND f.checkpoint_ns = r.checkpoint_ns
), stays (thread_id, checkpoint_ns, checkpoint_id, channel) AS (
    -- What is needed by what stays, stays, and needs for itself in turn. A row with a channel is an
    -- ancestor that this DeltaChannel is rebuilt from.
    SELECT k.thread_id, k.checkpoint_ns, k.checkpoint_id, NULL::text
    FROM within AS k
    WHERE k.is_within AND NOT k.is_finished
    UNION
    SELECT h.thread_id, more.checkpoint_ns, more.checkpoint_id, more.channel
    FROM stays AS s
    CROSS JOIN LATERAL (
        SELECT h.* FROM {history} AS h
        WHERE h.thread_id = s.thread_id AND h.checkpoint_ns = s.checkpoint_ns
            AND h.checkpoint_id = s.checkpoint_id
        LIMIT 1) AS h
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
-- (Part of a statement.) Namespaces of which some checkpoints are dropped: all their checkpoints, and which are
-- dropped, or their parents; how many stay, and the items that those reference.
judged AS MATERIALIZED (
    SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id, h.items,
        d.thread_id IS NOT NULL AS is_dropped
    FROM (
        SELECT h.* FROM (SELECT DISTINCT d.thread_id, d.checkpoint_ns FROM dropped AS d) AS n
        CROSS JOIN LATERAL (
            SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id, h.items
            FROM {history} AS h
            WHERE h.thread_id = n.thread_id AND h.checkpoint_ns = n.checkpoint_ns
            OFFSET 0) AS h
    ) AS h
    FULL JOIN dropped AS d ON d.thread_id = h.thread_id AND d.checkpoint_ns = h.checkpoint_ns
        AND d.checkpoint_id = h.checkpoint_id
), children AS MATERIALIZED (
    SELECT c.thread_id, c.checkpoint_ns, c.checkpoint_id, c.is_dropped, p.is_dropped AS is_parent_dropped
    FROM judged AS c
    FULL JOIN judged AS p ON p.thread_id = c.thread_id AND p.checkpoint_ns = c.checkpoint_ns
        AND p.checkpoint_id = c.parent_checkpoint_id
), touched AS MATERIALIZED (
    SELECT j.thread_id, j.checkpoint_ns, count(*) FILTER (WHERE NOT j.is_dropped) AS checkpoints,
        coalesce(range_agg(j.items) FILTER (WHERE NOT j.is_dropped), '{{}}') AS items
    FROM judged AS j
    WHERE j.thread_id IS NOT NULL
    GROUP BY j.thread_id, j.checkpoint_ns
)

-- name: is_gone_item
-- (Part of a statement.) No checkpoint that stays references item i.
NOT touched.items @> i.item_id

-- name: removals
-- (Part of a statement.) Remove dropped checkpoints, and what only they held: their pending writes, items
-- that no kept checkpoint references, a namespace that is empty then. Children are left without a
-- parent; the epoch moves on, so that no writer trusts the numbers of items that are gone.
gone_items AS (
    DELETE FROM {items} AS i USING touched
    WHERE i.thread_id = touched.thread_id AND i.checkpoint_ns = touched.checkpoint_ns
        AND {is_gone_item}
), gone_writes AS (
    DELETE FROM {writes} AS w USING dropped AS d
    WHERE w.thread_id = d.thread_id AND w.checkpoint_ns = d.checkpoint_ns
        AND w.checkpoint_id = d.checkpoint_id
), lost_writes AS (
    DELETE FROM {writes} AS w USING touched
    WHERE w.thread_id = touched.thread_id AND w.checkpoint_ns = touched.checkpoint_ns
        AND touched.checkpoints = 0
), parentless AS (
    UPDATE {history} AS h SET parent_checkpoint_id = NULL
    FROM children AS c
    WHERE h.thread_id = c.thread_id AND h.checkpoint_ns = c.checkpoint_ns
        AND h.checkpoint_id = c.checkpoint_id AND NOT c.is_dropped AND c.is_parent_dropped
), emptied AS (
    DELETE FROM {threads} AS t USING touched
    WHERE t.thread_id = touched.thread_id AND t.checkpoint_ns = touched.checkpoint_ns
        AND touched.checkpoints = 0
), said AS (
    DELETE FROM {metadata} AS m USING touched
    WHERE m.thread_id = touched.thread_id AND touched.checkpoint_ns = ''
        AND touched.checkpoints = 0
), moved_on AS (
    UPDATE {threads} AS t SET epoch = t.epoch + 1
    FROM touched
    WHERE t.thread_id = touched.thread_id AND t.checkpoint_ns = touched.checkpoint_ns
        AND touched.checkpoints > 0
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
