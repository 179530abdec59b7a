#!/bin/bash
# S3Proxy over memory on 127.0.0.1, for as long as standard input stays open.
#
# Prints `READY http://127.0.0.1:PORT` when it answers (access key k1 with secret s1), or `MISSING what` and ends with
# 0 where Java or the jar is missing. The caller's end, however it comes about, closes the input.
set -euo pipefail

version=4.1.0
parts=${LAKEMIRROR_PARTS:-"$(dirname "$0")/../../target/parts"}
jar="$parts/s3proxy-$version-jar-with-dependencies.jar"
for program in java python3; do
    command -v "$program" >/dev/null || { echo "MISSING $program"; exit 0; }
done
[ -f "$jar" ] || { echo "MISSING s3proxy-$version (bash .ci/parts fetches it)"; exit 0; }

home=$(mktemp -d "${TMPDIR:-/tmp}/lakemirror-s3proxy.XXXXXX")
pid=

finish() {
    trap - EXIT INT TERM
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    rm -rf "$home"
}
trap finish EXIT
trap 'exit 1' INT TERM

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$home/s3proxy.conf" <<CONF
s3proxy.endpoint=http://127.0.0.1:$port
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=k1
s3proxy.credential=s1
jclouds.provider=transient-nio2
CONF
setsid java -Xmx256m -XX:+UseSerialGC -jar "$jar" --properties "$home/s3proxy.conf" </dev/null >"$home/out" 2>&1 &
pid=$!
# The shell is not to report its end.
disown "$pid"
for _ in $(seq 300); do
    kill -0 "$pid" 2>/dev/null || { echo "FAILED S3Proxy: $(tail -n 3 "$home/out" | tr '\n' ' ' | cut -c 1-600)"; exit 1; }
    if python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$port" 2>/dev/null; then
        echo "READY http://127.0.0.1:$port"
        cat >/dev/null
        exit 0
    fi
    sleep 0.2
done
echo "FAILED S3Proxy does not answer: $(tail -n 3 "$home/out" | tr '\n' ' ' | cut -c 1-600)"
exit 1
