-- Statements by which a sweep goes through all threads: what is idle, orphaned, or noted for long enough.

-- name: sweep_times
-- The moments that a policy's ages lead back to.
SELECT now(), now() - %(max_age)s::interval, now() - %(max_idle)s::interval

-- name: idle_threads
-- Threads of which nothing was updated for long, the longest first. (1,000 as a constant: see
-- list_threads_newest.)
SELECT page.* FROM (
    SELECT t.thread_id, t.updated_at
    FROM {threads} AS t
    WHERE t.checkpoint_ns = '' AND t.updated_at < %(idle_since)s::timestamptz AND {which}
        AND NOT EXISTS (
            SELECT 1 FROM {threads} AS s
            WHERE s.thread_id = t.thread_id AND s.updated_at >= %(idle_since)s::timestamptz)
    ORDER BY t.updated_at, t.thread_id
    LIMIT 1000
) AS page
LIMIT %(limit)s::bigint

-- name: which_idle_after
-- (Condition.) Threads that are idle for less long.
(t.updated_at, t.thread_id) > (%(updated_at)s::timestamptz, %(after)s::text)

-- name: which_not_idle
-- (Condition.) Threads of which something was updated since then.
EXISTS (
    SELECT 1 FROM {threads} AS s
    WHERE s.thread_id = t.thread_id AND s.updated_at >= %(idle_since)s::timestamptz)

-- name: which_rootless_idle
-- (Condition.) Threads without a root namespace of which nothing was updated for long.
t.checkpoint_ns <> '' AND NOT EXISTS (
    SELECT 1 FROM {threads} AS s
    WHERE s.thread_id = t.thread_id
        AND (s.checkpoint_ns = '' OR s.updated_at >= %(idle_since)s::timestamptz))

-- name: try_lock_threads
-- Like lock_threads, but passes over rows that someone else holds.
SELECT t.thread_id, t.checkpoint_ns
FROM {threads} AS t
WHERE t.thread_id = ANY (%(thread_ids)s::text[])
ORDER BY t.thread_id, t.checkpoint_ns
FOR UPDATE SKIP LOCKED

-- name: namespaces_of
-- The namespaces of threads.
SELECT t.thread_id, t.checkpoint_ns, t.updated_at
FROM {threads} AS t
WHERE t.thread_id = ANY (%(thread_ids)s::text[])

-- name: end_of_writes
-- The checkpoint up to which the next pending writes reach.
SELECT w.thread_id, w.checkpoint_ns, w.checkpoint_id
FROM {writes} AS w
WHERE {which}
ORDER BY w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx
OFFSET %(limit)s::bigint
LIMIT 1

-- name: which_writes_after
-- (Condition.) Pending writes of checkpoints after this one.
(w.thread_id, w.checkpoint_ns, w.checkpoint_id)
    > (%(after_thread_id)s::text, %(after_checkpoint_ns)s::text, %(after_checkpoint_id)s::text)

-- name: which_writes_to
-- (Condition.) Pending writes up to those of this checkpoint.
(w.thread_id, w.checkpoint_ns, w.checkpoint_id)
    <= (%(to_thread_id)s::text, %(to_checkpoint_ns)s::text, %(to_checkpoint_id)s::text)

-- name: orphaned
-- (Part of a statement.) Pending writes that came before their checkpoint, which never came.
orphaned AS MATERIALIZED (
    SELECT w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx, w.value, w.blob
    FROM {writes} AS w
    WHERE {which} AND w.created_at < %(before)s::timestamptz AND NOT {is_write_of_stored}
)

-- name: is_counted_write
-- (Part of a statement.) A dry run, which removes nothing, does not count pending write w here if it
-- counts it among the orphaned ones.
(%(orphaned_before)s::timestamptz IS NULL OR w.created_at >= %(orphaned_before)s::timestamptz
    OR {is_write_of_stored})

-- name: is_write_of_stored
-- (Part of a statement.) The checkpoint of pending write w is stored.
EXISTS (
    SELECT 1 FROM {history} AS h
    WHERE h.thread_id = w.thread_id AND h.checkpoint_ns = w.checkpoint_ns
        AND h.checkpoint_id = w.checkpoint_id)

-- name: measure_orphaned_writes
-- How many they are, and their bytes.
WITH {orphaned}
SELECT count(*), {write_bytes} FROM orphaned AS w

-- name: drop_orphaned_writes
-- Remove them; those that are being replaced at this moment are not meant.
WITH {orphaned}, free AS MATERIALIZED (
    SELECT w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx, w.value, w.blob
    FROM {writes} AS w
    JOIN orphaned AS o USING (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
    FOR UPDATE OF w SKIP LOCKED
), gone AS (
    DELETE FROM {writes} AS w USING free AS f
    WHERE w.thread_id = f.thread_id AND w.checkpoint_ns = f.checkpoint_ns
        AND w.checkpoint_id = f.checkpoint_id AND w.task_id = f.task_id AND w.idx = f.idx
)
SELECT count(*), {write_bytes} FROM free AS w

-- name: forget_erased
-- Forget what was erased long ago: no run is under way for so long.
DELETE FROM {erased} AS e
USING (
    SELECT old.thread_id, old.run_id FROM {erased} AS old
    WHERE old.erased_at < %(before)s::timestamptz
    FOR UPDATE SKIP LOCKED
) AS old
WHERE e.thread_id = old.thread_id AND e.run_id = old.run_id
