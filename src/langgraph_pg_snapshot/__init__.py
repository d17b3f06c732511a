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
from langgraph_pg_snapshot.models import (
    CheckpointInfo,
    RemovalReport,
    RetentionPolicy,
    SchemaStatus,
    StorageStats,
    TableSize,
    ThreadInfo,
    ThreadSize,
    UnloadableValue,
)
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
