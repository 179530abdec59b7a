#!/bin/bash
# PostgreSQL with TLS and passwords on 127.0.0.1, for as long as standard input stays open.
#
# Prints `READY 127.0.0.1:PORT AUTHORITY` when it answers, AUTHORITY being the PEM file of the certificate's authority (the
# certificate is for `localhost`), or `MISSING what` and ends with 0 where it is not installed. Users: `postgres` with
# password p1, who may do everything, and `reader` with password r1, who may make nothing. The caller's end, however it
# comes about, closes the input.
set -euo pipefail

programs=
for folder in "$(dirname "$(command -v initdb || echo none/none)")" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
    [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && { programs=$folder; break; }
done
[ -n "$programs" ] || { echo "MISSING initdb (bash .ci/parts installs PostgreSQL)"; exit 0; }
for program in openssl python3 psql; do
    command -v "$program" >/dev/null || { echo "MISSING $program"; exit 0; }
done

# The server refuses to run as root; its user must be able to come to its folder.
as=()
if [ "$(id -u)" = 0 ]; then
    id postgres >/dev/null 2>&1 || { echo "MISSING user postgres (bash .ci/parts installs PostgreSQL)"; exit 0; }
    as=(runuser -u postgres --)
fi

home=$(mktemp -d "${TMPDIR:-/tmp}/lakemirror-postgres.XXXXXX")

finish() {
    trap - EXIT INT TERM
    "${as[@]}" "$programs/pg_ctl" -D "$home/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$home"
}
trap finish EXIT
trap 'exit 1' INT TERM

failed() {
    echo "FAILED $1: $(tail -n 3 "$home/out" "$home/log" 2>/dev/null | tr '\n' ' ' | cut -c 1-600)"
    exit 1
}

chmod 755 "$home"
{
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout "$home/ca.key" -out "$home/ca.pem"
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$home/server.key" -out "$home/server.csr"
    printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' >"$home/extensions"
    openssl x509 -req -days 2 -in "$home/server.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -CAcreateserial \
        -extfile "$home/extensions" -out "$home/server.pem"
    chmod 600 "$home/server.key"
} >"$home/out" 2>&1 || failed "making certificates"
echo p1 >"$home/password"
[ "$(id -u)" != 0 ] || chown -R postgres: "$home"
"${as[@]}" "$programs/initdb" -D "$home/data" -A scram-sha-256 --pwfile "$home/password" -U postgres -E UTF8 \
    --locale=C.UTF-8 --no-sync >"$home/out" 2>&1 || failed "making the database"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"${as[@]}" "$programs/pg_ctl" -D "$home/data" -w -t 60 -l "$home/log" -o "-p $port -k $home/data -c listen_addresses=127.0.0.1 \
    -c fsync=off -c full_page_writes=off -c ssl=on -c ssl_cert_file=$home/server.pem -c ssl_key_file=$home/server.key" \
    start </dev/null >"$home/out" 2>&1 || failed "starting PostgreSQL"
PGPASSWORD=p1 psql -q -h 127.0.0.1 -p "$port" -U postgres -c "CREATE ROLE reader LOGIN PASSWORD 'r1'" >"$home/out" 2>&1 ||
    failed "making users"

echo "READY 127.0.0.1:$port $home/ca.pem"
cat >/dev/null
