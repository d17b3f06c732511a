-- Statements that look at and make the schema.

-- name: schema_state
-- Which of our names are taken; whether the table of migrations is ours (has these columns); whether
-- the tables were made for tenants. (to_regclass also finds what was committed since the statement
-- began, whose rows in the catalogs it can't see yet: half of it would look like somebody else's.)
SELECT
    ARRAY(SELECT taken.name FROM unnest(%(names)s::text[]) AS taken (name)
          JOIN pg_catalog.pg_class AS c ON c.oid = to_regclass(taken.name)),
    (SELECT count(*) FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = to_regclass(%(migrations)s::text) AND NOT a.attisdropped
         AND a.attname IN ('version', 'name', 'applied_at')) = 3,
    EXISTS (
        SELECT 1 FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = to_regclass(%(threads)s::text) AND NOT a.attisdropped
            AND a.attname = 'tenant')

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

-- name: isolate
-- Have a table for tenants show and take only rows of the tenant whose turn it is, whoever owns it. (A
-- policy without WITH CHECK goes for new rows, too.) Restrictive, so that no policy that someone adds
-- opens it; there has to be a permissive one, too, or no row is ever seen.
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY any_row ON {table} USING (true);
CREATE POLICY one_tenant ON {table} AS RESTRICTIVE USING (tenant = {tenant});
COMMENT ON COLUMN {table}.tenant IS 'whose row it is'

-- name: tenant_column
-- (Part of DDL.) The first column of a table for tenants.
tenant text COLLATE "C" NOT NULL DEFAULT {tenant},

-- name: rows_of_tenant
-- (Part of DDL.) What a view sees of a table for tenants. Row security alone would let a superuser see
-- threads of the same name mixed.
(SELECT * FROM {table} WHERE tenant = {tenant})

-- name: tenant
-- (Part of DDL.) The tenant whose turn it is; null if nobody said. (What was set for one transaction
-- is empty after it.)
nullif(current_setting('langgraph_pg_snapshot.tenant', true), '')

-- name: set_tenant
-- Say whose turn it is, until the transaction ends. Where row security does not hold for this role on
-- one of the tables, that is an error (there is no such parameter), so that nothing follows.
SELECT set_config(
    CASE WHEN (
        SELECT bool_and(row_security_active(to_regclass(kept.name)))
        FROM unnest({kept_apart}::text[]) AS kept (name)
    ) IS FALSE THEN 'row_security_does_not_hold' ELSE 'langgraph_pg_snapshot.tenant' END,
    %(tenant)s::text, true)

-- name: record_migration
-- Note one migration as applied.
INSERT INTO {migrations} (version, name) VALUES (%(version)s::integer, %(name)s::text)
