"""Parameters as the drivers send them: PostgreSQL reads from them what was meant."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langgraph_pg_snapshot import PostgresSnapshotSaver
from langgraph_pg_snapshot._drivers.parameters import introduce, untyped

# What text can't hold, PostgreSQL has no place for either: NUL, and halves of characters.
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])) | (
    # what arrays are written with
    st.text('{}[]=,"\\ \t\nNULnull0x')
)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
CASES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.none() | TEXTS,
    "bigint": st.none() | NUMBERS,
    "boolean": st.none() | st.booleans(),
    "bytea": st.none() | st.binary(),
    "text[]": st.lists(st.none() | TEXTS),
    "bigint[]": st.lists(st.none() | NUMBERS),
    "bytea[]": st.lists(st.none() | st.binary()),
}
LARGE = 3_000  # characters or bytes: arrays go in binary then


@pytest.mark.parametrize("kind", CASES)
def test_value_arrives_as_it_is(database, kind):
    with psycopg.connect(database) as conn:
        introduce(conn)

        @settings(
            max_examples=60,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(CASES[kind])
        def arrives(value: Any) -> None:
            assert received(conn, kind, value) == value
            if isinstance(value, list):
                much = [*value, *large(kind), *value]
                assert received(conn, kind, much) == much

        arrives()


def received(conn: psycopg.Connection[Any], kind: str, value: Any) -> Any:
    query = f"SELECT %(value)s::{kind}"
    [(found,)] = conn.execute(query, untyped({"value": value}), binary=True).fetchall()
    return found


def large(kind: str) -> list[Any]:
    return {"text[]": ['"é"' * LARGE], "bytea[]": [bytes(LARGE)], "bigint[]": [2**62] * LARGE}[kind]


@pytest.mark.parametrize("value", [["é" * LARGE], ["é"]])
def test_text_is_sent_in_the_encoding_of_the_connection(database, value):
    with psycopg.connect(database, client_encoding="latin1") as conn:
        introduce(conn)
        assert received(conn, "text[]", value) == value


def test_text_is_sent_as_utf_8_where_there_is_no_encoding(database):
    """As psycopg sends other text."""
    with psycopg.connect(database, client_encoding="SQL_ASCII") as conn:
        introduce(conn)
        for value in ("é" * LARGE, "é"):
            assert received(conn, "text[]", [value]) == [value.encode()]


def test_a_statement_is_prepared_once_however_large_its_arrays_are(database):
    with psycopg.connect(database, prepare_threshold=0) as conn:
        introduce(conn)
        for value in ([], [None], ["a"], ["a" * LARGE], [None, "a" * LARGE]):
            assert received(conn, "text[]", value) == value
        prepared = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%text[]'"
        assert conn.execute(prepared).fetchall() == [(1,)]


def test_connection_of_before_and_of_adapters_of_its_own(database):
    """What an application's connection knew before it came to us does not matter."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.adapters.register_dumper(bytes, psycopg.types.string.BytesDumper)
        conn.adapters.register_dumper(list, psycopg.types.array.ListDumper)
        state = {"words": ["word" * LARGE], "blob": bytes(LARGE)}
        with PostgresSnapshotSaver(conn) as saver:
            saver.save_state("thread", state)
            assert saver.load_state("thread") == state
