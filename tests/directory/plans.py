"""The plans of the statements that a saver sends, as the server executed them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from langgraph_pg_snapshot import PostgresSnapshotSaver

SETTINGS = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "client_min_messages": "log",
    # One process does the work, so that its figures are all there are.
    "max_parallel_workers_per_gather": "0",
}


@contextmanager
def watched(dsn: str, **settings: str) -> Iterator[tuple[PostgresSnapshotSaver, Explain]]:
    """A saver on one connection that tells the plan of each statement it executes."""
    plans: list[dict[str, Any]] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        head, _, text = (diagnostic.message_primary or "").partition("plan:\n")
        if head.startswith("duration"):
            plans.append(json.loads(text)["Plan"])

    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("LOAD 'auto_explain'")
        for name, value in (SETTINGS | settings).items():
            conn.execute("SELECT set_config(%s, %s, false)", [name, value])
        conn.add_notice_handler(note)
        yield PostgresSnapshotSaver(conn, auto_setup=False), Explain(conn, plans)


class Explain:
    """Calls something, and tells what became of its last statement.

    Attributes:
        conn: The connection.
    """

    def __init__(self, conn: psycopg.Connection[Any], plans: list[dict[str, Any]]) -> None:
        self.conn = conn
        self._plans = plans

    def __call__(self, work: Callable[[], Any]) -> Plan:
        return self.all(work)[-1]

    def all(self, work: Callable[[], Any]) -> list[Plan]:
        """The plans of all its statements."""
        self._plans.clear()
        work()
        return [Plan(each) for each in self._plans]


class Plan:
    """A plan with what its execution took.

    Attributes:
        nodes: Every node of the plan.
        indexes: The indexes it went by.
        scanned: How many rows were read from each table, discarded ones included.
        scans: The kinds of scan of each table.
        buffers: How many pages were touched.
        touched: The most rows that one node was asked for, those it threw away among them.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self.nodes = list(_nodes(root))
        self.indexes = {node["Index Name"] for node in self.nodes if "Index Name" in node}
        self.buffers = root["Shared Hit Blocks"] + root["Shared Read Blocks"]
        self.touched = max(map(_asked_for, self.nodes))
        self.scanned: dict[str, float] = {}
        self.scans: dict[str, set[str]] = {}
        for node in self.nodes:
            if "Relation Name" in node:
                rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                rows += node.get("Rows Removed by Index Recheck", 0)
                table = node["Relation Name"].removeprefix("agent_checkpoints_")
                self.scans.setdefault(table, set()).add(node["Node Type"])
                self.scanned[table] = self.scanned.get(table, 0) + rows * node["Actual Loops"]

    def __repr__(self) -> str:
        return "\n".join(
            f"{n['Node Type']} {n.get('Relation Name', '')} {n.get('Index Name', '')}"
            f" rows={n['Actual Rows']} loops={n['Actual Loops']}"
            for n in self.nodes
        )


def _asked_for(node: dict[str, Any]) -> float:
    thrown = sum(count for key, count in node.items() if key.startswith("Rows Removed"))
    return node["Actual Loops"] * (node["Actual Rows"] + thrown)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
