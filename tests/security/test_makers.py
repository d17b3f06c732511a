"""What makes savers, policies, serializers, sources and scripts: hostile values are refused."""

from __future__ import annotations

import inspect
from contextlib import suppress

import pytest
from corpus import CORPUS

from langgraph_pg_snapshot import (
    PostgresSnapshotSaver,
    RetentionPolicy,
    SnapshotError,
    SnapshotSerializer,
    rights_sql,
    schema_sql,
)
from langgraph_pg_snapshot.embedded import EmbeddedServer
from langgraph_pg_snapshot.transfer import (
    AnySaver,
    OfficialTables,
    PlainTable,
    SqliteFile,
    aexport_threads,
    aimport_threads,
    export_threads,
    import_threads,
)

NOWHERE = "host=127.0.0.1 port=1 connect_timeout=1"


def saver():
    return PostgresSnapshotSaver(NOWHERE, min_size=0, timeout=0.05, deadline=1)


# Each maker, with the arguments that it can't do without.
MAKERS = {
    PostgresSnapshotSaver: lambda: {"conninfo": NOWHERE},
    PostgresSnapshotSaver.from_conn_string: lambda: {"conn_string": NOWHERE},
    RetentionPolicy: dict,
    SnapshotSerializer: dict,
    OfficialTables: lambda: {"conninfo": NOWHERE},
    PlainTable: lambda: {"conninfo": NOWHERE},
    SqliteFile: dict,
    AnySaver: dict,
    schema_sql: dict,
    rights_sql: dict,
}
NAMES = [each.__qualname__ for each in MAKERS]


def odd_error_of(function, given):
    """What a call raised, if that is no error for bad arguments."""
    try:
        function(**given)
    except (SnapshotError, TypeError, ValueError):
        return None
    except Exception as error:  # noqa: BLE001 -- that is what must not come
        return repr(error)[:80]
    return None


@pytest.mark.parametrize("maker", MAKERS, ids=NAMES)
def test_making(maker):
    wrong = []
    for argument in inspect.signature(maker).parameters:
        for name, make in CORPUS.items():
            if odd := odd_error_of(maker, {**MAKERS[maker](), argument: make()}):
                wrong.append((argument, name, odd))
    assert wrong == []


@pytest.mark.parametrize("function", [import_threads, export_threads], ids=lambda f: f.__name__)
def test_transfers(function, tmp_path):
    """The server does not exist, so that what is taken ends with an error of ours, too."""
    wrong = []
    other = "source" if function is import_threads else "target"
    for argument in inspect.signature(function).parameters:
        for name, make in CORPUS.items():
            given = {"saver": saver(), other: OfficialTables(NOWHERE), argument: make()}
            if odd := odd_error_of(function, given):
                wrong.append((argument, name, odd))
    assert wrong == []


async def test_async_transfers():
    for function in (aimport_threads, aexport_threads):
        for name in ("None", "7", "hostile", "cyclic list"):
            with pytest.raises((SnapshotError, TypeError)):
                await function(saver(), CORPUS[name]())


def test_embedded_servers():
    """What no path, port, directory or setting can be; nothing is started."""
    taken = []
    for argument in ("port", "settings", "bindir", "timeout", "path"):
        for name, make in CORPUS.items():
            value = make()
            if isinstance(value, (str, type(None))) and "\x00" not in str.__str__(value or ""):
                continue  # (a path may have any name)
            with suppress(SnapshotError, TypeError, ValueError):
                EmbeddedServer.start(**{"bindir": "/nowhere", argument: value}).stop()
                taken.append((argument, name))
    assert taken == []
