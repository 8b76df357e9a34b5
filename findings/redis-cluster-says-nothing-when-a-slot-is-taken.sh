#!/usr/bin/env bash
# Redis 7.0.15, a cluster, and a client on each server that tracks keys by a prefix (CLIENT TRACKING ON BCAST, RESP3).
#
# Seen: when a slot is given to another server without its keys (`CLUSTER SETSLOT … NODE` there, as after `CLUSTER FAILOVER TAKEOVER` or a
# repair), the former holder drops the keys of the slot, and pushes nothing: a client that trusts what it knows until it hears
# otherwise goes on with keys that are gone. A `DEL` of such a key is pushed, and so is each key that `MIGRATE` moves.
# Valkey 9.1.2 pushes the keys that it drops.
#
# It matters to whoever keeps a cache by it: compare who holds which slots again and again, and forget everything when that changes.
#
# Needs redis-server and redis-cli; another server can be named: $0 valkey-server. Exits with an error when the behavior
# differs from what is described here.
set -euo pipefail
folder=$(mktemp -d)
server=${1:-redis-server}
base=$((20000 + RANDOM % 5000))
pids=()
trap 'kill "${pids[@]}"; wait "${pids[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT
say() { redis-cli -p $((base + $1)) "${@:2}"; }
until_seen() { # a text in what a command says
  for _ in $(seq 200); do "${@:2}" 2>/dev/null | grep -q "$1" && return || sleep 0.05; done
  return 1
}
for node in 1 2; do
  mkdir "$folder/$node"
  (cd "$folder/$node" && exec "$server" --port $((base + node)) --cluster-port $((base + 100 + node)) --bind 127.0.0.1 \
    --cluster-enabled yes --save '' --daemonize no) >"$folder/log$node" &
  pids+=($!)
  until_seen PONG say $node PING
  say $node CLUSTER SET-CONFIG-EPOCH $node >/dev/null
done
say 1 INFO server | grep -E '^(redis_version|valkey_version|server_name)'
say 1 CLUSTER ADDSLOTSRANGE 0 16000 >/dev/null
say 2 CLUSTER ADDSLOTSRANGE 16001 16383 >/dev/null
say 1 CLUSTER MEET 127.0.0.1 $((base + 2)) $((base + 102)) >/dev/null
for node in 1 2; do until_seen cluster_state:ok say $node CLUSTER INFO; done

mkfifo "$folder/words"
redis-cli -3 --show-pushes yes -p $((base + 1)) <"$folder/words" >"$folder/heard" 2>&1 &
pids+=($!)
exec 3>"$folder/words"
heard() { # the pushes since the connection was opened
  echo "ECHO $1" >&3
  for _ in $(seq 100); do grep -q "^\"\?$1" "$folder/heard" && break || sleep 0.05; done
  grep -c invalidate "$folder/heard" || true
}
echo 'CLIENT TRACKING ON BCAST PREFIX auth:' >&3
before=$(heard one)
say 1 SET auth:1 x >/dev/null
after=$(heard two)
echo "after SET: $((after - before)) push"
((after - before == 1))
slot=$(say 1 CLUSTER KEYSLOT auth:1)
say 2 CLUSTER SETSLOT "$slot" NODE "$(say 2 CLUSTER MYID)" >/dev/null
until_seen MOVED say 1 GET auth:1
for _ in $(seq 100); do [ "$(say 1 DBSIZE)" = 0 ] && break || sleep 0.05; done
taken=$(heard three)
echo "after the slot was taken: $((taken - after)) pushes; the former holder has $(say 1 DBSIZE) keys, the new one says '$(say 2 GET auth:1)'"
((taken == after))
[ "$(say 1 DBSIZE)" = 0 ]
echo "As described."
