-- What the gate needs of a database: a table with user ids, and a role that may read them.

CREATE TABLE users (
    id    text PRIMARY KEY,
    email text NOT NULL UNIQUE
);

INSERT INTO users (id, email) VALUES ('user-1', 'user-1@example.com');

\set gate_password `cat /run/secrets/gate_password`
CREATE ROLE gate LOGIN PASSWORD :'gate_password';
GRANT SELECT (id) ON users TO gate;
