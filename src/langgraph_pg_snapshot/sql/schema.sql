-- Statements that look at and make the schema.

-- name: schema_state
-- What stands under our names: the migrations table, the view's name (and what kind it is).
SELECT
    to_regclass(%(migrations)s::text) IS NOT NULL AS has_migrations,
    (SELECT c.relkind::text FROM pg_catalog.pg_class AS c
     WHERE c.oid = to_regclass(%(view)s::text)) AS view_kind,
    to_regclass(%(threads)s::text) IS NOT NULL AS has_threads

-- name: schema_version
-- The newest migration that was applied here.
SELECT max(version) FROM {migrations}

-- name: lock_schema
-- One process at a time changes a schema: the lock goes with the transaction, so it is safe behind
-- a transaction pooler.
SELECT pg_advisory_xact_lock(hashtextextended(%(name)s::text, 0))

-- name: schema_exists
-- Whether the schema that was asked for is there (CREATE SCHEMA wants rights even if it is).
SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s::text

-- name: create_schema
-- Make the schema that was asked for.
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: create_migrations
-- The record of what was applied when.
CREATE TABLE {migrations} (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: record_migration
-- Note one migration as applied.
INSERT INTO {migrations} (version, name) VALUES (%(version)s::integer, %(name)s::text)
