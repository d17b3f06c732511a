-- Statements that read the tables of langgraph-checkpoint-postgres, and tables of states.

-- name: official_threads
-- A page of the ids of threads, in their order, each looked up behind the one before.
WITH RECURSIVE page AS (
    (SELECT c.thread_id FROM {checkpoints} AS c
     WHERE %(after)s::text IS NULL OR c.thread_id > %(after)s::text
     ORDER BY c.thread_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.thread_id FROM {checkpoints} AS c
            WHERE c.thread_id > page.thread_id ORDER BY c.thread_id LIMIT 1)
    FROM page WHERE page.thread_id IS NOT NULL
)
SELECT page.thread_id FROM page WHERE page.thread_id IS NOT NULL LIMIT %(limit)s::integer

-- name: official_count
-- How many threads there are.
SELECT count(DISTINCT c.thread_id) FROM {checkpoints} AS c

-- name: official_schema
-- A schema, if it is there.
SELECT n.nspname FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %(schema)s::text

-- name: official_columns
-- The columns of a table; none if there is no such table.
SELECT a.attname FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = to_regclass(%(table)s::text) AND a.attnum > 0 AND NOT a.attisdropped

-- name: official_places
-- Every checkpoint of a thread, with its parent.
SELECT c.checkpoint_ns, c.checkpoint_id, c.parent_checkpoint_id
FROM {checkpoints} AS c
WHERE c.thread_id = %(thread_id)s::text

-- name: official_tasks
-- How many writes each task left at each checkpoint of a thread; and of those that are replaced in place.
SELECT w.checkpoint_ns, w.checkpoint_id, w.task_id, count(*), count(*) FILTER (WHERE w.idx < 0)
FROM {checkpoint_writes} AS w
WHERE w.thread_id = %(thread_id)s::text
GROUP BY w.checkpoint_ns, w.checkpoint_id, w.task_id

-- name: official_checkpoint
-- One checkpoint, without the values that lie in blobs, and the versions by which to find those.
SELECT c.checkpoint::text, c.metadata::text, (
    SELECT json_object_agg(v.channel, v.version)::text
    FROM jsonb_each_text(c.checkpoint -> 'channel_versions') AS v (channel, version)
    WHERE v.version IS NOT NULL)
FROM {checkpoints} AS c
WHERE c.thread_id = %(thread_id)s::text AND c.checkpoint_ns = %(checkpoint_ns)s::text
    AND c.checkpoint_id = %(checkpoint_id)s::text

-- name: official_blobs
-- The values of channels at these versions.
SELECT b.channel, b.version, b.type, b.blob
FROM unnest(%(channels)s::text[], %(versions)s::text[]) AS wanted (channel, version)
JOIN {checkpoint_blobs} AS b ON b.thread_id = %(thread_id)s::text
    AND b.checkpoint_ns = %(checkpoint_ns)s::text AND b.channel = wanted.channel
    AND b.version = wanted.version

-- name: official_writes
-- The writes that tasks left at a checkpoint.
SELECT w.task_id, {task_path} AS task_path, w.idx, w.channel, w.type, w.blob
FROM {checkpoint_writes} AS w
WHERE w.thread_id = %(thread_id)s::text AND w.checkpoint_ns = %(checkpoint_ns)s::text
    AND w.checkpoint_id = %(checkpoint_id)s::text

-- name: plain_threads
-- The ids of threads in a table of states.
SELECT DISTINCT p.thread_id::text AS thread_id FROM {states} AS p
WHERE p.thread_id IS NOT NULL ORDER BY thread_id

-- name: plain_count
-- How many threads a table of states has.
SELECT count(DISTINCT p.thread_id) FROM {states} AS p

-- name: plain_state
-- A thread's row in a table of states, and another one if it has several. (The id is whatever the column's type makes of it.)
SELECT p.state::text, {created_at}, {updated_at} FROM {states} AS p
WHERE p.thread_id = %(thread_id)s LIMIT 2
