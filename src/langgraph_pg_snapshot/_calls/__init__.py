"""Checks the arguments of each operation and makes a call of it: what the twins share."""

from __future__ import annotations

from functools import partial

from langgraph_pg_snapshot._lifecycle import Call
from langgraph_pg_snapshot._operation import Operation
from langgraph_pg_snapshot._plans.setup import schema_status, set_up
from langgraph_pg_snapshot.models import SchemaStatus
from langgraph_pg_snapshot.sql import Queries


def setup(queries: Queries) -> Call[None]:
    """Make the schema."""
    return Call(Operation("setup", queries.label), partial(set_up, queries))


def check_schema(queries: Queries) -> Call[SchemaStatus]:
    """Look at the schema."""
    return Call(Operation("check_schema", queries.label), partial(schema_status, queries))
