"""Items that people edit in the database, as docs/serializer.md says to."""

from __future__ import annotations

import psycopg

from langgraph_pg_snapshot import PostgresSnapshotSaver


def test_an_item_that_is_edited_without_its_digest_is_not_taken_for_the_old_one(ready_database):
    before = {"rows": [{"text": f"{number} " * 30} for number in range(20)]}
    with PostgresSnapshotSaver(ready_database) as saver:
        saver.save_state("thread", before)
    with psycopg.connect(ready_database, autocommit=True) as conn:
        edited = conn.execute(
            "UPDATE agent_checkpoints_items SET digest = NULL,"
            """ item = jsonb_set(item, '{text}', '"edited"') WHERE item ->> 'text' LIKE '3 %'"""
        )
        assert edited.rowcount == 1
    with PostgresSnapshotSaver(ready_database) as saver:
        loaded = saver.load_state("thread")
        assert loaded["rows"][3] == {"text": "edited"}
        assert loaded["rows"][4:] == before["rows"][4:]
        saver.save_state("thread", before)
    with PostgresSnapshotSaver(ready_database) as saver:
        assert saver.load_state("thread") == before
