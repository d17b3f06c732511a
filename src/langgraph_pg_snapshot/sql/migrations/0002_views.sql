-- The newest root-namespace state of each thread as plain JSON. A channel's stored value is either
-- the value itself or a reference: $list and $dict to runs [from, to) of items, $item to one. What
-- LangGraph stores of a DeltaChannel is wrapped once more, and taken out of that.
CREATE VIEW {view}{as_invoker} AS
SELECT t.thread_id, s.state, t.created_at, t.updated_at
FROM {rows_of_threads} AS t
CROSS JOIN LATERAL (
    SELECT h.channel_values
    FROM {rows_of_history} AS h
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
            JOIN {rows_of_items} AS i ON i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
                AND i.item_id >= (run.bounds ->> 0)::bigint
                AND i.item_id < (run.bounds ->> 1)::bigint
        )
        WHEN c.stored ? '$dict' THEN (
            SELECT coalesce(
                jsonb_object_agg(i.item ->> 0, i.item -> 1) FILTER (WHERE i.item IS NOT NULL),
                jsonb_build_object('$opaque', min(i.blob_type)))
            FROM jsonb_array_elements(c.stored -> '$dict') AS run (bounds)
            JOIN {rows_of_items} AS i ON i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
                AND i.item_id >= (run.bounds ->> 0)::bigint
                AND i.item_id < (run.bounds ->> 1)::bigint
        )
        WHEN c.stored ? '$item' THEN (
            SELECT CASE WHEN i.item ->> '$type' = 'langgraph.checkpoint.serde.types:_DeltaSnapshot'
                THEN i.item -> 'value'
                ELSE coalesce(i.item, jsonb_build_object('$opaque', i.blob_type)) END
            FROM {rows_of_items} AS i
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

-- The messages of that state, one row each, of every channel that holds any. What a DeltaChannel holds is
-- put together from the nearest ancestor that has its value, and from the writes since then, as
-- LangGraph's reducer for messages does it: a message takes the place of the one with its id.
CREATE VIEW {messages}{as_invoker} AS
SELECT t.thread_id, c.channel, said.position, m.message ->> 'id' AS id, kind.type,
    CASE kind.type WHEN 'human' THEN 'user' WHEN 'ai' THEN 'assistant'
        WHEN 'chat' THEN coalesce(m.message ->> 'role', 'chat') ELSE kind.type END AS role,
    m.message ->> 'name' AS name,
    CASE jsonb_typeof(m.message -> 'content')
        WHEN 'string' THEN m.message ->> 'content'
        WHEN 'object' THEN m.message -> 'content' ->> 'escaped'
        WHEN 'array' THEN (
            SELECT coalesce(string_agg(CASE jsonb_typeof(block.value)
                WHEN 'string' THEN block.value #>> '{{}}'
                ELSE coalesce(block.value -> 'text' ->> 'escaped', block.value ->> 'text') END,
                '' ORDER BY block.position), '')
            FROM jsonb_array_elements(m.message -> 'content')
                WITH ORDINALITY AS block (value, position)
            WHERE jsonb_typeof(block.value) = 'string' OR block.value ->> 'type' = 'text')
    END AS content,
    CASE jsonb_typeof(m.message -> 'tool_calls')
        WHEN 'array' THEN m.message -> 'tool_calls' END AS tool_calls,
    m.message ->> 'tool_call_id' AS tool_call_id,
    CASE kind.type WHEN 'tool' THEN coalesce(m.message ->> 'status', 'success') END AS status,
    coalesce(m.message #>> '{{response_metadata,model_name}}',
        m.message #>> '{{response_metadata,model}}') AS model,
    jsonb_path_query_first(m.message, 'strict $.usage_metadata.input_tokens
        ? (@.floor() == @ && @.abs() <= 9223372036854775807)', '{{}}', true)::bigint AS input_tokens,
    jsonb_path_query_first(m.message, 'strict $.usage_metadata.output_tokens
        ? (@.floor() == @ && @.abs() <= 9223372036854775807)', '{{}}', true)::bigint AS output_tokens,
    jsonb_path_query_first(m.message, 'strict $.usage_metadata.total_tokens
        ? (@.floor() == @ && @.abs() <= 9223372036854775807)', '{{}}', true)::bigint AS total_tokens,
    said.created_at, m.message
FROM {rows_of_threads} AS t
CROSS JOIN LATERAL (
    SELECT h.*
    FROM {rows_of_history} AS h
    WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = t.checkpoint_ns
    ORDER BY h.checkpoint_id DESC
    LIMIT 1
) AS head
CROSS JOIN LATERAL (
    SELECT held.channel, false AS is_delta
    FROM jsonb_each(head.channel_values) AS held (channel, stored)
    WHERE jsonb_typeof(held.stored) IN ('array', 'object')
        AND held.channel NOT IN ('__start__', '__pregel_tasks')
        AND held.channel NOT LIKE 'branch:to:%' AND held.channel NOT LIKE 'join:%'
    UNION ALL
    SELECT counted.channel, true
    FROM jsonb_object_keys(CASE jsonb_typeof(head.metadata -> 'counters_since_delta_snapshot')
        WHEN 'object' THEN head.metadata -> 'counters_since_delta_snapshot' ELSE '{{}}' END)
        AS counted (channel)
    WHERE head.header -> 'channel_versions' ? counted.channel
        AND NOT head.channel_values ? counted.channel
) AS c
CROSS JOIN LATERAL (
    WITH RECURSIVE chain AS (
        -- The checkpoint that has the channel's value, after those that only have writes to it.
        SELECT 0 AS depth, head.checkpoint_id, head.parent_checkpoint_id, head.created_at,
            head.channel_values -> c.channel AS stored
        UNION ALL
        SELECT chain.depth + 1, h.checkpoint_id, h.parent_checkpoint_id, h.created_at,
            h.channel_values -> c.channel
        FROM chain
        -- (OFFSET 0: by its whole key. Without statistics, and for who asks of many threads, the planner
        -- might read all checkpoints of the thread for each.)
        CROSS JOIN LATERAL (
            SELECT h.* FROM {rows_of_history} AS h
            WHERE h.thread_id = t.thread_id AND h.checkpoint_ns = t.checkpoint_ns
                AND h.checkpoint_id = chain.parent_checkpoint_id
            OFFSET 0
        ) AS h
        WHERE chain.stored IS NULL AND chain.depth < 1000000
    ), whole AS (
        -- A value in one piece, a write's too: what is a list of messages, or one message.
        SELECT -1 AS depth, NULL::text COLLATE "C" AS task_path, NULL::text COLLATE "C" AS task_id,
            NULL::integer AS idx, coalesce(i.created_at, chain.created_at) AS created_at,
            coalesce(i.item, chain.stored) AS value
        FROM chain
        LEFT JOIN LATERAL (
            SELECT i.item, i.created_at
            FROM {rows_of_items} AS i
            WHERE i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
                AND i.item_id = (chain.stored ->> '$item')::bigint
            UNION ALL
            -- A message as a dict, an item an entry.
            SELECT jsonb_object_agg(i.item ->> 0, i.item -> 1), max(i.created_at)
            FROM jsonb_array_elements(chain.stored -> '$dict') AS run (bounds)
            JOIN {rows_of_items} AS i ON i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
                AND i.item_id >= (run.bounds ->> 0)::bigint
                AND i.item_id < (run.bounds ->> 1)::bigint
            HAVING bool_or(i.item ->> 0 = 'content')
        ) AS i ON jsonb_typeof(chain.stored) = 'object'
        WHERE chain.stored IS NOT NULL AND NOT chain.stored ? '$list'
        UNION ALL
        SELECT 1000000 - chain.depth, w.task_path, w.task_id, w.idx, w.created_at, w.value
        FROM chain
        CROSS JOIN LATERAL (
            SELECT w.* FROM {rows_of_writes} AS w
            WHERE w.thread_id = t.thread_id AND w.checkpoint_ns = t.checkpoint_ns
                AND w.checkpoint_id = chain.checkpoint_id AND w.channel = c.channel
            OFFSET 0
        ) AS w
        WHERE chain.depth > 0
    ), element AS (
        SELECT -1 AS depth, NULL::text COLLATE "C" AS task_path, NULL::text COLLATE "C" AS task_id,
            NULL::integer AS idx, run.position, i.item_id, i.created_at, i.item AS value,
            false AS is_overwrite
        FROM chain
        CROSS JOIN LATERAL jsonb_array_elements(
            CASE jsonb_typeof(chain.stored) WHEN 'object' THEN chain.stored -> '$list' END)
            WITH ORDINALITY AS run (bounds, position)
        JOIN {rows_of_items} AS i ON i.thread_id = t.thread_id AND i.checkpoint_ns = t.checkpoint_ns
            AND i.item_id >= (run.bounds ->> 0)::bigint
            AND i.item_id < (run.bounds ->> 1)::bigint
        UNION ALL
        SELECT whole.depth, whole.task_path, whole.task_id, whole.idx, part.position, 0,
            whole.created_at, part.value,
            coalesce(whole.value ->> '$type' = 'Overwrite', false)
        FROM whole
        CROSS JOIN LATERAL (SELECT CASE
            WHEN whole.value ->> '$type' IN ('Overwrite',
                'langgraph.checkpoint.serde.types:_DeltaSnapshot') THEN whole.value -> 'value'
            ELSE whole.value END) AS inside (value)
        -- (An Overwrite with an empty list counts, too.)
        LEFT JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(inside.value)
            WHEN 'array' THEN inside.value ELSE jsonb_build_array(inside.value) END)
            WITH ORDINALITY AS part (value, position) ON true
    ), numbered AS (
        SELECT element.*, row_number() OVER (ORDER BY element.depth, element.task_path,
            element.task_id, element.idx, element.position, element.item_id) AS number,
            CASE WHEN c.is_delta THEN element.value ->> 'id' END AS same
        FROM element
    ), merged AS (
        -- Each message of a DeltaChannel knows where its id came first and last, since it was removed
        -- or the channel was overwritten.
        SELECT kept.*,
            min(kept.number) OVER (PARTITION BY kept.same, kept.alone) AS first,
            max(kept.number) OVER (PARTITION BY kept.same, kept.alone) AS last
        FROM (
            SELECT n.*, CASE WHEN n.same IS NULL THEN n.number END AS alone,
                max(n.number) FILTER (WHERE n.value ->> '$type' = 'remove')
                    OVER (PARTITION BY n.same) AS removed,
                (SELECT min(o.number) FROM numbered AS o WHERE o.is_overwrite AND (
                    o.depth, o.task_path, o.task_id, o.idx) = (
                    SELECT l.depth, l.task_path, l.task_id, l.idx FROM numbered AS l
                    WHERE l.is_overwrite ORDER BY l.number DESC LIMIT 1)) AS reset
            FROM numbered AS n
        ) AS kept
        WHERE kept.value IS NOT NULL AND kept.number >= coalesce(kept.reset, 0)
            AND (kept.same IS NULL OR kept.number > coalesce(kept.removed, 0))
    )
    SELECT row_number() OVER (ORDER BY merged.first) - 1 AS position, merged.created_at,
        merged.value
    FROM merged
    WHERE merged.number = merged.last
) AS said
CROSS JOIN LATERAL (SELECT said.value) AS m (message)
CROSS JOIN LATERAL (
    -- A class of the application's has its own tag, and the field type of the class that it is of.
    SELECT CASE WHEN m.message ->> '$type' LIKE '%:%' THEN m.message ->> 'type'
        ELSE coalesce(m.message ->> '$type', m.message ->> 'role') END
    WHERE jsonb_typeof(m.message) = 'object' AND m.message ? 'content'
) AS tag (name)
CROSS JOIN LATERAL (
    SELECT CASE WHEN tag.name LIKE '%MessageChunk' THEN lower(left(tag.name, -12))
        WHEN tag.name = 'user' THEN 'human' WHEN tag.name = 'assistant' THEN 'ai'
        WHEN tag.name = 'developer' THEN 'system' ELSE tag.name END
) AS kind (type)
WHERE t.checkpoint_ns = ''
    AND kind.type IN ('human', 'ai', 'system', 'tool', 'function', 'chat');

-- The history, one row a checkpoint: which nodes ran, what changed, what was asked.
CREATE VIEW {steps}{as_invoker} AS
SELECT h.thread_id, h.checkpoint_ns, h.checkpoint_id, h.parent_checkpoint_id, h.run_id,
    jsonb_path_query_first(h.metadata, 'strict $.step
        ? (@.floor() == @ && @.abs() <= 9223372036854775807)', '{{}}', true)::bigint AS step,
    h.metadata ->> 'source' AS source,
    CASE WHEN p.checkpoint_id IS NOT NULL THEN ARRAY(
        SELECT ran.node
        FROM jsonb_each(CASE jsonb_typeof(h.header -> 'versions_seen')
            WHEN 'object' THEN h.header -> 'versions_seen' END) AS ran (node, seen)
        WHERE jsonb_typeof(ran.seen) = 'object' AND ran.seen <> '{{}}'
            AND ran.seen IS DISTINCT FROM p.header -> 'versions_seen' -> ran.node
            AND ran.node NOT IN ('__input__', '__start__', '__interrupt__')
        UNION
        SELECT sent.send ->> 'node'
        FROM jsonb_array_elements(CASE jsonb_typeof(p.channel_values -> '__pregel_tasks')
            WHEN 'array' THEN p.channel_values -> '__pregel_tasks' END) AS sent (send)
        WHERE h.metadata ->> 'source' = 'loop' AND sent.send ->> '$type' = 'Send'
        UNION
        SELECT i.item ->> 'node'
        FROM jsonb_array_elements(p.channel_values -> '__pregel_tasks' -> '$list') AS run (bounds)
        -- (OFFSET 0: as below, or all items of the thread might be read for each checkpoint.)
        CROSS JOIN LATERAL (
            SELECT i.item FROM {rows_of_items} AS i
            WHERE i.thread_id = p.thread_id AND i.checkpoint_ns = p.checkpoint_ns
                AND i.item_id >= (run.bounds ->> 0)::bigint
                AND i.item_id < (run.bounds ->> 1)::bigint
            OFFSET 0
        ) AS i
        WHERE h.metadata ->> 'source' = 'loop' AND i.item ->> '$type' = 'Send'
        ORDER BY 1
    ) END AS nodes,
    ARRAY(
        SELECT version.channel
        FROM jsonb_each(CASE jsonb_typeof(h.header -> 'channel_versions')
            WHEN 'object' THEN h.header -> 'channel_versions' END) AS version (channel, number)
        WHERE version.number IS DISTINCT FROM p.header -> 'channel_versions' -> version.channel
            AND version.channel NOT LIKE '\_\_%'
            AND version.channel NOT LIKE 'branch:to:%' AND version.channel NOT LIKE 'join:%'
        ORDER BY 1
    ) AS changed_channels,
    h.created_at, h.created_at - p.created_at AS since_parent,
    pending.is_interrupted, pending.is_waiting, pending.interrupts, pending.open_interrupts, pending.error,
    NOT EXISTS (
        SELECT 1 FROM {rows_of_history} AS later
        WHERE later.thread_id = h.thread_id AND later.checkpoint_ns = h.checkpoint_ns
            AND later.checkpoint_id > h.checkpoint_id
    ) AS is_newest
FROM {rows_of_history} AS h
-- (OFFSET 0: by its whole key. Before the first ANALYZE the planner might compare each checkpoint of a
-- thread with each.)
LEFT JOIN LATERAL (
    SELECT * FROM {rows_of_history} AS p
    WHERE p.thread_id = h.thread_id AND p.checkpoint_ns = h.checkpoint_ns
        AND p.checkpoint_id = h.parent_checkpoint_id
    OFFSET 0
) AS p ON true
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(w.channel = '__interrupt__'), false) AS is_interrupted,
        coalesce(bool_or(w.channel = '__interrupt__' AND NOT task.is_done), false) AS is_waiting,
        jsonb_agg(asked.interrupt -> 'value' ORDER BY w.task_path, w.task_id, asked.position)
            FILTER (WHERE asked.interrupt IS NOT NULL) AS interrupts,
        jsonb_agg(asked.interrupt -> 'value' ORDER BY w.task_path, w.task_id, asked.position)
            FILTER (WHERE asked.interrupt IS NOT NULL AND NOT task.is_done) AS open_interrupts,
        string_agg(DISTINCT coalesce(w.value ->> 'message', w.blob_type), E'\n')
            FILTER (WHERE w.channel = '__error__') AS error
    FROM {rows_of_writes} AS w
    LEFT JOIN LATERAL jsonb_array_elements(CASE
        WHEN w.channel <> '__interrupt__' THEN NULL
        WHEN jsonb_typeof(w.value) = 'array' THEN w.value
        WHEN jsonb_typeof(w.value -> 'items') = 'array' THEN w.value -> 'items' END)
        WITH ORDINALITY AS asked (interrupt, position) ON true
    -- A task that is done wrote something, its answers and errors apart; LangGraph tells it so, too.
    CROSS JOIN LATERAL (SELECT EXISTS (
        SELECT 1 FROM {rows_of_writes} AS o
        WHERE o.thread_id = h.thread_id AND o.checkpoint_ns = h.checkpoint_ns
            AND o.checkpoint_id = h.checkpoint_id AND o.task_id = w.task_id AND o.channel NOT IN (
                '__interrupt__', '__resume__', '__error__', '__error_source_node__')
    )) AS task (is_done)
    WHERE w.thread_id = h.thread_id AND w.checkpoint_ns = h.checkpoint_ns
        AND w.checkpoint_id = h.checkpoint_id AND w.channel IN ('__interrupt__', '__error__')
) AS pending;
