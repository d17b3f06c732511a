-- Statements that look at threads without reading their values: the directory, history, statistics.

-- name: list_threads_newest
-- A page of the directory, the most recently updated thread first. A page has 1,000 threads at most,
-- as a constant: of a parameter in a prepared statement the planner knows nothing, takes it for a tenth
-- of all threads, and might sort them all.
SELECT {thread_info}
FROM (
    SELECT page.* FROM (
        SELECT t.* FROM ({some_threads}) AS t
        ORDER BY t.updated_at DESC, t.thread_id DESC
        LIMIT 1000
    ) AS page
    LIMIT %(limit)s::bigint
) AS t
{thread_details}
ORDER BY t.updated_at DESC, t.thread_id DESC

-- name: list_threads_oldest
-- The same, the least recently updated thread first.
SELECT {thread_info}
FROM (
    SELECT page.* FROM (
        SELECT t.* FROM ({some_threads}) AS t
        ORDER BY t.updated_at, t.thread_id
        LIMIT 1000
    ) AS page
    LIMIT %(limit)s::bigint
) AS t
{thread_details}
ORDER BY t.updated_at, t.thread_id

-- name: some_threads
-- (Part of a statement.) The threads to choose from.
SELECT t.thread_id, t.created_at, t.updated_at
FROM {threads} AS t
WHERE t.checkpoint_ns = '' AND {which}

-- name: thread_info
-- (Part of a statement.) What the directory says of thread t.
t.thread_id, t.created_at, t.updated_at, counted.checkpoints, said.metadata::text,
head.metadata::text, head.sealed_type, head.sealed

-- name: thread_details
-- (Part of a statement.) Of thread t: how many checkpoints its root namespace has, the newest one's
-- metadata, and what its runs said of it.
CROSS JOIN LATERAL (
    SELECT count(*) AS checkpoints FROM {history} AS h
    WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = ''
) AS counted
LEFT JOIN LATERAL (
    SELECT h.metadata, h.sealed_type, h.sealed FROM {history} AS h
    WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = ''
    ORDER BY h.checkpoint_id DESC
    LIMIT 1
) AS head ON true
LEFT JOIN {metadata} AS said ON said.thread_id = t.thread_id

-- name: which_newer
-- (Condition.) Threads that follow in the order of the oldest first.
(t.updated_at, t.thread_id) > (%(last_updated_at)s::timestamptz, %(last_thread_id)s::text)

-- name: which_older
-- (Condition.) Threads that follow in the order of the newest first.
(t.updated_at, t.thread_id) < (%(last_updated_at)s::timestamptz, %(last_thread_id)s::text)

-- name: count_said
-- Of how many threads runs said these values; counted up to a number, above which it is many.
SELECT count(*) FROM (
    SELECT 1 FROM {metadata} AS m WHERE {said} LIMIT 10001
) AS found

-- name: said
-- (Condition.) What runs said of thread m has just these values.
m.metadata @> %(contained)s::jsonb AND NOT EXISTS (
    SELECT 1 FROM jsonb_each(%(contained)s::jsonb) AS wanted (key, value)
    WHERE m.metadata -> wanted.key <> wanted.value)

-- name: which_said_of_few
-- (Condition, the last one.) Threads of which runs said these values, looked up first, and then by
-- their keys. The planner can't tell few from many; the array and the OFFSET keep it from going
-- through all threads in their order, in the belief that many of them match.
t.thread_id = ANY (ARRAY(SELECT m.thread_id FROM {metadata} AS m WHERE {said})) OFFSET 0

-- name: which_said_of_many
-- (Condition.) The same, looking at one thread after the other.
(SELECT {said} FROM {metadata} AS m WHERE m.thread_id = t.thread_id)

-- name: which_unsaid
-- (Condition.) Threads of which runs said nothing, or null, under these keys; one thread after the
-- other, not as a join of all.
(SELECT count(*) = 0 FROM {metadata} AS m, jsonb_each(m.metadata) AS said (key, value)
 WHERE m.thread_id = t.thread_id AND said.key = ANY (%(absent)s::text[])
    AND said.value <> 'null')

-- name: history
-- Checkpoints of a namespace without their values, newest first.
SELECT h.checkpoint_id, h.parent_checkpoint_id, h.created_at, h.metadata::text, h.sealed_type,
    h.sealed, h.header ->> 'updated_channels'
FROM {history} AS h
WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
    AND {which}
ORDER BY h.checkpoint_id DESC
LIMIT %(limit)s::bigint

-- name: history_steps
-- What happened at the newest checkpoints of a namespace, as the view of steps tells it, newest first;
-- beside each, how many checkpoints there are. One row without a step: none are wanted, or there are none.
SELECT counted.checkpoints, s.checkpoint_id, s.parent_checkpoint_id, s.created_at, s.step, s.source,
    s.nodes, s.changed_channels, s.is_interrupted, s.is_waiting, s.interrupts::text, s.error, s.run_id,
    s.is_newest
FROM (
    SELECT count(*) AS checkpoints FROM {history} AS h
    WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
) AS counted
LEFT JOIN {steps} AS s
    ON s.thread_id = %(thread_id)s::text AND s.checkpoint_ns = %(checkpoint_ns)s::text
    AND s.checkpoint_id = ANY (ARRAY(
        SELECT h.checkpoint_id FROM {history} AS h
        WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
        ORDER BY h.checkpoint_id DESC
        LIMIT %(limit)s::bigint))
ORDER BY s.checkpoint_id DESC

-- name: has_sealed_metadata
-- Whether a serializer that encrypts stored metadata, which SQL then can't see.
SELECT EXISTS (SELECT 1 FROM {history} AS h WHERE h.sealed IS NOT NULL)

-- name: get_channel
-- How one channel of a checkpoint lies, whether it is a DeltaChannel, and the log's epoch.
SELECT (h.channel_values -> %(channel)s::text)::text,
    h.header -> 'channel_versions' ? %(channel)s::text
        AND coalesce(h.metadata -> 'counters_since_delta_snapshot' ? %(channel)s::text, false),
    ({epoch})
FROM {history} AS h
WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
    AND {which}
ORDER BY h.checkpoint_id DESC
LIMIT 1

-- name: table_sizes
-- What each table takes on disk: all, and the part that is its indexes.
SELECT c.relname, pg_total_relation_size(c.oid), pg_indexes_size(c.oid)
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, position)
JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass(wanted.name) AND c.relkind <> 'v'
ORDER BY wanted.position

-- name: largest_threads
-- The ten threads with the most bytes, each beside the sums over all threads. Reads every row, but
-- of a value that is kept out of its row (TOAST) only how long it is.
SELECT each.thread_id, each.checkpoints, each.items, each.writes, each.bytes,
    count(*) FILTER (WHERE each.checkpoints > 0) OVER (),
    sum(each.checkpoints) OVER ()::bigint, sum(each.items) OVER ()::bigint,
    sum(each.writes) OVER ()::bigint
FROM (
    SELECT part.thread_id, sum(part.checkpoints)::bigint AS checkpoints,
        sum(part.items)::bigint AS items, sum(part.writes)::bigint AS writes,
        sum(part.bytes)::bigint AS bytes
    FROM (
        SELECT h.thread_id, count(*) AS checkpoints, 0 AS items, 0 AS writes,
            sum(pg_column_size(h.header) + pg_column_size(h.metadata)
                + coalesce(pg_column_size(h.sealed), 0) + pg_column_size(h.channel_values)
                + pg_column_size(h.items)) AS bytes
        FROM {history} AS h GROUP BY h.thread_id
        UNION ALL
        SELECT i.thread_id, 0, count(*), 0,
            sum(coalesce(pg_column_size(i.item), pg_column_size(i.blob)))
        FROM {items} AS i GROUP BY i.thread_id
        UNION ALL
        SELECT w.thread_id, 0, 0, count(*),
            sum(coalesce(pg_column_size(w.value), pg_column_size(w.blob)))
        FROM {writes} AS w GROUP BY w.thread_id
    ) AS part
    GROUP BY part.thread_id
) AS each
ORDER BY each.bytes DESC, each.thread_id
LIMIT 10
