-- Threads, the log of their items, the checkpoints that name ranges of it, and pending writes. Ids are compared byte by byte (COLLATE "C"): LangGraph orders
-- checkpoint ids and pending writes as Python compares strings, whatever the database's locale.

CREATE TABLE {threads} (
    {tenant_column}thread_id     text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    appended      bigint NOT NULL,
    next_items    jsonb NOT NULL,
    epoch         bigint NOT NULL,
    PRIMARY KEY ({tenant_key}thread_id, checkpoint_ns)
);{isolate_threads}

-- (Not with thread_id as a second column: before the first ANALYZE the planner would look threads up
-- by it, reading the whole index.)
CREATE INDEX ON {threads} ({tenant_key}updated_at DESC) WHERE checkpoint_ns = '';

CREATE TABLE {history} (
    {tenant_column}thread_id            text COLLATE "C" NOT NULL,
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
    PRIMARY KEY ({tenant_key}thread_id, checkpoint_ns, checkpoint_id)
);{isolate_history}

CREATE INDEX ON {history} ({tenant_key}run_id) WHERE run_id IS NOT NULL;

CREATE TABLE {items} (
    {tenant_column}thread_id     text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    item_id       bigint NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    digest        bytea,
    item          jsonb,
    blob_type     text,
    blob          bytea,
    PRIMARY KEY ({tenant_key}thread_id, checkpoint_ns, item_id),
    CHECK (num_nonnulls(item, blob) = 1)
);{isolate_items}

CREATE TABLE {writes} (
    {tenant_column}thread_id     text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    checkpoint_id text COLLATE "C" NOT NULL,
    task_id       text COLLATE "C" NOT NULL,
    idx           integer NOT NULL,
    task_path     text COLLATE "C" NOT NULL,
    run_id        text COLLATE "C",
    channel       text NOT NULL,
    value         jsonb,
    blob_type     text,
    blob          bytea,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY ({tenant_key}thread_id, checkpoint_ns, checkpoint_id, task_id, idx),
    CHECK (num_nonnulls(value, blob) = 1)
);{isolate_writes}

CREATE INDEX ON {writes} ({tenant_key}run_id) WHERE run_id IS NOT NULL;

-- What runs say of a thread changes seldom, unlike the thread's own row; so it lies apart, and its
-- index is not written at every checkpoint.
CREATE TABLE {metadata} (
    {tenant_column}thread_id text COLLATE "C" NOT NULL,
    metadata  jsonb NOT NULL,
    PRIMARY KEY ({tenant_key}thread_id)
);{isolate_metadata}

CREATE INDEX ON {metadata} USING gin (metadata jsonb_path_ops);

CREATE TABLE {erased} (
    {tenant_column}thread_id text COLLATE "C" NOT NULL,
    run_id    text COLLATE "C" NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT now(),
    up_to     text COLLATE "C",
    PRIMARY KEY ({tenant_key}thread_id, run_id)
);{isolate_erased}

-- Who has a thread for himself. A row is updated at each turn and heartbeat, and no index with it (HOT),
-- as long as its page has room; a token is never given twice. There is no foreign key: a thread may be
-- held before it exists, and while it is removed.
CREATE TABLE {leases} (
    {tenant_column}thread_id   text COLLATE "C" NOT NULL,
    token       bigint NOT NULL,
    holder      text NOT NULL,
    acquired_at timestamptz NOT NULL,
    expires_at  timestamptz,
    PRIMARY KEY ({tenant_key}thread_id)
) WITH (fillfactor = 50);{isolate_leases}
