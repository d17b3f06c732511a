-- Statements that look at and make the schema.

-- name: schema_state
-- Which of our names are taken, and whether the table of migrations is ours (has these columns).
SELECT
    ARRAY(SELECT taken.name FROM unnest(%(names)s::text[]) AS taken (name)
          WHERE to_regclass(taken.name) IS NOT NULL),
    (SELECT count(*) FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = to_regclass(%(migrations)s::text) AND NOT a.attisdropped
         AND a.attname IN ('version', 'name', 'applied_at')) = 3

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
