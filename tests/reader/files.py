"""The files of a journal's directory: FORMAT, HEAD, the segments in their three forms, footers, snapshots' headers.

Owns names, fixed layouts and decompression; frames and what is in them are chain.py's.
"""

import os
import re
import shutil
import subprocess
import zlib

from blake3 import blake3
from payloads import Damage, Later

try:
    from compression import zstd
except ImportError:
    zstd = None

FORMAT_LINE = re.compile(
    rb'\{("format":1,"journal_uuid":"([0-9a-f]{32})","created_ms":[0-9]+,"engine":"[^"]*"),"crc32":"([0-9a-f]{8})"\}\n')
SEGMENT = re.compile(r"([0-9]{16})(?:\.jseg\.(open)|-([0-9]{16})\.jseg(\.zst)?)")
IGNORED = re.compile(r".*\.broken|.*\.jseg\.zst\.tmp")
SNAPSHOT = re.compile(r"([0-9]{16})\.jsnap")
FOOTER_BYTES, SNAPSHOT_HEADER_BYTES = 216, 216


def u(data, at, size=8):
    return int.from_bytes(data[at:at + size], "little")


def need(condition, problem, *values):
    if not condition:
        raise Damage(problem % values)


def read_file(*parts):
    try:
        with open(os.path.join(*parts), "rb") as file:
            return file.read()
    except OSError as error:
        raise Damage(str(error)) from None


def names(*parts):
    return sorted(os.listdir(os.path.join(*parts))) if os.path.isdir(os.path.join(*parts)) else []


def read_format(directory):
    """The journal's UUID."""
    line = read_file(directory, "FORMAT")
    number = re.match(rb'\{"format":([0-9]+)', line)
    if number and int(number[1]) > 1:
        raise Later("format %d" % int(number[1]))
    found = FORMAT_LINE.fullmatch(line)
    need(found, "FORMAT is not the line that it must be")
    need(zlib.crc32(found[1]) == int(found[3], 16), "FORMAT has a wrong checksum")
    return bytes.fromhex(found[2].decode())


def read_head(directory):
    """The valid slot of HEAD that counts, and how many are bad."""
    data = read_file(directory, "HEAD")
    need(len(data) == 8192, "HEAD has %d bytes", len(data))
    valid = []
    for at in (0, 4096):
        slot = data[at:at + 72]
        generation = u(slot, 4)
        if slot[:4] == b"JHD1" and zlib.crc32(slot[:68]) == u(slot, 68, 4) and generation % 2 == at // 4096:
            valid.append({"generation": generation, "writer_epoch": u(slot, 12), "seq": u(slot, 20),
                          "hash": slot[28:60], "checks_total": u(slot, 60)})
    need(valid, "both slots of HEAD are bad")
    return max(valid, key=lambda slot: slot["generation"]), 2 - len(valid)


def list_segments(directory, archives):
    """Path, first record and last record (None: open) of every segment, in order; the best form of each."""
    found = {}
    places = [(os.path.join(directory, "seg"), True)]
    places += [(place, False) for archive in archives for place in (archive, os.path.join(archive, "seg"))]
    for place, own in places:
        for name in names(place):
            match = SEGMENT.fullmatch(name)
            if not match:
                if own and not IGNORED.fullmatch(name):
                    raise Later("the file %s among the segments" % name)
                continue
            is_open, first = match[2] is not None, int(match[1])
            rank = (is_open, not own, match[4] is not None)
            candidate = (rank, os.path.join(place, name), match[3] and int(match[3]))
            if (own or not is_open) and (first not in found or rank < found[first][0]):
                found[first] = candidate
    return [(path, first, last) for first, (_, path, last) in sorted(found.items())]


def read_segment(path):
    """A segment's bytes, decompressed."""
    data = read_file(path)
    if not path.endswith(".zst"):
        return data
    if zstd:
        try:
            return zstd.decompress(data)
        except zstd.ZstdError as error:
            raise Damage("%s: %s" % (path, error)) from None
    need(shutil.which("zstd"), "%s needs the command zstd", path)
    run = subprocess.run(["zstd", "-dcq", "--memory=8MiB"], input=data, capture_output=True, check=False)
    need(run.returncode == 0, "%s: %s", path, run.stderr.decode("utf-8", "replace").strip())
    return run.stdout


def read_footer(data, path):
    """The footer at a sealed segment's end."""
    need(len(data) > FOOTER_BYTES, "%s has no footer", path)
    footer = data[-FOOTER_BYTES:]
    need(footer[:4] == b"JSF1", "%s has no footer at its end", path)
    need(zlib.crc32(footer[8:]) == u(footer, 4, 4), "the footer of %s has a wrong checksum", path)
    if u(footer, 8, 2) != 1 or u(footer, 10, 2) or u(footer, 12, 4):
        raise Later("the footer of %s" % path)
    numbers = ("first_seq", "last_seq", "frames", "frame_bytes", "checks_before", "checks_total", "writer_epoch",
               "first_wall_ms", "last_wall_ms")
    values = {name: u(footer, 16 + 8 * at) for at, name in enumerate(numbers)}
    hashes = ("prev_hash", "last_hash", "frames_hash", "prev_footer")
    values.update({name: footer[88 + 32 * at:120 + 32 * at] for at, name in enumerate(hashes)})
    return values, blake3(footer)


def read_snapshots(directory):
    """Every snapshot's header, or what is wrong with it."""
    for name in names(directory, "snap"):
        match = SNAPSHOT.fullmatch(name)
        if not match:
            continue
        data = read_file(directory, "snap", name)
        try:
            need(len(data) >= SNAPSHOT_HEADER_BYTES and data[:4] == b"JSN1", "no snapshot")
            need(zlib.crc32(data[8:]) == u(data, 4, 4), "a wrong checksum")
            if u(data, 8, 2) != 1 or u(data, 10, 2) or u(data, 12, 4):
                raise Later("a snapshot")
            need(len(data) == SNAPSHOT_HEADER_BYTES + u(data, 80), "another length")
            need(u(data, 16) == int(match[1]), "another record than its name says")
            yield name, {"seq": u(data, 16), "checks_total": u(data, 24), "segment": u(data, 48),
                         "checks_before": u(data, 72), "frame_hash": data[88:120], "state_digest": data[120:152],
                         "prev_hash": data[152:184]}
        except (Damage, Later) as error:
            yield name, str(error)
