-- Statements that read a file of langgraph-checkpoint-sqlite; they are SQLite's SQL.

-- name: sqlite_columns
-- The columns of a table; none if there is no such table.
SELECT name FROM pragma_table_info(:table)

-- name: sqlite_threads
-- The ids of threads.
SELECT DISTINCT thread_id FROM checkpoints ORDER BY thread_id

-- name: sqlite_count
-- How many threads there are.
SELECT count(DISTINCT thread_id) FROM checkpoints

-- name: sqlite_places
-- Every checkpoint of a thread, with its parent.
SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id FROM checkpoints
WHERE thread_id = :thread_id

-- name: sqlite_tasks
-- How many writes each task left at each checkpoint of a thread; and of those that are replaced in place.
SELECT checkpoint_ns, checkpoint_id, task_id, count(*), sum(idx < 0) FROM writes
WHERE thread_id = :thread_id
GROUP BY checkpoint_ns, checkpoint_id, task_id

-- name: sqlite_checkpoint
-- One checkpoint with its values.
SELECT type, checkpoint, metadata FROM checkpoints
WHERE thread_id = :thread_id AND checkpoint_ns = :checkpoint_ns AND checkpoint_id = :checkpoint_id

-- name: sqlite_writes
-- The writes that tasks left at a checkpoint.
SELECT task_id, {task_path} AS task_path, idx, channel, type, value FROM writes
WHERE thread_id = :thread_id AND checkpoint_ns = :checkpoint_ns AND checkpoint_id = :checkpoint_id
