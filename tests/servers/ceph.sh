#!/bin/bash
# A Ceph of one monitor, one in-memory OSD and one radosgw on 127.0.0.1, for as long as standard input stays open.
#
# Prints `READY http://127.0.0.1:PORT` when S3 answers (users: access key k1 with secret s1, k2 with s2), or
# `MISSING what` and ends with 0 where Ceph is not installed. The caller's end, however it comes about, closes the
# input; then the daemons are stopped and the folder goes.
set -euo pipefail

for program in ceph-mon ceph-osd radosgw radosgw-admin monmaptool ceph-authtool ceph python3; do
    command -v "$program" >/dev/null || { echo "MISSING $program (bash .ci/parts installs Ceph)"; exit 0; }
done

home=$(mktemp -d "${TMPDIR:-/tmp}/lakemirror-ceph.XXXXXX")
pids=()

finish() {
    trap - EXIT INT TERM
    # Last started, first stopped. What does not end in time is killed.
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill "${pids[i]}" 2>/dev/null || true; done
    for _ in $(seq 50); do
        local alive=0
        for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null && alive=1; done
        [ "$alive" = 0 ] && break
        sleep 0.1
    done
    for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$home"
}
trap finish EXIT
trap 'exit 1' INT TERM

failed() {
    echo "FAILED $1: $(tail -n 3 "$home"/*.out 2>/dev/null | tr '\n' ' ' | cut -c 1-600)"
    exit 1
}

# Waits up to a minute for a command to succeed.
await() {
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" >"$home/await.out" 2>&1 && return 0
        sleep 0.2
    done
    failed "$what"
}

# A port with room behind it for the monitor (two) and the OSD (a range).
port=$(python3 - <<'PYTHON'
import random, socket
for _ in range(200):
    base = random.randrange(20000, 32000)
    taken = False
    for port in range(base, base + 32):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                taken = True
                break
    if not taken:
        print(base)
        break
PYTHON
)
[ -n "$port" ] || failed "finding free ports"

new_uuid() { python3 -c 'import uuid; print(uuid.uuid4())'; }
cluster=$(new_uuid)
osd=$(new_uuid)
conf="$home/ceph.conf"
monitor="[v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]"

# With the two paxos intervals a start takes two seconds and not fourteen; radosgw hangs without cephx.
cat >"$conf" <<CONF
[global]
fsid = $cluster
mon_host = $monitor
mon_initial_members = a
public_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_port_min = $((port + 8))
ms_bind_port_max = $((port + 31))
keyring = $home/keyring
run_dir = $home
admin_socket = $home/\$name.\$pid.asok
log_file = $home/\$name.log
crash_dir = $home
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 2000
mon_data_avail_warn = 2
mon_data_avail_crit = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
memstore_device_bytes = 2147483648
[mon.a]
host = localhost
mon_data = $home/mon
[osd.0]
host = localhost
osd_data = $home/osd
osd_journal = $home/osd/journal
[client.rgw]
rgw_data = $home/rgw
rgw_frontends = beast endpoint=127.0.0.1:$port
rgw_dynamic_resharding = false
rgw_override_bucket_index_max_shards = 1
rgw_run_sync_thread = false
rgw_thread_pool_size = 64
CONF

mkdir "$home/mon" "$home/osd" "$home/rgw"
{
    ceph-authtool --create-keyring --gen-key "$home/keyring" --name mon. --cap mon 'allow *'
    for name in client.admin client.rgw osd.0; do
        ceph-authtool "$home/keyring" --gen-key --name "$name" --cap mon 'allow *' --cap osd 'allow *'
    done
    monmaptool --create --fsid "$cluster" --addv a "$monitor" "$home/monmap"
    ceph-mon -c "$conf" --id a --mkfs --monmap "$home/monmap" --keyring "$home/keyring"
} >"$home/prepare.out" 2>&1 || failed "preparing the monitor"

# In sessions of their own: an interrupt at the keyboard is for this script to handle.
launch() {
    local name=$1
    shift
    setsid "$@" </dev/null >"$home/$name.out" 2>&1 &
    pids+=($!)
    # The shell is not to report their end.
    disown "$!"
}

admin() { ceph -c "$conf" --connect-timeout 5 "$@"; }

launch mon ceph-mon -c "$conf" --id a -f
await "starting the monitor" admin mon stat
{
    admin osd new "$osd" 0
    admin osd crush add osd.0 1.0 root=default host=localhost || true
    ceph-osd -c "$conf" --id 0 --mkfs --osd-uuid "$osd"
} >"$home/osd-new.out" 2>&1 || failed "preparing the OSD"
launch osd ceph-osd -c "$conf" --id 0 -f
osd_is_up() { admin osd stat 2>&1 | grep -q '1 up'; }
await "starting the OSD" osd_is_up
launch rgw radosgw -c "$conf" --name client.rgw -f
for user in 1 2; do
    radosgw-admin -c "$conf" --name client.rgw user create --uid "u$user" --display-name "u$user" \
        --access-key "k$user" --secret-key "s$user" >"$home/user$user.out" 2>&1 || failed "creating user u$user"
done
s3_answers() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)' "$port"; }
await "starting radosgw" s3_answers

echo "READY http://127.0.0.1:$port"
cat >/dev/null
