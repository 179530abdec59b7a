"""Frames along the chain, and what their records add up to: counts, checks, what every mirror shows.

Owns frames, records and the recount; where frames come from is files.py's, what a payload says payloads.py's.
"""

import zlib
from collections import Counter

from blake3 import blake3
from files import need, u
from payloads import Damage, Later, decode, members

HEADER_BYTES, BODY_BYTES_MAX, PAYLOAD_BYTES_MAX = 96, 262_048, 196_608


def read_frame(data, at, end):
    """The frame at an offset, sound by itself."""
    need(end - at >= HEADER_BYTES and data[at:at + 4] == b"JRF1", "no frame at byte %d", at)
    body = u(data, at + 12, 4)
    need(body % 16 == 0 and 16 <= body <= BODY_BYTES_MAX, "the frame at byte %d says %d bytes of body", at, body)
    need(at + HEADER_BYTES + body <= end, "the frame at byte %d is cut", at)
    frame = data[at:at + HEADER_BYTES + body]
    need(zlib.crc32(frame[8:]) == u(frame, 4, 4), "the frame at byte %d has a wrong checksum", at)
    if u(frame, 8, 2) != 1 or u(frame, 10, 2) or u(frame, 28, 4):
        raise Later("the frame at byte %d" % at)
    return frame


def records_of(frame):
    """Kind, version and payload of each record."""
    at, records = HEADER_BYTES, []
    while at < len(frame):
        length = u(frame, at + 4, 4)
        end = at + 16 + length
        need(length <= PAYLOAD_BYTES_MAX and end + -end % 16 <= len(frame), "a record of %d bytes in a frame", length)
        if u(frame, at + 8):
            raise Later("a record with flags")
        records.append((u(frame, at, 2), u(frame, at + 2, 2), frame[at + 16:end]))
        at = end + -end % 16
        need(not any(frame[end:at]), "padding is not zero")
    need(len(records) == u(frame, 24, 4), "%d records in a frame of %d", len(records), u(frame, 24, 4))
    return records


def checks_of(event):
    """Objects asked for; each is present, or an exception may say what it is instead."""
    asked, present = sorted(members(event["asked"])), members(event["present"])
    need(event["present"]["len"] == len(asked), "%d asked, %d answered", len(asked), event["present"]["len"])
    absent = {event["base"] + ordinal for place, ordinal in enumerate(asked) if place not in present}
    for exception in event["exceptions"]:
        need(exception["ordinal"] in absent, "an exception for %d, which is there or was not asked", exception["ordinal"])
    return len(asked)


class Chain:
    """What holds from frame to frame. With `opaque`, records are not looked into and totals are believed."""

    def __init__(self, uuid, opaque):
        self.opaque, self.hash = opaque, blake3(b"jrnl" + uuid)
        self.seq = self.frames = self.records = self.checks = self.writer_epoch = 0
        self.whole = True
        self.ends = {0: (self.hash, 0, 0)}  # record: hash, checks_total and state_digest of the frame that it ends
        self.kinds, self.mirrors, self.sealed, self.unsure = Counter(), {}, {}, set()

    def begin_at(self, footer):
        """Goes on from a segment before which nothing is left: everything before it is unproven."""
        self.whole, self.seq, self.hash = False, footer["first_seq"] - 1, footer["prev_hash"]
        self.checks = footer["checks_before"]
        self.ends = {self.seq: (self.hash, self.checks, 0)}

    def take(self, frame):
        first, count = u(frame, 16), u(frame, 24, 4)
        need(first == self.seq + 1, "after record %d comes %d", self.seq, first)
        need(frame[64:96] == self.hash, "the frame of record %d does not follow the one before: another hash", first)
        epoch, total = u(frame, 32), u(frame, 40)
        need(epoch >= self.writer_epoch, "the writer's epoch falls to %d at record %d", epoch, first)
        records = records_of(frame)
        if self.opaque:
            need(total >= self.checks, "record %d: checks fall to %d", first, total)
            self.checks = total
            self.kinds.update("%d.%d" % record[:2] for record in records)
        else:
            self.look(first, records)
            need(total == self.checks, "record %d: the frame says %d checks, recorded are %d", first, total, self.checks)
        self.seq, self.hash, self.writer_epoch = first + count - 1, blake3(frame), epoch
        self.frames, self.records = self.frames + 1, self.records + count
        self.ends[self.seq] = (self.hash, total, u(frame, 56))

    def look(self, first, records):
        for seq, (kind, version, payload) in enumerate(records, first):
            try:
                name, event = decode(kind, version, payload)
                self.kinds[name] += 1
                self.record(name, event)
            except (Damage, Later) as error:
                raise type(error)("record %d: %s" % (seq, error)) from None

    def record(self, name, event):
        if name == "ArrivalsChecked":
            self.checks += checks_of(event)
        elif name == "SegmentSealed":
            self.sealed[event["first"]] = event
        elif name == "MirrorDefined":
            self.mirrors[event["mirror"]] = {"name": event["name"], "branches": {}}
        elif name == "MirrorGone":
            self.mirrors.pop(event["mirror"], None)
        elif name == "MirrorTaken":
            if not event["resumed"] and event["mirror"] in self.mirrors:  # others may have moved its branches
                self.mirrors[event["mirror"]]["branches"] = {}
                self.unsure.add(event["mirror"])
        elif name in ("MoveFinished", "BranchAdopted", "BranchRemoved", "BranchForgotten"):
            self.branch(name, event)

    def branch(self, name, event):
        need(not self.whole or event["mirror"] in self.mirrors, "%s of a mirror that is not defined", name)
        branches = self.mirrors.setdefault(event["mirror"], {"name": None, "branches": {}})["branches"]
        if name in ("BranchRemoved", "BranchForgotten"):
            branches.pop(event["branch"], None)
        elif name == "BranchAdopted":
            branches[event["branch"]] = event["found"]
        else:
            known = self.whole and event["mirror"] not in self.unsure or event["branch"] in branches
            need(not known or branches.get(event["branch"]) == event["from"], "%s moves from elsewhere", event["branch"])
            branches[event["branch"]] = event["to"]
