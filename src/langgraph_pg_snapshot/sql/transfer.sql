-- Statements that copy threads from and to other savers.

-- name: transfer_threads
-- A page of the ids of threads, in their order, each looked up behind the one before.
WITH RECURSIVE page AS (
    (SELECT t.thread_id FROM {threads} AS t
     WHERE %(after)s::text IS NULL OR t.thread_id > %(after)s::text
     ORDER BY t.thread_id LIMIT 1)
    UNION ALL
    SELECT (SELECT t.thread_id FROM {threads} AS t
            WHERE t.thread_id > page.thread_id ORDER BY t.thread_id LIMIT 1)
    FROM page WHERE page.thread_id IS NOT NULL
)
SELECT page.thread_id FROM page WHERE page.thread_id IS NOT NULL LIMIT %(limit)s::integer

-- name: transfer_count
-- How many threads there are.
SELECT count(DISTINCT t.thread_id) FROM {threads} AS t

-- name: transfer_places
-- Every checkpoint of a thread, with its parent.
SELECT h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id
FROM {history} AS h
WHERE h.thread_id = %(thread_id)s::text

-- name: transfer_shortened
-- The namespaces of a thread whose oldest checkpoint is not their first one: that was removed.
SELECT t.checkpoint_ns FROM {threads} AS t
WHERE t.thread_id = %(thread_id)s::text AND t.created_at < (
    SELECT h.created_at FROM {history} AS h
    WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = t.checkpoint_ns
    ORDER BY h.checkpoint_id LIMIT 1)

-- name: transfer_tasks
-- How many writes each task left at each checkpoint of a thread; and of those that are replaced in place.
SELECT w.checkpoint_ns, w.checkpoint_id, w.task_id, count(*), count(*) FILTER (WHERE w.idx < 0)
FROM {writes} AS w
WHERE w.thread_id = %(thread_id)s::text
GROUP BY w.checkpoint_ns, w.checkpoint_id, w.task_id

-- name: transfer_writes
-- A checkpoint's pending writes.
SELECT {write_columns} FROM {writes} AS w
WHERE w.thread_id = %(thread_id)s::text AND w.checkpoint_ns = %(checkpoint_ns)s::text
    AND w.checkpoint_id = %(checkpoint_id)s::text

-- name: transfer_indices
-- The numbers and runs of a checkpoint's pending writes, in the order in which get_checkpoint brings them.
SELECT w.task_id, w.task_path, w.idx, w.run_id
FROM {writes} AS w
WHERE w.thread_id = %(thread_id)s::text AND w.checkpoint_ns = %(checkpoint_ns)s::text
    AND w.checkpoint_id = %(checkpoint_id)s::text
ORDER BY w.task_path, w.task_id, w.idx

-- name: transfer_unerase
-- Forget that a thread and runs of it were erased: an import is no late write of a run.
DELETE FROM {erased} AS e WHERE e.thread_id = %(thread_id)s::text

-- name: transfer_since
-- Set since when a thread has been there.
UPDATE {threads} AS t SET created_at = %(created_at)s::timestamptz
WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = ''
