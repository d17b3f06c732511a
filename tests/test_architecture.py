"""Who may import whom, so that data flows one way; see docs/design.md."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import langgraph_pg_snapshot

PACKAGE = "langgraph_pg_snapshot"
ROOT = Path(langgraph_pg_snapshot.__file__).parent

# Each room, and the rooms that it may look into (itself aside).
MAY_IMPORT = {
    "errors": set(),
    "_arguments": {"errors"},
    "models": {"errors", "_arguments"},
    "pictures": set(),
    "listings": {"pictures"},
    "serializer": {"errors", "_arguments", "_forks", "_addressed"},
    "sql": {"errors", "_arguments"},
    "_forks": set(),
    "_addressed": set(),
    "_conninfo": {"errors"},
    "_plans": {
        *("errors", "_arguments", "models", "listings", "pictures", "serializer", "sql", "_forks"),
        "_addressed",
    },
    "_drivers": {"errors", "_plans", "_forks"},
    "_operation": {"errors", "_drivers"},
    "_lifecycle": {
        *("errors", "_arguments", "sql", "_plans", "_drivers", "_operation", "embedded"),
        "_conninfo",
    },
    "_calls": {
        *("errors", "_arguments", "models", "listings", "pictures", "sql", "_plans", "_operation"),
        *("_lifecycle", "_addressed"),
    },
    "_base": {
        *("errors", "_arguments", "models", "serializer", "sql", "_plans", "_lifecycle", "_calls"),
        "embedded",
    },
    "_hooks": {"_plans", "_calls", "_base"},
    "_threads": {"models", "listings", "pictures", "_calls", "_base"},
    "_retention": {"models", "_calls", "_base"},
    "_exclusive": {"errors", "models", "_plans", "_lifecycle", "_calls", "_base"},
    "saver": {"_hooks", "_threads", "_retention", "_exclusive"},
    "transfer": {
        *("errors", "models", "serializer", "sql", "_plans", "_operation", "_lifecycle", "saver"),
        *("_arguments", "_conninfo"),
    },
    "embedded": {"errors", "_arguments"},
    "cli": {
        *("errors", "models", "listings", "pictures", "saver", "serializer", "sql", "_plans"),
        *("transfer", "embedded", "_arguments", "_conninfo"),
    },
    "__main__": {"cli"},
    "server": {"errors", "saver", "_conninfo"},
    "__init__": {"errors", "models", "listings", "pictures", "saver", "serializer", "sql"},
}
MODULES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """The modules of ours that a file imports, as dotted names below the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            # `from .x import y` stays in its room, more dots would leave it
            found.add(room_of(path) if node.level == 1 else "." * node.level)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            if node.module == PACKAGE:
                found |= {alias.name for alias in node.names}
            else:
                found.add((node.module or "").removeprefix(f"{PACKAGE}."))
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix(f"{PACKAGE}.")
                for alias in node.names
                if alias.name.startswith(f"{PACKAGE}.")
            }
    return found


def test_every_room_has_a_rule() -> None:
    assert {room_of(path) for path in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    rooms = {name.partition(".")[0] for name in imports_of(path)} - {room}
    assert rooms <= MAY_IMPORT[room]


def test_drivers_know_of_plans_only_their_steps() -> None:
    seen = set[str]()
    for path in MODULES:
        if room_of(path) == "_drivers":
            seen |= {name for name in imports_of(path) if name.startswith("_plans")}
    assert seen == {"_plans.steps"}


def test_plans_touch_no_connection() -> None:
    for path in MODULES:
        if room_of(path) in ("_plans", "serializer", "models"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in getattr(node, "names", ()) if alias]
                modules = [getattr(node, "module", None) or "", *names]
                assert not any(name.startswith("psycopg") for name in modules), path
