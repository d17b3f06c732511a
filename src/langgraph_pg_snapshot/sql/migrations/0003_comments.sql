-- What each relation and column is, for who looks around with psql's \d+.

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
COMMENT ON TABLE {metadata} IS 'What runs said of a thread: the newest value of each key of its checkpoints'' metadata';
COMMENT ON TABLE {erased} IS 'Threads, and runs of threads, that were erased: what comes late from a run that was under way is not stored';
COMMENT ON COLUMN {erased}.run_id IS 'the run that was erased; empty: the whole thread was';
COMMENT ON VIEW {view} IS 'The newest state of each LangGraph thread (root namespace), as plain JSON';
