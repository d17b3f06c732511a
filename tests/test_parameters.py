"""Parameters as the drivers send them: PostgreSQL reads from their text what was meant."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langgraph_pg_snapshot._drivers.parameters import as_text

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


@pytest.mark.parametrize("kind", CASES)
def test_value_arrives_as_it_is(database, kind):
    with psycopg.connect(database) as conn:

        @settings(
            max_examples=60,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(CASES[kind])
        def arrives(value: Any) -> None:
            query = f"SELECT %(value)s::{kind}"
            rows = conn.execute(query, as_text({"value": value}), binary=True).fetchall()
            assert rows == [(value,)]

        arrives()
