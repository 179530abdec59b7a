#!/usr/bin/env python3
"""Kills lakemirror and its journal, and cuts power, many times; afterwards everything must be as promised.

    crash.py journal-kill  [--runs 200]   kill -9 of a writer of the journal, also while it opens
    crash.py power-cut     [--runs 200]   its disk as the device had received it at a random moment; needs root
    crash.py service-kill  [--runs 200]   kill -9 of `lakemirror run` under load, between two sandbox lakeFS
    crash.py … --engine sled              the first two with plain sled 0.34 instead: the control

Built before: `cargo build --release --bin lakemirror`, `cargo build --release -p lakemirror-journal --example load`, and
for the control `cargo build --release --manifest-path tests/crash/control/Cargo.toml --target-dir target/control`.

What is acknowledged is what the writer said on its standard output, which is not on the disk that is cut. After each kill
and each cut `lakemirror journal verify` reads the journal as it lies there, with the last acknowledgement as its anchor; then
the next writer opens it. A power cut: the file system is on a loop device; the writer is stopped at a random moment, the
device's image is copied, and the copy is mounted as after a power failure. So writes that were not synced are lost, but what the
device had taken is kept; a volatile cache of a real drive that ignores flushes is not played.

Ends with 0 if nothing was lost and nothing could not be opened, else with 1. Python 3.10, standard library only.
"""

import argparse
import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("LAKEMIRROR_BIN", os.path.join(ROOT, "target/release/lakemirror"))
LOAD = os.path.join(ROOT, "target/release/examples/load")
CONTROL = os.path.join(ROOT, "target/control/release/lakemirror-crash-control")


# A record's number, and its frame's hash where the journal says it.
ACKNOWLEDGED = re.compile(rb"[0-9]+(:[0-9a-f]{64})?")


class Writer:
    """A process that writes to a directory and says what is durable."""

    def __init__(self, engine, directory):
        command = [LOAD, directory] if engine == "journal" else [CONTROL, "append", directory]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)

    def end(self, sig):
        """Sends the last signal; the last whole acknowledgement that the process had said, if any."""
        self.process.send_signal(sig)
        said, errors = self.process.communicate()
        # sled prints a line of its own where a read of its heap fails, before the store is made anew.
        lines = [line for line in said.split(b"\n")[:-1] if ACKNOWLEDGED.fullmatch(line)]
        if self.process.returncode not in (-signal.SIGKILL, 0):
            raise SystemExit(f"the writer ended by itself: {errors.decode()[-2000:]}")
        return lines[-1].decode() if lines else None


def check(engine, directory, acknowledged):
    """None if all is well, else what is wrong."""
    if engine == "sled":
        done = subprocess.run([CONTROL, "check", directory, acknowledged or "0"], capture_output=True, text=True)
        return {0: None, 1: "lost: " + done.stderr.strip()[-200:]}.get(done.returncode, "cannot be opened")
    if not os.path.exists(os.path.join(directory, "FORMAT")):
        return None if acknowledged is None else "the journal is gone"
    command = [BIN, "journal", "verify", directory]
    if acknowledged:
        command += ["--anchor", acknowledged]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0 or (done.returncode == 70 and acknowledged is None):
        # Killed while it was made: the next writer makes it again.
        return None
    return f"exit {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"


class Tally:
    def __init__(self, name, runs):
        self.name, self.runs, self.done, self.bad, self.begun = name, runs, 0, [], time.time()

    def add(self, wrong):
        self.done += 1
        if wrong:
            self.bad.append((self.done, wrong))
            print(f"{self.name}: run {self.done}: {wrong}", flush=True)
        elif self.done % 20 == 0:
            print(f"{self.name}: {self.done} of {self.runs}, {len(self.bad)} bad", flush=True)

    def end(self):
        took = time.time() - self.begun
        print(f"{self.name}: {self.done} runs in {took:.0f} s, {len(self.bad)} bad")
        return 1 if self.bad else 0


def journal_kill(options):
    tally, dice = Tally(f"journal-kill, {options.engine}", options.runs), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as root:
        directory, acknowledged = os.path.join(root, "journal"), None
        for run in range(options.runs):
            writer = Writer(options.engine, directory)
            # A fifth of them while it still opens.
            time.sleep(dice.uniform(0, 0.05) if dice.random() < 0.2 else dice.uniform(0.05, 0.6))
            acknowledged = writer.end(signal.SIGKILL) or acknowledged
            wrong = check(options.engine, directory, acknowledged)
            tally.add(wrong)
            # A new one every few runs: it is also killed while it is made.
            if wrong or run % 40 > 20:
                shutil.rmtree(directory, ignore_errors=True)
                acknowledged = None
    return tally.end()


def sh(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def power_cut(options):
    if os.geteuid() != 0:
        raise SystemExit("power-cut needs root, for loop devices")
    tally, dice = Tally(f"power-cut, {options.engine}", options.runs), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as root:
        image, mounted = os.path.join(root, "disk"), os.path.join(root, "mounted")
        os.mkdir(mounted)
        acknowledged = None
        for run in range(options.runs):
            if acknowledged is None:
                with open(image, "wb") as file:
                    file.truncate(96 << 20)
                sh("mkfs.ext4", "-q", "-F", image)
            # The file system's own commits should not help.
            sh("mount", "-o", "loop,commit=1000", image, mounted)
            writer = Writer(options.engine, os.path.join(mounted, "journal"))
            time.sleep(dice.uniform(0.05, 1.2))
            os.kill(writer.process.pid, signal.SIGSTOP)
            # What the device has now is what there is after the power failure.
            sh("cp", "--sparse=always", image, image + ".cut")
            acknowledged = writer.end(signal.SIGKILL) or acknowledged
            sh("umount", mounted)
            os.replace(image + ".cut", image)
            sh("mount", "-o", "loop,commit=1000", image, mounted)
            wrong = check(options.engine, os.path.join(mounted, "journal"), acknowledged)
            sh("umount", mounted)
            tally.add(wrong)
            if wrong or run % 5 == 4:
                acknowledged = None
    return tally.end()


KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
AUTH = "Basic " + base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()


def call(method, url, body=None, raw=None):
    data = raw if raw is not None else (json.dumps(body).encode() if body is not None else None)
    headers = {"Authorization": AUTH, "Content-Type": "application/octet-stream" if raw is not None else "application/json"}
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, None
    except (OSError, ValueError):
        return 0, None


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class World:
    """Two sandbox lakeFS, a copying of one's bucket to the other's, commits, and somebody who looks on."""

    def __init__(self, root, dice):
        self.root, self.dice, self.stop, self.enough = root, dice, threading.Event(), threading.Event()
        self.urls, self.processes, self.heads, self.shown, self.wrong = [], [], [], [], []
        for name in ("east", "west"):
            port = free_port()
            log = open(os.path.join(root, name + ".log"), "wb")
            command = [BIN, "sandbox", "--listen", f"127.0.0.1:{port}", "--dir", os.path.join(root, name)]
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))
            self.urls.append(f"http://127.0.0.1:{port}/api/v1")
        self.east, self.west = (os.path.join(root, name, "blocks", "data", "source") for name in ("east", "west"))
        self.until("the sandboxes answer", lambda: all(call("GET", url + "/user")[0] == 200 for url in self.urls))
        status, _ = call("POST", self.urls[0] + "/repositories", {"name": "source", "storage_namespace": "local://data/source"})
        assert status == 201, status
        self.api_port = free_port()
        self.config = os.path.join(root, "lakemirror.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.settings())

    def settings(self):
        east, west = (url[: -len("/api/v1")] for url in self.urls)
        return "\n".join(
            [
                "region: east",
                "organization_id: acme",
                f"regional_endpoint: {east}",
                f"dst_endpoints: {{ west: '{west}' }}",
                f"lakefs_access_key_id: {KEY}",
                f"lakefs_secret_access_key: {SECRET}",
                "auth: { encrypt: { secret_key: the-one-lakefs-uses } }",
                f"mirrors_database: {{ type: local, local: {{ path: {self.root}/mirrors }} }}",
                f"blockstore: {{ type: local, local: {{ path: {self.root}/east/blocks }} }}",
                f"also_serves: {{ west: {{ blockstore: {{ type: local, local: {{ path: {self.root}/west/blocks }} }} }} }}",
                f"journal: {{ path: {self.root}/journal, seal: {{ max_bytes: 1048576 }}, snapshot: {{ interval: 10s }} }}",
                f"listen_address: 127.0.0.1:{self.api_port}",
                "commit_sensor: { process_branches_duration: 100ms }",
                "",
            ]
        )

    def until(self, what, probe, seconds=60):
        end = time.time() + seconds
        while not probe():
            if time.time() > end:
                raise SystemExit(f"not in {seconds} s: {what}")
            time.sleep(0.05)

    def head(self, side):
        repository = ("source", "mirror")[side]
        status, branch = call("GET", f"{self.urls[side]}/repositories/{repository}/branches/main")
        return branch["commit_id"] if status == 200 else None

    def copying(self):
        """Copies what is new, each file after a delay of its own."""
        due = {}
        while not self.stop.wait(0.01):
            for folder, _, files in os.walk(self.east):
                for name in files:
                    path = os.path.join(folder, name)
                    due.setdefault(path, time.time() + random.uniform(0, 0.4))
            for path, moment in list(due.items()):
                if moment and moment < time.time():
                    to = os.path.join(self.west, os.path.relpath(path, self.east))
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    try:
                        shutil.copy(path, to + "~")
                    except FileNotFoundError:
                        continue
                    os.replace(to + "~", to)
                    due[path] = 0

    def committing(self):
        number = 0
        while not self.enough.is_set():
            number += 1
            base = self.urls[0] + "/repositories/source/branches/main"
            for part in range(1 + number % 3):
                call("POST", f"{base}/objects?path=part-{number:05}-{part}", raw=os.urandom(50))
            status, commit = call("POST", base + "/commits", {"message": f"number {number}"})
            if status == 201:
                self.heads.append(commit["id"])
            time.sleep(0.05)

    def looking(self):
        """What the mirror shows was the source's head, in order, and has all of its objects."""
        last = None
        while not self.stop.is_set():
            shown = self.head(1)
            if shown and shown != last:
                last = shown
                self.judge(shown)
            time.sleep(0.02)

    def judge(self, shown):
        known = list(self.heads)
        if shown not in known:
            # Its answer is just behind the look, or it is the repository's first commit.
            time.sleep(0.3)
            known = list(self.heads)
        place = known.index(shown) if shown in known else -1
        if place < 0 and self.shown:
            self.wrong.append(f"the mirror shows {shown}, which the source never did")
        if self.shown and place < self.shown[-1]:
            self.wrong.append(f"the mirror went back from {self.shown[-1]} to {place}")
        self.shown.append(place)
        url = f"{self.urls[1]}/repositories/mirror/refs/{shown}/objects/ls?amount=1000"
        status, listing = call("GET", url)
        for entry in (listing or {}).get("results", []) if status == 200 else []:
            path = os.path.join(self.root, "west/blocks", entry["physical_address"].split("://", 1)[1])
            if not os.path.exists(path) or os.path.getsize(path) != entry["size_bytes"]:
                self.wrong.append(f"{entry['path']} of {shown} is not whole at the destination")

    def end(self):
        self.stop.set()
        for process in self.processes:
            process.terminate()
            process.wait()


def service_kill(options):
    tally, dice = Tally("service-kill", options.runs), random.Random(options.seed)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        world = World(root, dice)
        run = lambda: subprocess.Popen([BIN, "run", "--config", world.config], stdout=log, stderr=log)
        log = open(os.path.join(root, "lakemirror.log"), "ab")
        process = run()
        api = f"http://127.0.0.1:{world.api_port}/service/replication/v1/repositories/source/mirrors"
        body = {"name": "mirror", "region": "west", "storage_namespace": "local://data/source"}
        world.until("the mirror is created", lambda: call("POST", api, body)[0] in (201, 409))
        threads = [threading.Thread(target=work, daemon=True) for work in (world.copying, world.committing, world.looking)]
        for thread in threads:
            thread.start()
        own_ends = 0
        for _ in range(options.runs):
            time.sleep(dice.uniform(0.02, 0.2) if dice.random() < 0.3 else dice.uniform(0.2, 1.2))
            if process.poll() is not None:
                # sled may panic over a store whose writer was killed; after two of these it is set aside. More is wrong.
                own_ends += 1
                print(f"service-kill: ended by itself with {process.returncode}", flush=True)
                if own_ends > 2:
                    print(open(log.name, encoding="utf-8").read()[-3000:])
                    raise SystemExit("lakemirror does not start any more")
                process = run()
                continue
            own_ends = 0
            process.kill()
            process.wait()
            done = subprocess.run([BIN, "journal", "verify", os.path.join(root, "journal"), "--deep"], capture_output=True, text=True)
            wrong = None if done.returncode == 0 else f"exit {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
            if world.wrong:
                wrong = "; ".join(world.wrong)
                world.wrong.clear()
            tally.add(wrong)
            process = run()
        world.enough.set()
        threads[1].join()
        level = time.time()
        try:
            world.until("the mirror is level with the source", lambda: world.head(0) == world.head(1), 600)
        except SystemExit as error:
            _, status = call("GET", f"{api}/mirror")
            tally.add(f"{error}: {json.dumps(status)[:3000]}")
        level = time.time() - level
        promoted = len([place for place in world.shown if place >= 0])
        print(f"service-kill: {len(world.heads)} commits, {promoted} of them shown by the mirror in the meantime, level {level:.0f} s after the last")
        process.terminate()
        if process.wait() != 0:
            tally.add(f"exit {process.returncode} at SIGTERM")
        world.end()
    return tally.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["journal-kill", "power-cut", "service-kill"])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=["journal", "sled"], default="journal")
    options = parser.parse_args()
    todo = {"journal-kill": journal_kill, "power-cut": power_cut, "service-kill": service_kill}
    sys.exit(todo[options.what](options))


if __name__ == "__main__":
    main()
