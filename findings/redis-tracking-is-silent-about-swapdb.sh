#!/usr/bin/env bash
# Redis 7.0.15 and Valkey 9.1.2, a client that tracks keys by a prefix (CLIENT TRACKING ON BCAST, RESP3).
#
# Seen: `SWAPDB 0 1` gives every key another value, or none, and nothing is pushed: a client that trusts what it knows until it
# hears otherwise goes on with values that are wrong. `FLUSHDB` of any database is pushed as "everything". And a user who is
# switched off (`ACL SETUSER … off`), and so cannot sign in any more, goes on hearing on the connection that is open; only
# `ACL DELUSER` closes it.
#
# It matters to whoever keeps a cache by it: do not swap databases, or give entries a time of their own; and delete users in place
# of switching them off.
#
# Needs redis-server and redis-cli, or others that are named: $0 [valkey-server]. Exits with an error when the behavior
# differs from what is described here.
set -euo pipefail
folder=$(mktemp -d)
"${1:-redis-server}" --port 0 --unixsocket "$folder/socket" --save '' --daemonize no >"$folder/log" &
server=$!
trap 'kill $server; wait $server 2>/dev/null || true; rm -rf "$folder"' EXIT
say() { redis-cli -s "$folder/socket" "$@"; }
for _ in $(seq 100); do say PING 2>/dev/null | grep -q PONG && break || sleep 0.05; done
say INFO server | grep -E '^(redis_version|valkey_version|server_name)'

say ACL SETUSER ear on '>pw' '~*' '+@all' >/dev/null
# A connection that hears: what is pushed on it is in the file. redis-cli says what comes between its commands when it says one.
mkfifo "$folder/words"
redis-cli -3 --show-pushes yes -s "$folder/socket" --user ear --pass pw --no-auth-warning <"$folder/words" >"$folder/heard" 2>&1 &
exec 3>"$folder/words"
heard() { # the pushes since the last call
  echo "ECHO $1" >&3
  for _ in $(seq 100); do grep -q "^\"\?$1" "$folder/heard" && break || sleep 0.05; done
  grep -c invalidate "$folder/heard" || true
}
echo 'CLIENT TRACKING ON BCAST PREFIX k' >&3
before=$(heard one)
say SET k1 x >/dev/null
after=$(heard two)
echo "after SET: $((after - before)) push"
((after - before == 1))
say SWAPDB 0 1 >/dev/null
swapped=$(heard three)
echo "after SWAPDB: $((swapped - after)) pushes, and the value is '$(say GET k1)'"
((swapped == after))
say -n 5 FLUSHDB >/dev/null
flushed=$(heard four)
echo "after FLUSHDB of database 5: $((flushed - swapped)) push"
((flushed - swapped == 1))
say ACL SETUSER ear off >/dev/null
say SET k1 y >/dev/null
off=$(heard five)
echo "after SET by another, with the user switched off: $((off - flushed)) push"
((off - flushed == 1))
echo "As described."
