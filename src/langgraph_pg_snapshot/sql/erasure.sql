-- Statements that remove: whole threads, and what runs left behind. Both leave a note in the table of
-- what was erased, by which a late put or write of a run that was under way is known.

-- name: lock_threads
-- Hold writers off these threads until the transaction ends (they wait, then see that the epoch
-- changed). Always in this order, so that two such transactions can't deadlock.
SELECT t.thread_id, t.checkpoint_ns
FROM {threads} AS t
WHERE t.thread_id = ANY (%(thread_ids)s::text[])
ORDER BY t.thread_id, t.checkpoint_ns
FOR UPDATE

-- name: delete_threads
-- Remove locked threads with all that belongs to them, and their pending writes, and note that they are
-- erased. (Rows of these
-- threads that belong to no namespace are not supposed to be there; they go, too.)
WITH noted AS (
    INSERT INTO {erased} AS e (thread_id, run_id, up_to)
    SELECT given.thread_id, '', (
        SELECT max(h.checkpoint_id) FROM {history} AS h WHERE h.thread_id = given.thread_id)
    FROM (SELECT DISTINCT each.thread_id FROM unnest(%(thread_ids)s::text[]) AS each (thread_id)) AS given
    WHERE %(is_noted)s::boolean
    ORDER BY given.thread_id
    ON CONFLICT ({tenant_key}thread_id, run_id) DO UPDATE SET erased_at = EXCLUDED.erased_at,
        up_to = greatest(e.up_to, EXCLUDED.up_to)
), gone AS MATERIALIZED (
    SELECT gone.thread_id, gone.checkpoint_ns
    FROM unnest(%(locked_threads)s::text[], %(locked_namespaces)s::text[])
        AS gone (thread_id, checkpoint_ns)
), made AS MATERIALIZED (
    -- What others make meanwhile stays: as a rule there is none. (NOT IN looks it up here, without a join that
    -- might read all threads.)
    SELECT t.thread_id, t.checkpoint_ns FROM {threads} AS t
    WHERE t.thread_id = ANY (%(thread_ids)s::text[])
        AND (t.thread_id, t.checkpoint_ns) NOT IN (SELECT * FROM gone)
), items AS (
    DELETE FROM {items} AS i
    WHERE i.thread_id = ANY (%(thread_ids)s::text[])
        AND (i.thread_id, i.checkpoint_ns) NOT IN (SELECT * FROM made)
), history AS (
    DELETE FROM {history} AS h
    WHERE h.thread_id = ANY (%(thread_ids)s::text[])
        AND (h.thread_id, h.checkpoint_ns) NOT IN (SELECT * FROM made)
), writes AS (
    DELETE FROM {writes} AS w WHERE w.thread_id = ANY (%(thread_ids)s::text[])
), said AS (
    DELETE FROM {metadata} AS m
    WHERE m.thread_id = ANY (%(thread_ids)s::text[])
        AND (m.thread_id, '') NOT IN (SELECT * FROM made)
), leases AS (
    -- (A thread that someone has for himself is his until he gives it back, and then nothing stays of it.)
    DELETE FROM {leases} AS l
    USING (
        SELECT free.thread_id FROM {leases} AS free
        WHERE free.thread_id = ANY (%(thread_ids)s::text[])
            AND (free.expires_at IS NULL OR free.expires_at <= now())
        FOR UPDATE SKIP LOCKED
    ) AS free
    WHERE l.thread_id = free.thread_id
)
DELETE FROM {threads} AS t USING gone
WHERE t.thread_id = gone.thread_id AND t.checkpoint_ns = gone.checkpoint_ns
    AND t.thread_id = ANY (%(thread_ids)s::text[])

-- name: note_erased_runs
-- Note that these runs are erased, wherever they are at work.
INSERT INTO {erased} AS e (thread_id, run_id)
SELECT '', given.run_id FROM unnest(%(run_ids)s::text[]) AS given (run_id)
WHERE given.run_id <> ''
GROUP BY given.run_id
ORDER BY given.run_id
ON CONFLICT ({tenant_key}thread_id, run_id) DO UPDATE SET erased_at = EXCLUDED.erased_at

-- name: note_threads_of_erased_runs
-- Note in which locked threads they left checkpoints: writes don't always say whose they are. Every
-- namespace's epoch moves on, so that a writer looks again wherever it goes on.
WITH noted AS (
    INSERT INTO {erased} AS e (thread_id, run_id)
    SELECT h.thread_id, h.run_id
    FROM {history} AS h
    WHERE h.thread_id = ANY (%(thread_ids)s::text[]) AND h.run_id = ANY (%(run_ids)s::text[])
        AND h.run_id <> ''
    GROUP BY h.thread_id, h.run_id
    ORDER BY h.thread_id, h.run_id
    ON CONFLICT ({tenant_key}thread_id, run_id) DO UPDATE SET erased_at = EXCLUDED.erased_at
)
UPDATE {threads} AS t SET epoch = t.epoch + 1
FROM unnest(%(locked_threads)s::text[], %(locked_namespaces)s::text[])
    AS locked (thread_id, checkpoint_ns)
WHERE t.thread_id = locked.thread_id AND t.checkpoint_ns = locked.checkpoint_ns

-- name: writers_under_way
-- The transactions (virtual ids, which are not given twice) that write to these tables at this moment.
-- A statement holds its locks before it looks at the rows, so whoever began before something was noted
-- and can't see it is among them, or has ended.
SELECT DISTINCT l.virtualtransaction
FROM pg_catalog.pg_locks AS l
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
    AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (
        SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
    AND l.relation IN (
        SELECT to_regclass(written.name) FROM unnest(%(names)s::text[]) AS written (name))

-- name: pause
-- Let a moment pass.
SELECT pg_sleep(%(seconds)s::double precision)

-- name: threads_of_runs
-- The threads in which these runs left checkpoints or pending writes.
SELECT h.thread_id FROM {history} AS h WHERE h.run_id = ANY (%(run_ids)s::text[])
UNION
SELECT w.thread_id FROM {writes} AS w WHERE w.run_id = ANY (%(run_ids)s::text[])

-- name: drop_writes_of_runs
-- Remove the pending writes that these runs left in locked threads, on whosever checkpoints.
DELETE FROM {writes} AS w
WHERE w.thread_id = ANY (%(thread_ids)s::text[]) AND w.run_id = ANY (%(run_ids)s::text[])

-- name: checkpoints_of_runs
-- The checkpoints that these runs left in locked threads.
SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id
FROM {history} AS h
WHERE h.thread_id = ANY (%(thread_ids)s::text[]) AND h.run_id = ANY (%(run_ids)s::text[])

-- name: unsay
-- Take back what checkpoints of locked threads, which are to be removed for their run's sake, said of
-- them: each value that stands there from one of them gives way to the newest that is kept, or goes.
WITH dropped AS MATERIALIZED (
    SELECT d.thread_id, d.checkpoint_id
    FROM unnest(%(thread_ids)s::text[], %(namespaces)s::text[], %(checkpoint_ids)s::text[])
        AS d (thread_id, checkpoint_ns, checkpoint_id)
    WHERE d.checkpoint_ns = ''
), judged AS MATERIALIZED (
    -- (FULL JOIN, and INTERSECT below: see the head of retention.sql.)
    SELECT h.thread_id, h.checkpoint_id, said.key, said.value, d.thread_id IS NOT NULL AS is_dropped
    FROM (
        SELECT h.* FROM (SELECT DISTINCT d.thread_id FROM dropped AS d) AS n
        CROSS JOIN LATERAL (
            SELECT h.thread_id, h.checkpoint_id, h.metadata - {step_metadata} AS metadata
            FROM {history} AS h
            WHERE h.thread_id = n.thread_id AND h.checkpoint_ns = ''
            OFFSET 0) AS h
    ) AS h
    FULL JOIN dropped AS d ON d.thread_id = h.thread_id AND d.checkpoint_id = h.checkpoint_id
    LEFT JOIN LATERAL jsonb_each(h.metadata) AS said (key, value) ON true
), unsaid AS MATERIALIZED (
    SELECT j.thread_id, j.key, j.value FROM judged AS j WHERE j.is_dropped
    INTERSECT
    SELECT m.thread_id, said.key, said.value
    FROM (SELECT DISTINCT d.thread_id FROM dropped AS d) AS n
    CROSS JOIN LATERAL (
        SELECT m.* FROM {metadata} AS m WHERE m.thread_id = n.thread_id LIMIT 1) AS m
    CROSS JOIN LATERAL jsonb_each(m.metadata) AS said (key, value)
), kept AS MATERIALIZED (
    SELECT DISTINCT ON (j.thread_id, j.key) j.thread_id, j.key, j.value
    FROM judged AS j
    WHERE NOT j.is_dropped
    ORDER BY j.thread_id, j.key, j.checkpoint_id DESC
)
UPDATE {metadata} AS m SET metadata = (m.metadata - now.keys) || now.said
FROM (
    SELECT u.thread_id, array_agg(u.key) AS keys,
        coalesce(jsonb_object_agg(u.key, k.value) FILTER (WHERE u.key = k.key), '{{}}') AS said
    FROM unsaid AS u
    FULL JOIN kept AS k ON k.thread_id = u.thread_id AND k.key = u.key
    GROUP BY u.thread_id
) AS now
WHERE m.thread_id = now.thread_id AND m.thread_id = ANY (%(thread_ids)s::text[])

-- name: drop_writes_of_refused
-- Remove the pending writes of a checkpoint that was not stored, for it came too late or lost a race.
DELETE FROM {writes} AS w
WHERE w.thread_id = %(thread_id)s::text AND w.checkpoint_ns = %(checkpoint_ns)s::text
    AND w.checkpoint_id = %(checkpoint_id)s::text AND NOT {is_write_of_stored}

-- name: next_threads
-- The next threads, by id.
SELECT page.* FROM (
    SELECT DISTINCT t.thread_id FROM {threads} AS t
    WHERE {which}
    ORDER BY t.thread_id
    LIMIT 1000
) AS page
LIMIT %(limit)s::bigint

-- name: which_after_thread
-- (Condition.) Threads behind this one.
t.thread_id > %(after)s::text

-- name: which_said
-- (Condition.) Threads of which their checkpoints together, or any one of them, say this. (It is
-- asked once a thread, not once a namespace; and OFFSET 0 has it look at one thread after the other: or
-- each page might read the whole table first.)
t.checkpoint_ns = (
    SELECT s.checkpoint_ns FROM {threads} AS s
    WHERE s.thread_id = t.thread_id ORDER BY s.checkpoint_ns LIMIT 1)
AND (EXISTS (
    SELECT 1 FROM {metadata} AS m
    WHERE m.thread_id = t.thread_id AND m.metadata @> %(filter)s::jsonb AND NOT EXISTS (
        SELECT 1 FROM jsonb_each(%(filter)s::jsonb) AS wanted (key, value)
        WHERE m.metadata -> wanted.key <> wanted.value)
    OFFSET 0)
OR EXISTS (
    SELECT 1 FROM {history} AS h
    WHERE h.thread_id = t.thread_id AND h.metadata @> %(filter)s::jsonb AND NOT EXISTS (
        SELECT 1 FROM jsonb_each(%(filter)s::jsonb) AS wanted (key, value)
        WHERE h.metadata -> wanted.key <> wanted.value)
    OFFSET 0))

-- name: thread_metadata
-- The metadata of a thread's checkpoints, oldest first, with what of it is sealed.
SELECT h.metadata::text, h.sealed_type, h.sealed
FROM {history} AS h
WHERE h.thread_id = %(thread_id)s::text
ORDER BY h.checkpoint_id

-- name: measure_threads
-- What these threads consist of: checkpoints, items, pending writes, and the bytes of their values as
-- they are stored. One row a thread that is there.
SELECT t.thread_id, h.number, i.number, w.number, h.bytes + i.bytes + w.bytes
FROM (SELECT DISTINCT t.thread_id FROM {threads} AS t
      WHERE t.thread_id = ANY (%(thread_ids)s::text[])) AS t
CROSS JOIN LATERAL (
    SELECT count(*) AS number, {checkpoint_bytes} AS bytes
    FROM {history} AS h WHERE h.thread_id = t.thread_id) AS h
CROSS JOIN LATERAL (
    SELECT count(*) AS number, {item_bytes} AS bytes
    FROM {items} AS i WHERE i.thread_id = t.thread_id) AS i
CROSS JOIN LATERAL (
    SELECT count(*) AS number, {write_bytes} AS bytes
    FROM {writes} AS w WHERE w.thread_id = t.thread_id AND {is_counted_write}) AS w

-- name: checkpoint_bytes
-- (Part of a statement.) The bytes of checkpoints h.
coalesce(sum(pg_column_size(h.header) + pg_column_size(h.metadata) + pg_column_size(h.channel_values)
    + pg_column_size(h.items) + coalesce(pg_column_size(h.sealed), 0)), 0)::bigint

-- name: item_bytes
-- (Part of a statement.) The bytes of items i.
coalesce(sum(coalesce(pg_column_size(i.item), pg_column_size(i.blob))), 0)::bigint

-- name: write_bytes
-- (Part of a statement.) The bytes of pending writes w.
coalesce(sum(coalesce(pg_column_size(w.value), pg_column_size(w.blob))), 0)::bigint
