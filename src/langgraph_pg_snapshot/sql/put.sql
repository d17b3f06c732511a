-- Statements that store what a run does: checkpoints, pending writes, and what must be known before.
-- Two rules keep them usable on Citus: no volatile function in DO UPDATE SET, no correlated unnest().

-- name: put_checkpoint
-- Store a checkpoint and the items it adds to the log, if the log is where the writer believes it to
-- be (same epoch, as many items) and the run was not erased; no row comes back if another writer moved
-- on, and then nothing is stored. One statement, so it is atomic without a transaction block.
WITH thread AS (
    UPDATE {threads} AS t
    SET appended = t.appended + cardinality(%(item_ids)s::bigint[]),
        next_items = %(next_items)s::jsonb,
        updated_at = coalesce(%(created_at)s::timestamptz, now())
    WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = %(checkpoint_ns)s::text
        AND t.epoch = %(epoch)s::bigint AND t.appended = %(appended)s::bigint
        AND NOT {run_is_erased} AND {which}
    RETURNING t.epoch
), {insert_checkpoint}

-- name: put_first_checkpoint
-- The same for the first one of a namespace, unless another writer or an erasure (other than a known one)
-- came before it.
WITH root AS MATERIALIZED (
    SELECT t.epoch FROM {threads} AS t
    WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = ''
    FOR KEY SHARE
), thread AS (
    INSERT INTO {threads} (
        thread_id, checkpoint_ns, created_at, updated_at, appended, next_items, epoch)
    SELECT %(thread_id)s::text, %(checkpoint_ns)s::text,
        coalesce(%(created_at)s::timestamptz, now()), coalesce(%(created_at)s::timestamptz, now()),
        cardinality(%(item_ids)s::bigint[]), %(next_items)s::jsonb, %(epoch)s::bigint
    -- A removal that ends while this statement waits for it is not among what it sees
    WHERE (SELECT r.epoch FROM root AS r) IS NOT DISTINCT FROM (
            SELECT t.epoch FROM {threads} AS t
            WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = '')
        AND NOT EXISTS (
            SELECT 1 FROM {erased} AS e
            WHERE e.thread_id = %(thread_id)s::text AND e.run_id = ''
                AND e.erased_at IS DISTINCT FROM %(erased_at)s::timestamptz)
        AND NOT {run_is_erased} AND {which}
    ON CONFLICT ({tenant_key}thread_id, checkpoint_ns) DO NOTHING
    RETURNING epoch
), {insert_checkpoint}

-- name: insert_checkpoint
-- (Part of a statement.) What a put stores besides the thread's row. What the run says of the thread is
-- written only if it is news. It tells whether a checkpoint that had this id before
-- referenced no other items (null if there was none).
appended AS (
    INSERT INTO {items} (thread_id, checkpoint_ns, item_id, digest, item, blob_type, blob)
    SELECT %(thread_id)s::text, %(checkpoint_ns)s::text,
        new.item_id, new.digest, new.item::jsonb, new.blob_type, new.blob
    FROM unnest(%(item_ids)s::bigint[], %(digests)s::bytea[], %(items)s::text[],
        %(blob_types)s::text[], %(blobs)s::bytea[]) AS new (item_id, digest, item, blob_type, blob)
    WHERE EXISTS (SELECT 1 FROM thread)
), said AS (
    INSERT INTO {metadata} AS m (thread_id, metadata)
    SELECT %(thread_id)s::text, new.metadata
    FROM (SELECT %(metadata)s::jsonb - {step_metadata} AS metadata) AS new
    WHERE %(checkpoint_ns)s::text = '' AND new.metadata <> '{{}}' AND EXISTS (SELECT 1 FROM thread)
        AND NOT EXISTS (
            SELECT 1 FROM {metadata} AS old
            WHERE old.thread_id = %(thread_id)s::text
                AND old.metadata || new.metadata = old.metadata)
    ON CONFLICT ({tenant_key}thread_id) DO UPDATE SET metadata = m.metadata || EXCLUDED.metadata
)
INSERT INTO {history} AS h (
    thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, run_id, created_at,
    header, metadata, sealed_type, sealed, channel_values, items, item_count)
SELECT %(thread_id)s::text, %(checkpoint_ns)s::text, %(checkpoint_id)s::text,
    %(parent_checkpoint_id)s::text, %(run_id)s::text,
    coalesce(%(created_at)s::timestamptz, now()),
    %(header)s::jsonb, %(metadata)s::jsonb, %(sealed_type)s::text, %(sealed)s::bytea,
    %(channel_values)s::jsonb, %(ranges)s::int8multirange, %(item_count)s::integer
WHERE EXISTS (SELECT 1 FROM thread)
ON CONFLICT ({tenant_key}thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
    run_id = EXCLUDED.run_id, header = EXCLUDED.header, metadata = EXCLUDED.metadata,
    sealed_type = EXCLUDED.sealed_type, sealed = EXCLUDED.sealed,
    channel_values = EXCLUDED.channel_values, items = EXCLUDED.items,
    item_count = EXCLUDED.item_count
RETURNING (
    SELECT o.items <@ %(ranges)s::int8multirange FROM {history} AS o
    WHERE o.thread_id = %(thread_id)s::text AND o.checkpoint_ns = %(checkpoint_ns)s::text
        AND o.checkpoint_id = %(checkpoint_id)s::text)

-- name: which_on_head
-- (Condition.) The parent is the newest checkpoint of the namespace, or this one is stored already. Of one
-- that others store at this moment only their trace is seen: the thread's row t was written again.
(t.xmin = (
    SELECT s.xmin FROM {threads} AS s
    WHERE s.thread_id = %(thread_id)s::text AND s.checkpoint_ns = %(checkpoint_ns)s::text)
AND NOT EXISTS (
    SELECT 1 FROM {history} AS h
    WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
        AND h.checkpoint_id > coalesce(%(parent_checkpoint_id)s::text, '')
        AND NOT EXISTS (
            SELECT 1 FROM {history} AS o
            WHERE o.thread_id = %(thread_id)s::text AND o.checkpoint_ns = %(checkpoint_ns)s::text
                AND o.checkpoint_id = %(checkpoint_id)s::text)))

-- name: newest_checkpoint
-- The newest checkpoint of a namespace, and whether this one is stored.
SELECT (SELECT h.checkpoint_id FROM {history} AS h
        WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
        ORDER BY h.checkpoint_id DESC
        LIMIT 1),
    EXISTS (
        SELECT 1 FROM {history} AS h
        WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
            AND h.checkpoint_id = %(checkpoint_id)s::text)

-- name: put_writes
-- Store the writes of one task of a checkpoint that is known to be stored, if nothing was removed from
-- its namespace since (same epoch) and the run was not erased. As a foreign key would, it has removals
-- wait for it.
WITH fitting AS MATERIALIZED (
    SELECT true AS yes FROM {threads} AS t
    WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = %(checkpoint_ns)s::text
        AND t.epoch = %(epoch)s::bigint AND NOT {run_is_erased} AND {which}
    FOR KEY SHARE
), {insert_writes}
SELECT f.yes FROM fitting AS f

-- name: put_early_writes
-- Store the writes of one task, if their checkpoint is stored, or is to be the newest one of a thread of
-- which nothing was erased lately. Tells whether they are stored; and if not, whether that is settled:
-- it is not if something was removed while this statement waited; and whether the run was erased.
WITH thread AS MATERIALIZED (
    SELECT t.checkpoint_ns, t.epoch FROM {threads} AS t
    WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns IN ('', %(checkpoint_ns)s::text)
    ORDER BY t.checkpoint_ns DESC
    LIMIT 1
    FOR KEY SHARE
), settled AS MATERIALIZED (
    -- A removal that ends while this statement waits for it is not among what it sees
    SELECT true AS yes
    WHERE (SELECT (t.checkpoint_ns, t.epoch) FROM thread AS t) IS NOT DISTINCT FROM (
        SELECT (t.checkpoint_ns, t.epoch) FROM {threads} AS t
        WHERE t.thread_id = %(thread_id)s::text AND t.checkpoint_ns IN ('', %(checkpoint_ns)s::text)
        ORDER BY t.checkpoint_ns DESC
        LIMIT 1)
), fitting AS MATERIALIZED (
    SELECT s.yes FROM settled AS s
    WHERE (EXISTS (
            SELECT 1 FROM {history} AS h
            WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
                AND h.checkpoint_id = %(checkpoint_id)s::text)
        OR NOT EXISTS (
            SELECT 1 FROM {history} AS h
            WHERE h.thread_id = %(thread_id)s::text AND h.checkpoint_ns = %(checkpoint_ns)s::text
                AND h.checkpoint_id > %(checkpoint_id)s::text)
        AND NOT EXISTS (
            SELECT 1 FROM {erased} AS e WHERE e.thread_id = %(thread_id)s::text))
        AND NOT {run_is_erased} AND {which}
), {insert_writes}
SELECT EXISTS (SELECT 1 FROM fitting), EXISTS (SELECT 1 FROM settled), {run_is_erased}

-- name: insert_writes
-- (Part of a statement.) Ordinary writes keep their first version when a task is retried; those with
-- an index of their own (errors, interrupts, resume values: below zero) are replaced.
stored AS (
    INSERT INTO {writes} AS w (
        thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, run_id, channel, value,
        blob_type, blob)
    SELECT %(thread_id)s::text, %(checkpoint_ns)s::text, %(checkpoint_id)s::text,
        %(task_id)s::text, new.idx, %(task_path)s::text, nullif(%(run_id)s::text, ''),
        new.channel, new.value::jsonb, new.blob_type, new.blob
    FROM unnest(%(indices)s::integer[], %(channels)s::text[], %(values)s::text[],
        %(blob_types)s::text[], %(blobs)s::bytea[]) AS new (idx, channel, value, blob_type, blob)
    WHERE EXISTS (SELECT 1 FROM fitting)
    ON CONFLICT ({tenant_key}thread_id, checkpoint_ns, checkpoint_id, task_id, idx) DO UPDATE SET
        task_path = EXCLUDED.task_path, run_id = EXCLUDED.run_id, channel = EXCLUDED.channel,
        value = EXCLUDED.value, blob_type = EXCLUDED.blob_type, blob = EXCLUDED.blob
    WHERE w.idx < 0
)

-- name: run_is_erased
-- (Part of a statement.) Whether the run was erased, wherever it is at work. Without one it costs nothing.
EXISTS (
    SELECT 1 FROM {erased} AS e
    WHERE e.thread_id = '' AND e.run_id = nullif(%(running)s::text, ''))

-- name: get_lineage
-- What a writer must know to build on checkpoints: whether thread or run were erased, and whether
-- the root checkpoint (or a later one) that a subgraph belongs to is stored; where the log is, how the checkpoints are
-- laid out, and the digests of their items (sixteen zero bytes where none is stored). One row if
-- none of them is there.
SELECT
    erased.erased_at, erased.up_to,
    {run_is_erased},
    -- (Each look-up here is by the whole key: see delta_chain.)
    EXISTS (
        SELECT 1 FROM {history} AS r
        WHERE r.thread_id = %(thread_id)s::text AND r.checkpoint_ns = ''
            AND r.checkpoint_id = %(root_id)s::text)
    OR %(or_later)s::boolean AND EXISTS (
        SELECT 1 FROM {history} AS r
        WHERE r.thread_id = %(thread_id)s::text AND r.checkpoint_ns = ''
            AND r.checkpoint_id > %(root_id)s::text),
    t.epoch, t.appended, t.next_items::text, h.checkpoint_id, (h.header -> 'channel_versions')::text,
    h.channel_values::text, known.digests
FROM (VALUES (true)) AS asked
LEFT JOIN {erased} AS erased ON erased.thread_id = %(thread_id)s::text AND erased.run_id = ''
LEFT JOIN {threads} AS t
    ON t.thread_id = %(thread_id)s::text AND t.checkpoint_ns = %(checkpoint_ns)s::text
LEFT JOIN LATERAL (
    (SELECT h.* FROM {history} AS h
    WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = t.checkpoint_ns
        AND h.checkpoint_id = %(parent_id)s::text
    LIMIT 1)
    UNION ALL
    (SELECT h.* FROM {history} AS h
    WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = t.checkpoint_ns
        AND h.checkpoint_id = %(tried_id)s::text
    LIMIT 1)
) AS h ON true
LEFT JOIN LATERAL (
    SELECT string_agg(coalesce(i.digest, decode(repeat('00', 16), 'hex')), ''::bytea
        ORDER BY i.item_id) AS digests
    FROM {items} AS i
    WHERE i.thread_id = h.thread_id AND i.checkpoint_ns = h.checkpoint_ns
        AND i.item_id >= lower(h.items) AND i.item_id < upper(h.items) AND h.items @> i.item_id
) AS known ON true
