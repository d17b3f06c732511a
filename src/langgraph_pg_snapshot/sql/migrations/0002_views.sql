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
