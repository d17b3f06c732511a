"""LangGraph checkpoints as thread-keyed JSONB snapshots in PostgreSQL."""

from langgraph_pg_snapshot.errors import (
    ArgumentTypeError,
    ChannelNotStoredError,
    ConcurrentUpdateError,
    ConcurrentWriteError,
    ConnectionUnavailableError,
    DamagedThreadError,
    DeserializationError,
    InvalidArgumentError,
    LeaseLostError,
    SchemaConflictError,
    SchemaError,
    SchemaVersionError,
    SerializationError,
    SnapshotError,
    StorageError,
    TenantError,
    ThreadBusyError,
    TypeNotAllowedError,
    WrongColorError,
)
from langgraph_pg_snapshot.listings import (
    CheckpointInfo,
    StorageStats,
    TableSize,
    ThreadInfo,
    ThreadSize,
)
from langgraph_pg_snapshot.models import (
    RemovalReport,
    RetentionPolicy,
    SchemaStatus,
    ThreadLease,
    UnloadableValue,
)
from langgraph_pg_snapshot.pictures import HistoryGraph, HistoryStep
from langgraph_pg_snapshot.saver import PostgresSnapshotSaver
from langgraph_pg_snapshot.serializer import SnapshotSerializer
from langgraph_pg_snapshot.sql.script import rights_sql, schema_sql

__all__ = [
    "ArgumentTypeError",
    "ChannelNotStoredError",
    "CheckpointInfo",
    "ConcurrentUpdateError",
    "ConcurrentWriteError",
    "ConnectionUnavailableError",
    "DamagedThreadError",
    "DeserializationError",
    "HistoryGraph",
    "HistoryStep",
    "InvalidArgumentError",
    "LeaseLostError",
    "PostgresSnapshotSaver",
    "RemovalReport",
    "RetentionPolicy",
    "SchemaConflictError",
    "SchemaError",
    "SchemaStatus",
    "SchemaVersionError",
    "SerializationError",
    "SnapshotError",
    "SnapshotSerializer",
    "StorageError",
    "StorageStats",
    "TableSize",
    "TenantError",
    "ThreadBusyError",
    "ThreadInfo",
    "ThreadLease",
    "ThreadSize",
    "TypeNotAllowedError",
    "UnloadableValue",
    "WrongColorError",
    "rights_sql",
    "schema_sql",
]
