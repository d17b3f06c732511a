"""Moving in from other savers, and out again: threads are copied and compared, both ways.

    from langgraph_pg_snapshot import PostgresSnapshotSaver
    from langgraph_pg_snapshot.transfer import OfficialTables, import_threads

    report = import_threads(PostgresSnapshotSaver(dsn), OfficialTables(dsn))

None of the other savers' packages has to be installed to import from their tables.
"""

from langgraph_pg_snapshot.transfer.faces import (
    aexport_threads,
    aimport_threads,
    export_threads,
    import_threads,
)
from langgraph_pg_snapshot.transfer.official import OfficialTables
from langgraph_pg_snapshot.transfer.plain import PlainTable
from langgraph_pg_snapshot.transfer.report import (
    ExportReport,
    ImportReport,
    Problem,
    Progress,
    TransferReport,
)
from langgraph_pg_snapshot.transfer.savers import AnySaver
from langgraph_pg_snapshot.transfer.sqlite import SqliteFile

__all__ = [
    "AnySaver",
    "ExportReport",
    "ImportReport",
    "OfficialTables",
    "PlainTable",
    "Problem",
    "Progress",
    "SqliteFile",
    "TransferReport",
    "aexport_threads",
    "aimport_threads",
    "export_threads",
    "import_threads",
]
