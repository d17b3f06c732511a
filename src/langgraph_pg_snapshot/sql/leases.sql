-- Statements by which a block has a thread for itself. Nothing of it is bound to a session, so it works behind
-- a pooler; and the clock is the server's.

-- name: take_lease
-- Take a thread that nobody holds, or see who does: his name, and for how many seconds. Run again by the
-- same holder it finds the thread taken by himself. Who waits takes no lock.
WITH other AS MATERIALIZED (
    SELECT l.holder, extract(epoch FROM now() - l.acquired_at)::double precision AS held_for
    FROM {leases} AS l
    WHERE l.thread_id = %(thread_id)s::text AND l.holder <> %(holder)s::text
        AND l.expires_at > now()
), taken AS (
    INSERT INTO {leases} AS l (thread_id, token, holder, acquired_at, expires_at)
    -- Its row may have been removed meanwhile: a new one begins with the time, and tokens still grow
    SELECT %(thread_id)s::text, (1000000 * extract(epoch FROM now()))::bigint, %(holder)s::text,
        now(), now() + %(ttl)s::interval
    WHERE NOT EXISTS (SELECT 1 FROM other)
    ON CONFLICT ({tenant_key}thread_id) DO UPDATE SET
        token = greatest(l.token + 1, EXCLUDED.token), holder = EXCLUDED.holder,
        acquired_at = EXCLUDED.acquired_at, expires_at = EXCLUDED.expires_at
    WHERE l.expires_at IS NULL OR l.expires_at <= now() OR l.holder = EXCLUDED.holder
    RETURNING l.token
)
SELECT (SELECT t.token FROM taken AS t), (SELECT o.holder FROM other AS o),
    (SELECT o.held_for FROM other AS o)

-- name: renew_lease
-- Hold a thread for longer; no row comes back if it is not held any more. One that has expired, and that
-- nobody took, is held again.
UPDATE {leases} AS l SET expires_at = now() + %(ttl)s::interval
WHERE l.thread_id = %(thread_id)s::text AND l.token = %(lease)s::bigint AND l.expires_at IS NOT NULL
RETURNING true

-- name: give_lease_back
-- Give a thread back that this holder may have taken; tells whether he held it. Nothing stays of a thread
-- that does not exist.
WITH held AS MATERIALIZED (
    SELECT l.thread_id, EXISTS (
        SELECT 1 FROM {threads} AS t WHERE t.thread_id = l.thread_id) AS is_there
    FROM {leases} AS l
    WHERE l.thread_id = %(thread_id)s::text AND l.holder = %(holder)s::text
    FOR UPDATE OF l
), gone AS (
    DELETE FROM {leases} AS l USING held AS h
    WHERE l.thread_id = h.thread_id AND NOT h.is_there
), free AS (
    UPDATE {leases} AS l SET expires_at = NULL
    FROM held AS h WHERE l.thread_id = h.thread_id AND h.is_there
)
SELECT 1 FROM held

-- name: holds_lease
-- Whether a thread is held with this token.
SELECT EXISTS (
    SELECT 1 FROM {leases} AS l
    WHERE l.thread_id = %(thread_id)s::text AND l.token = %(lease)s::bigint
        AND l.expires_at IS NOT NULL)

-- name: which_held
-- (Condition.) The thread is held with this token, and nobody takes it before this statement has ended.
-- (Whether it has expired does not matter as long as nobody took it.)
EXISTS (
    SELECT 1 FROM {leases} AS l
    WHERE l.thread_id = %(thread_id)s::text AND l.token = %(lease)s::bigint
        AND l.expires_at IS NOT NULL
    FOR SHARE)

-- name: forget_leases
-- Forget who had threads for himself long ago; those that are being taken at this moment are not meant.
DELETE FROM {leases} AS l
USING (
    SELECT old.thread_id FROM {leases} AS old
    WHERE coalesce(old.expires_at, old.acquired_at) < %(before)s::timestamptz
    FOR UPDATE SKIP LOCKED
) AS old
WHERE l.thread_id = old.thread_id
