#!/bin/bash
# AWS's DynamoDB Local over memory on 127.0.0.1, for as long as standard input stays open.
#
# Prints `READY http://127.0.0.1:PORT` when it answers (each access key has tables of its own), or `MISSING what` and
# ends with 0 where Java or the jars are missing. The caller's end, however it comes about, closes the input.
set -euo pipefail

version=3.3.1
here=$(cd "$(dirname "$0")" && pwd)
parts=${LAKEMIRROR_PARTS:-"$here/../../target/parts"}
jars="$parts/dynamodb-$version"
for program in java javac python3; do
    command -v "$program" >/dev/null || { echo "MISSING $program"; exit 0; }
done
[ -f "$jars/DynamoDBLocal-$version.jar" ] || { echo "MISSING dynamodb-$version (bash .ci/parts fetches it)"; exit 0; }

home=$(mktemp -d "${TMPDIR:-/tmp}/lakemirror-dynamodb.XXXXXX")
pid=

finish() {
    trap - EXIT INT TERM
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    rm -rf "$home"
}
trap finish EXIT
trap 'exit 1' INT TERM

failed() {
    echo "FAILED $1: $(tail -n 3 "$home/out" 2>/dev/null | tr '\n' ' ' | cut -c 1-600)"
    exit 1
}

javac -cp "$jars/*" -d "$home/classes" "$here/LoopbackDynamoDb.java" >"$home/out" 2>&1 || failed "compiling"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# Telemetry is on unless it is told to be off.
(cd "$home" && exec setsid java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "-Djava.library.path=$jars" \
    -cp "$jars/*:$home/classes" LoopbackDynamoDb -inMemory -disableTelemetry -port "$port") </dev/null >"$home/out" 2>&1 &
pid=$!
# The shell is not to report its end.
disown "$pid"
for _ in $(seq 300); do
    kill -0 "$pid" 2>/dev/null || failed "DynamoDB Local"
    if python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$port" 2>/dev/null; then
        echo "READY http://127.0.0.1:$port"
        cat >/dev/null
        exit 0
    fi
    sleep 0.2
done
failed "DynamoDB Local does not answer"
