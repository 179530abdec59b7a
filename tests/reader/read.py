#!/usr/bin/env python3
"""Reads journals of lakemirror with no code of lakemirror: written from journal/FORMAT.md alone, standard library only.

    read.py [--archive DIR]... [--anchor SEQ:HASH]... [--opaque] JOURNAL...

Prints a line of JSON for each directory: what it proves (chain, checksums, footers, counts) and what every mirror shows; or,
where a journal is damaged or of a later version, an object with "error". Never writes. Ends with 0 if every journal is sound,
1 if one is not. An anchor is a head that was noted elsewhere, which every journal given must have. With --opaque, records
are not looked into. Compressed segments need Python's own zstd or the command `zstd`.
"""

import argparse
import json
import os
import sys

sys.dont_write_bytecode = True

from blake3 import blake3, self_test
from chain import Chain, read_frame
from files import FOOTER_BYTES, list_segments, need, read_footer, read_format, read_head, read_segment, read_snapshots
from payloads import Damage, Later

NO_FOOTER = bytes(32)


class Reading:
    """One journal while it is read."""

    def __init__(self, directory, archives, opaque):
        self.directory, self.archives = directory, archives
        self.chain = Chain(read_format(directory), opaque)
        self.head, self.bad_slots = read_head(directory)
        self.segments, self.starts, self.footer_hash, self.tail = [], {}, NO_FOOTER, None

    def run(self, anchors):
        for path, first, last in list_segments(self.directory, self.archives):
            if last is not None:
                self.sealed(path, first, last)
            else:
                self.open(path, first)
        need(self.chain.seq >= self.head["seq"], "HEAD says %d records, %d are there: %s", self.head["seq"],
             self.chain.seq, self.tail)
        self.at(self.head["seq"], self.head["hash"], "HEAD")
        need(self.chain.ends[self.head["seq"]][1] == self.head["checks_total"], "HEAD says another number of checks")
        for seq, anchor in anchors:
            self.at(seq, anchor, "the anchor")
        for first, event in self.chain.sealed.items():
            said = (event["last"], event["frames"], event["bytes"], event["checks"], event["last_frame"], event["hash"])
            need(first not in self.starts or self.starts[first] == said, "segment %d is not what was recorded", first)

    def at(self, seq, wanted, who):
        need(seq in self.chain.ends, "%s names record %d, with which no frame ends", who, seq)
        need(self.chain.ends[seq][0] == wanted, "the frame that ends with %d has another hash than %s says", seq, who)

    def sealed(self, path, first, last):
        data = read_segment(path)
        footer, footer_hash = read_footer(data, path)
        if not self.segments and first != 1:
            self.chain.begin_at(footer)
        elif footer["prev_footer"] != NO_FOOTER or first == 1:
            need(footer["prev_footer"] == self.footer_hash, "%s does not follow the segment before", path)
        need(first == self.chain.seq + 1, "after record %d comes %s", self.chain.seq, path)
        before, frames = (self.chain.hash, self.chain.checks), self.chain.frames
        end, at = len(data) - FOOTER_BYTES, 0
        walls = []
        while at < end:
            frame = read_frame(data, at, end)
            walls.append(int.from_bytes(frame[48:56], "little"))
            self.chain.take(frame)
            at += len(frame)
        found = {
            "first_seq": first, "last_seq": self.chain.seq, "frames": self.chain.frames - frames, "frame_bytes": end,
            "checks_before": before[1], "checks_total": self.chain.checks, "writer_epoch": self.chain.writer_epoch,
            "first_wall_ms": walls[0], "last_wall_ms": walls[-1], "prev_hash": before[0], "last_hash": self.chain.hash,
            "frames_hash": blake3(data[:end]), "prev_footer": footer["prev_footer"],
        }
        for name, value in found.items():
            need(footer[name] == value, "the footer of %s has another %s than its frames", path, name)
        need(last == self.chain.seq, "%s ends with record %d", path, self.chain.seq)
        self.footer_hash = footer_hash
        self.starts[first] = (last, found["frames"], end, self.chain.checks, self.chain.hash.hex(), footer_hash.hex())
        self.segments.append({"file": os.path.basename(path), "first": first, "last": last, "hash": footer_hash.hex()})

    def open(self, path, first):
        need(first == self.chain.seq + 1, "after record %d comes %s", self.chain.seq, path)
        data, at = read_segment(path), 0
        try:
            while at < len(data):
                frame = read_frame(data, at, len(data))
                self.chain.take(frame)
                at += len(frame)
        except Damage as error:
            if self.chain.seq < self.head["seq"]:
                raise
            self.tail = "%d bytes after record %d: %s" % (len(data) - at, self.chain.seq, error)
        self.segments.append({"file": os.path.basename(path), "first": first, "last": None, "hash": None})

    def snapshots(self):
        """The number of sound ones, and what is wrong with the others."""
        sound, wrong = 0, []
        for name, header in read_snapshots(self.directory):
            try:
                need(isinstance(header, dict), "%s", header)
                need(header["seq"] in self.chain.ends, "no frame ends with its record")
                need(header["seq"] <= self.head["seq"], "it is of records that were never acknowledged")
                before = self.chain.ends.get(header["segment"] - 1)
                need(before is None or before[:2] == (header["prev_hash"], header["checks_before"]), "another segment")
                frame_hash, checks, digest = self.chain.ends[header["seq"]]
                need(header["frame_hash"] == frame_hash and header["checks_total"] == checks, "another chain")
                low = int.from_bytes(header["state_digest"][:8], "little") or 1
                need(digest in (0, low), "another state than the checkpoint's")
                sound += 1
            except Damage as error:
                wrong.append("%s: %s" % (name, error))
        return sound, wrong

    def answer(self):
        chain = self.chain
        sound, wrong = self.snapshots()
        return {
            "seq": chain.seq, "hash": chain.hash.hex(), "acknowledged": self.head["seq"], "from_the_first": chain.whole,
            "frames": chain.frames, "records": chain.records, "checks": chain.checks, "writer_epoch": chain.writer_epoch,
            "kinds": dict(sorted(chain.kinds.items())), "mirrors": dict(sorted(chain.mirrors.items())),
            "segments": self.segments, "snapshots": sound, "unsound_snapshots": wrong,
            "bad_head_slots": self.bad_slots, "tail": self.tail,
        }


def read_journal(directory, options):
    try:
        reading = Reading(directory, options.archive, options.opaque)
        reading.run(options.anchor)
        return reading.answer()
    except Damage as error:
        return {"error": "damaged", "why": str(error)}
    except Later as error:
        return {"error": "later version", "why": str(error)}


def anchor(text):
    seq, digits = text.split(":")
    return int(seq), bytes.fromhex(digits)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", nargs="+")
    parser.add_argument("--archive", action="append", default=[])
    parser.add_argument("--anchor", action="append", default=[], type=anchor)
    parser.add_argument("--opaque", action="store_true")
    options = parser.parse_args()
    self_test()
    answers = []
    for directory in options.journal:
        answers.append(read_journal(directory, options))
        print(json.dumps(answers[-1], ensure_ascii=False), flush=True)
    return int(any("error" in answer or answer["unsound_snapshots"] for answer in answers))


if __name__ == "__main__":
    sys.exit(main())
