-- Threads, the log of their items, the checkpoints that name ranges of it, pending writes, and the
-- thread-keyed view over them. Ids are compared byte by byte (COLLATE "C"): LangGraph orders
-- checkpoint ids and pending writes as Python compares strings, whatever the database's locale.

CREATE TABLE {threads} (
    thread_id     text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    appended      bigint NOT NULL,
    next_items    jsonb NOT NULL,
    epoch         bigint NOT NULL,
    PRIMARY KEY (thread_id, checkpoint_ns)
);

-- (Not with thread_id as a second column: before the first ANALYZE the planner would look threads up
-- by it, reading the whole index.)
CREATE INDEX ON {threads} (updated_at DESC) WHERE checkpoint_ns = '';

CREATE TABLE {history} (
    thread_id            text COLLATE "C" NOT NULL,
    checkpoint_ns        text COLLATE "C" NOT NULL,
    checkpoint_id        text COLLATE "C" NOT NULL,
    parent_checkpoint_id text COLLATE "C",
    run_id               text COLLATE "C",
    created_at           timestamptz NOT NULL DEFAULT now(),
    header               jsonb NOT NULL,
    metadata             jsonb NOT NULL,
    sealed_type          text,
    sealed               bytea,
    channel_values       jsonb NOT NULL,
    items                int8multirange NOT NULL,
    item_count           integer NOT NULL,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);

CREATE INDEX ON {history} (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE {items} (
    thread_id     text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    item_id       bigint NOT NULL,
    digest        bytea,
    item          jsonb,
    blob_type     text,
    blob          bytea,
    PRIMARY KEY (thread_id, checkpoint_ns, item_id),
    CHECK (num_nonnulls(item, blob) = 1)
);

CREATE TABLE {writes} (
    thread_id     text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    checkpoint_id text COLLATE "C" NOT NULL,
    task_id       text COLLATE "C" NOT NULL,
    idx           integer NOT NULL,
    task_path     text COLLATE "C" NOT NULL,
    channel       text NOT NULL,
    value         jsonb,
    blob_type     text,
    blob          bytea,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx),
    CHECK (num_nonnulls(value, blob) = 1)
);

-- The newest root-namespace state of each thread as plain JSON. A channel's stored value is either
-- the value itself or a reference: $list and $dict to runs [from, to) of items, $item to one. What
-- LangGraph stores of a DeltaChannel is wrapped once more, and taken out of that.
CREATE VIEW {view} AS
SELECT t.thread_id, s.state, t.created_at, t.updated_at
FROM {threads} AS t
CROSS JOIN LATERAL (
    SELECT h.channel_values
    FROM {history} AS h
    WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = t.checkpoint_ns
    ORDER BY h.checkpoint_id DESC
    LIMIT 1
) AS head
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(c.channel, CASE
        WHEN jsonb_typeof(c.stored) <> 'object' THEN c.stored
        WHEN c.stored ? '$list' THEN (
            SELECT coalesce(jsonb_agg(
                coalesce(i.item, jsonb_build_object('$opaque', i.blob_type))
                ORDER BY run.position, i.item_id), '[]')
            FROM jsonb_array_elements(c.stored -> '$list') WITH ORDINALITY AS run (bounds, position)
            JOIN {items} AS i ON i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
                AND i.item_id >= (run.bounds ->> 0)::bigint
                AND i.item_id < (run.bounds ->> 1)::bigint
        )
        WHEN c.stored ? '$dict' THEN (
            SELECT coalesce(
                jsonb_object_agg(i.item ->> 0, i.item -> 1) FILTER (WHERE i.item IS NOT NULL),
                jsonb_build_object('$opaque', min(i.blob_type)))
            FROM jsonb_array_elements(c.stored -> '$dict') AS run (bounds)
            JOIN {items} AS i ON i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
                AND i.item_id >= (run.bounds ->> 0)::bigint
                AND i.item_id < (run.bounds ->> 1)::bigint
        )
        WHEN c.stored ? '$item' THEN (
            SELECT CASE WHEN i.item ->> '$type' = 'langgraph.checkpoint.serde.types:_DeltaSnapshot'
                THEN i.item -> 'value'
                ELSE coalesce(i.item, jsonb_build_object('$opaque', i.blob_type)) END
            FROM {items} AS i
            WHERE i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
                AND i.item_id = (c.stored ->> '$item')::bigint
        )
        WHEN c.stored ->> '$type' = 'langgraph.checkpoint.serde.types:_DeltaSnapshot'
            THEN c.stored -> 'value'
        ELSE c.stored
    END), '{{}}') AS state
    FROM jsonb_each(head.channel_values) AS c (channel, stored)
    WHERE c.channel NOT IN ('__start__', '__pregel_tasks')
        AND c.channel NOT LIKE 'branch:to:%' AND c.channel NOT LIKE 'join:%'
) AS s
WHERE t.checkpoint_ns = '';

COMMENT ON TABLE {threads} IS 'LangGraph threads: one row a thread and namespace';
COMMENT ON COLUMN {threads}.appended IS 'how many items the log was ever given: tells a writer whether it knows its end';
COMMENT ON COLUMN {threads}.next_items IS 'the number that the next item gets, by channel; each list has a billion of its own';
COMMENT ON COLUMN {threads}.epoch IS 'changes when items are removed, so that no writer trusts old numbers';
COMMENT ON TABLE {history} IS 'LangGraph checkpoints: one row each';
COMMENT ON COLUMN {history}.header IS 'the checkpoint without its values: v, ts, channel_versions, versions_seen, …';
COMMENT ON COLUMN {history}.channel_values IS 'channel → small value, or reference to items: $list, $dict (runs) or $item';
COMMENT ON COLUMN {history}.items IS 'every item that channel_values references';
COMMENT ON COLUMN {history}.sealed IS 'metadata, and what else of the header is the application''s, under a serializer that may encrypt';
COMMENT ON TABLE {items} IS 'The log of a thread: immutable values, as a rule one message or one dict entry each';
COMMENT ON COLUMN {items}.digest IS 'fingerprint of the value, by which a writer finds it stored already';
COMMENT ON TABLE {writes} IS 'LangGraph pending writes: what tasks wrote after a checkpoint';
COMMENT ON VIEW {view} IS 'The newest state of each LangGraph thread (root namespace), as plain JSON';
