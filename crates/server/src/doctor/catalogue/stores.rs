//! Checks of the database and of Redis.

use crate::doctor::check::checks;

checks! {
    CHANGE_NOTIFICATIONS_MISSING = Warning "change-notifications-missing"
        why "LISTEN_DATABASE_URL is set, but notifications of changes in the database in DATABASE_URL do not arrive \
             there. So the gate uses nothing from memory, and queries the database for each request."
        todo "Make sure that LISTEN_DATABASE_URL leads to the same database as DATABASE_URL, to its primary, and not \
             through a pooler that shares connections between clients."
    CHANGE_TRIGGERS_INCOMPLETE = Warning "change-triggers-incomplete"
        why "LISTEN_DATABASE_URL is set, but triggers do not report every change in the tables. So the gate cannot rely \
             on notifications, uses nothing from memory, and queries the database for each request."
        todo "Run `sessiongate db install`, or have the owner of the tables run the statements of `sessiongate db \
             install --print`. Repeat this whenever a partition is added."
    COLUMN_MISSING = Problem "column-missing"
        why "The gate reads this column, so every lookup fails, and all users get 503."
        todo "Write the column's name exactly as in the database, including upper and lower case: USER_ID_FIELD, \
             SESSION_TOKEN_FIELD and so on."
    DATABASE_CLEAR = Warning "database-in-the-clear"
        why "Session tokens and users' ids cross the network without TLS, or with TLS only if the server offers it."
        todo "Add sslmode=verify-full to DATABASE_URL, with sslrootcert=/path/to/ca.pem for an authority of your own."
    DATABASE_NOT_VERIFIED = Warning "database-not-verified"
        why "The connection is encrypted, but the server is not verified: an attacker on the network path can \
             impersonate the database, and claim that any user exists."
        todo "Use sslmode=verify-full in DATABASE_URL, with sslrootcert=/path/to/ca.pem for an authority of your own."
    DATABASE_RIGHTS = Warning "database-rights"
        why "The gate only reads. Further rights only help an attacker who has stolen its credentials."
        todo "Give the gate a role of its own with SELECT on the columns that it reads."
    DATABASE_SUPERUSER = Problem "database-superuser"
        why "An attacker who steals the gate's credentials controls the whole database server, including its files and \
             programs."
        todo "Give the gate a role of its own: `CREATE ROLE gate LOGIN PASSWORD '…'; GRANT SELECT ON … TO gate;`."
    DATABASE_UNREACHABLE = Problem "database-unreachable"
        why "Users and sessions cannot be looked up, so requests whose user or session is not cached get 503."
        todo "Check that it runs, that this machine can reach it, and that the role may sign in."
    INDEX_MISSING = Warning "index-missing"
        why "Every lookup reads the whole table. It becomes slower with every user, and an attacker who sends many \
             made-up sessions can overload the database."
        todo "Create the index."
    INDEX_UNKNOWN = Note "index-unknown"
        why "This is a view; whether lookups are fast depends on the tables behind it."
        todo "Check that the columns behind it have an index."
    INDEX_UNUSED = Warning "index-unused"
        why "There is an index on the column, but the database would still read the whole table."
        todo "Run ANALYZE on the table; check that the planner is not configured to avoid indexes (enable_indexscan)."
    LIMITS_UNREACHABLE = Warning "limits-not-shared"
        why "Each gate counts alone, so each one lets through as many requests as the limits allow."
        todo "Check that the Redis in REDIS_URL runs, that this machine can reach it, and that the password is right."
    REDIS_CLEAR = Warning "redis-in-the-clear"
        why "Cached users, and sessions if they are stored there, cross the network without TLS, and anybody on the \
             network path can forge them."
        todo "Use rediss:// in REDIS_URL."
    REDIS_EVICTS_SESSIONS = Warning "redis-evicts-sessions"
        why "This Redis stores sessions. When it is full, it drops some of them, which signs their users out."
        todo "Set maxmemory-policy to noeviction for the Redis that stores sessions, and use another one for caches."
    REDIS_FULL = Warning "redis-refuses-when-full"
        why "When this Redis is full, it refuses new entries, so the cache no longer relieves the database."
        todo "Set maxmemory-policy to allkeys-lru for a Redis that only stores caches."
    REDIS_POLICY_UNKNOWN = Note "redis-policy-unknown"
        why "The gate's user is not allowed to query how Redis behaves when it is full, which is fine."
        todo "Check with another user: `INFO memory` shows maxmemory and maxmemory_policy."
    REDIS_RIGHTS_MANY = Warning "redis-rights-many"
        why "The gate reads and writes a few keys. With more rights, an attacker who has stolen its credentials can read \
             or change other data."
        todo "Give the gate a user of its own."
    REDIS_RIGHTS_MISSING = Problem "redis-rights-missing"
        why "The gate's user lacks a right that the gate needs. Without read access the cache is skipped, and requests \
             with sessions stored there get 503; without write access the cache stays empty; limits are not shared if \
             they cannot be counted; and without notifications (REDIS_TRACKING) answers in memory are not used."
        todo "Grant the rights to the user."
    REDIS_TAKES_NO_WRITES = Warning "redis-takes-no-writes"
        why "Redis answers but refuses new entries: it is full (OOM) or a replica (READONLY). The cache no longer \
             relieves the database."
        todo "If it is a replica, set REDIS_URL to the primary's address. If it is full, raise maxmemory, or set \
             maxmemory-policy to allkeys-lru if it only stores caches."
    REDIS_UNREACHABLE = Problem "redis-unreachable"
        why "The shared cache is not used, so every node queries the database; requests with sessions that are stored in \
             Redis get 503."
        todo "Check that it runs, that this machine can reach it, and that the password is right."
    REVOCATIONS_UNREADABLE = Problem "revocations-unreadable"
        why "While the gate does not know the revocations, it answers every request with a session with 503: after \
             start-up, and later once its list is older than REVOCATION_MAX_STALE."
        todo "Check that the store in REVOCATION_STORE answers, and that the gate may read it: `sessiongate revocations \
             install` creates the table in PostgreSQL, and with --print it shows which rights a role needs."
    ROWS_BY_POLICY = Note "rows-by-policy"
        why "Row-level security shows the gate's role only some rows. Users and sessions whose rows are hidden are \
             refused."
        todo "Check that the policies show the role all rows, or give it BYPASSRLS."
    ROWS_HIDDEN = Problem "rows-hidden"
        why "Row-level security hides every row from the gate's role, so no user or session is found, and all users are \
             refused."
        todo "Create a policy FOR SELECT, or give the role BYPASSRLS."
    TABLE_MISSING = Problem "table-missing"
        why "The gate reads this table, so every lookup fails, and all users get 503."
        todo "Write the table's name exactly as in the database, including upper and lower case and its schema \
             (USER_TABLE, SESSION_TABLE), or run the app's migrations."
    TABLE_NOT_ANSWERING = Problem "table-not-answering"
        why "The database answers, but a query of this column failed or took longer than a lookup may. Lookups probably \
             fail with 503 too."
        todo "Check the database's error. If the query takes too long, check whether a migration holds a lock on the \
             table (pg_locks)."
    TABLE_NOT_READABLE = Problem "table-not-readable"
        why "The gate's role may not read the column, so every lookup fails, and all users get 503."
        todo "Grant the right."
}
