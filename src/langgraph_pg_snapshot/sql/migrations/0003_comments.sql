-- What each relation and column is, for who looks around with psql's \d+.

COMMENT ON TABLE {threads} IS 'LangGraph threads: one row a thread and namespace';
COMMENT ON COLUMN {threads}.thread_id IS 'the thread, as the application names it';
COMMENT ON COLUMN {threads}.checkpoint_ns IS 'whose state it is: empty for the graph itself, else the path of a subgraph';
COMMENT ON COLUMN {threads}.created_at IS 'when its first checkpoint was stored';
COMMENT ON COLUMN {threads}.updated_at IS 'when its newest checkpoint was stored';
COMMENT ON COLUMN {threads}.appended IS 'how many items the log was ever given: tells a writer whether it knows its end';
COMMENT ON COLUMN {threads}.next_items IS 'the number that the next item gets, by channel; each list has a billion of its own';
COMMENT ON COLUMN {threads}.epoch IS 'changes when items are removed, so that no writer trusts old numbers';

COMMENT ON TABLE {history} IS 'LangGraph checkpoints: one row each';
COMMENT ON COLUMN {history}.thread_id IS 'the thread';
COMMENT ON COLUMN {history}.checkpoint_ns IS 'empty for the graph itself, else the path of a subgraph';
COMMENT ON COLUMN {history}.checkpoint_id IS 'the checkpoint; later ones are larger';
COMMENT ON COLUMN {history}.parent_checkpoint_id IS 'the checkpoint that it was made from; null: there is none, or it was removed';
COMMENT ON COLUMN {history}.run_id IS 'the run that left it, by its metadata';
COMMENT ON COLUMN {history}.created_at IS 'when it was stored';
COMMENT ON COLUMN {history}.header IS 'the checkpoint without its values: v, ts, channel_versions, versions_seen, …';
COMMENT ON COLUMN {history}.metadata IS 'what LangGraph (source, step, parents) and the run (user_id, …) say of it';
COMMENT ON COLUMN {history}.sealed_type IS 'which serializer wrote sealed';
COMMENT ON COLUMN {history}.sealed IS 'metadata, and what else of the header is the application''s, under a serializer that may encrypt';
COMMENT ON COLUMN {history}.channel_values IS 'channel → small value, or reference to items: $list, $dict (runs) or $item';
COMMENT ON COLUMN {history}.items IS 'every item that channel_values references';
COMMENT ON COLUMN {history}.item_count IS 'how many items that is';

COMMENT ON TABLE {items} IS 'The log of a thread: immutable values, as a rule one message or one dict entry each';
COMMENT ON COLUMN {items}.thread_id IS 'the thread';
COMMENT ON COLUMN {items}.checkpoint_ns IS 'empty for the graph itself, else the path of a subgraph';
COMMENT ON COLUMN {items}.item_id IS 'its number in the log, by which checkpoints reference it';
COMMENT ON COLUMN {items}.created_at IS 'when it was stored';
COMMENT ON COLUMN {items}.digest IS 'fingerprint of the value, by which a writer finds it stored already';
COMMENT ON COLUMN {items}.item IS 'the value as JSON; null: it is in blob';
COMMENT ON COLUMN {items}.blob_type IS 'which serializer wrote blob';
COMMENT ON COLUMN {items}.blob IS 'the value as bytes of another serializer';

COMMENT ON TABLE {writes} IS 'LangGraph pending writes: what tasks wrote after a checkpoint';
COMMENT ON COLUMN {writes}.thread_id IS 'the thread';
COMMENT ON COLUMN {writes}.checkpoint_ns IS 'empty for the graph itself, else the path of a subgraph';
COMMENT ON COLUMN {writes}.checkpoint_id IS 'the checkpoint that the task started from';
COMMENT ON COLUMN {writes}.task_id IS 'the task';
COMMENT ON COLUMN {writes}.idx IS 'which of the task''s writes; below zero: errors (-1), interrupts (-3), resume values (-4)';
COMMENT ON COLUMN {writes}.task_path IS 'where the task stands among those of its step: writes are applied in this order';
COMMENT ON COLUMN {writes}.run_id IS 'the run that wrote it, by its config; null: it did not say, and delete_for_runs knows it by its checkpoint only';
COMMENT ON COLUMN {writes}.channel IS 'the channel that was written to';
COMMENT ON COLUMN {writes}.value IS 'what was written, as JSON; null: it is in blob';
COMMENT ON COLUMN {writes}.blob_type IS 'which serializer wrote blob';
COMMENT ON COLUMN {writes}.blob IS 'what was written, as bytes of another serializer';
COMMENT ON COLUMN {writes}.created_at IS 'when it was stored';

COMMENT ON TABLE {metadata} IS 'What runs said of a thread: the newest value of each key of its checkpoints'' metadata';
COMMENT ON COLUMN {metadata}.thread_id IS 'the thread';
COMMENT ON COLUMN {metadata}.metadata IS 'user_id and the like, by key';

COMMENT ON TABLE {erased} IS 'Threads, and runs of threads, that were erased: what comes late from a run that was under way is not stored';
COMMENT ON COLUMN {erased}.thread_id IS 'the thread; empty: wherever the run was at work';
COMMENT ON COLUMN {erased}.run_id IS 'the run that was erased; empty: the whole thread was';
COMMENT ON COLUMN {erased}.erased_at IS 'when';
COMMENT ON COLUMN {erased}.up_to IS 'the newest checkpoint that was erased with the thread';

COMMENT ON TABLE {leases} IS 'Threads that someone has, or had lately, for himself (exclusive): one row each';
COMMENT ON COLUMN {leases}.thread_id IS 'the thread; it need not exist';
COMMENT ON COLUMN {leases}.token IS 'grows each time that the thread is taken: whoever stores with an older one is refused';
COMMENT ON COLUMN {leases}.holder IS 'host, process and a number of the block that took it last';
COMMENT ON COLUMN {leases}.acquired_at IS 'when it was taken';
COMMENT ON COLUMN {leases}.expires_at IS 'when it may be taken by others, unless it is renewed; null: it was given back';

COMMENT ON TABLE {migrations} IS 'The steps that made these tables';
COMMENT ON COLUMN {migrations}.version IS 'its number';
COMMENT ON COLUMN {migrations}.name IS 'its name';
COMMENT ON COLUMN {migrations}.applied_at IS 'when it was applied';

COMMENT ON VIEW {view} IS 'The newest state of each LangGraph thread (root namespace), as plain JSON';
COMMENT ON COLUMN {view}.thread_id IS 'the thread';
COMMENT ON COLUMN {view}.state IS 'channel → value; without LangGraph''s own channels, and DeltaChannels between two snapshots';
COMMENT ON COLUMN {view}.created_at IS 'when the thread''s first checkpoint was stored';
COMMENT ON COLUMN {view}.updated_at IS 'when its newest checkpoint was stored';

COMMENT ON VIEW {messages} IS 'The messages of the newest state of each LangGraph thread (root namespace), one row each';
COMMENT ON COLUMN {messages}.thread_id IS 'the thread';
COMMENT ON COLUMN {messages}.channel IS 'the channel that holds it, as a rule messages';
COMMENT ON COLUMN {messages}.position IS 'its place in the channel''s list, from 0';
COMMENT ON COLUMN {messages}.id IS 'the message''s id';
COMMENT ON COLUMN {messages}.type IS 'LangChain''s name: human, ai, system, tool, function, chat';
COMMENT ON COLUMN {messages}.role IS 'the model providers'' name: user, assistant, system, tool, function, or what a chat message says';
COMMENT ON COLUMN {messages}.name IS 'who said it, or the tool''s name';
COMMENT ON COLUMN {messages}.content IS 'its text: the content, or the text of its blocks in a row';
COMMENT ON COLUMN {messages}.tool_calls IS 'the calls that the model asks for: [{{name, args, id}}, …]';
COMMENT ON COLUMN {messages}.tool_call_id IS 'the call that a tool''s message answers';
COMMENT ON COLUMN {messages}.status IS 'of a tool''s message: success or error';
COMMENT ON COLUMN {messages}.model IS 'the model that said it, by its response metadata';
COMMENT ON COLUMN {messages}.input_tokens IS 'tokens that the model read for it';
COMMENT ON COLUMN {messages}.output_tokens IS 'tokens that the model wrote';
COMMENT ON COLUMN {messages}.total_tokens IS 'both';
COMMENT ON COLUMN {messages}.created_at IS 'when it was stored in this form';
COMMENT ON COLUMN {messages}.message IS 'all of it, as JSON';

COMMENT ON VIEW {steps} IS 'The history of each LangGraph thread: one row a checkpoint';
COMMENT ON COLUMN {steps}.thread_id IS 'the thread';
COMMENT ON COLUMN {steps}.checkpoint_ns IS 'empty for the graph itself, else the path of a subgraph';
COMMENT ON COLUMN {steps}.checkpoint_id IS 'the checkpoint; later ones are larger';
COMMENT ON COLUMN {steps}.parent_checkpoint_id IS 'the checkpoint before; null: there is none, or it was removed';
COMMENT ON COLUMN {steps}.run_id IS 'the run that left it, by its metadata';
COMMENT ON COLUMN {steps}.step IS 'LangGraph''s number of the superstep; -1 is the first input';
COMMENT ON COLUMN {steps}.source IS 'what made it: input, loop (a superstep), update (update_state) or fork';
COMMENT ON COLUMN {steps}.nodes IS 'the nodes that ran since the checkpoint before, by name; null: that one is not there';
COMMENT ON COLUMN {steps}.changed_channels IS 'the channels that changed since the checkpoint before, by name, without LangGraph''s own';
COMMENT ON COLUMN {steps}.created_at IS 'when it was stored';
COMMENT ON COLUMN {steps}.since_parent IS 'how long after the checkpoint before that was, waiting for people included';
COMMENT ON COLUMN {steps}.is_interrupted IS 'whether a node that ran from here asked something (interrupt)';
COMMENT ON COLUMN {steps}.is_waiting IS 'whether one of these did not finish since, so that it waits for an answer';
COMMENT ON COLUMN {steps}.interrupts IS 'what was asked: the values given to interrupt(), as a JSON array';
COMMENT ON COLUMN {steps}.open_interrupts IS 'those of nodes that did not finish since: what waits for an answer';
COMMENT ON COLUMN {steps}.error IS 'what nodes that ran from here failed with';
COMMENT ON COLUMN {steps}.is_newest IS 'whether it is the newest of its thread and namespace';
