"""LangGraph checkpoints as thread-keyed JSONB snapshots in PostgreSQL."""

from langgraph_pg_snapshot.errors import (
    ArgumentTypeError,
    ChannelNotStoredError,
    ConcurrentWriteError,
    ConnectionUnavailableError,
    DamagedThreadError,
    DeserializationError,
    InvalidArgumentError,
    SchemaConflictError,
    SchemaError,
    SchemaVersionError,
    SerializationError,
    SnapshotError,
    StorageError,
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
    "ConcurrentWriteError",
    "ConnectionUnavailableError",
    "DamagedThreadError",
    "DeserializationError",
    "HistoryGraph",
    "HistoryStep",
    "InvalidArgumentError",
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
    "ThreadInfo",
    "ThreadSize",
    "TypeNotAllowedError",
    "UnloadableValue",
    "WrongColorError",
    "rights_sql",
    "schema_sql",
]
