"""Payloads of records: the table "Record kinds" of journal/FORMAT.md as data, and what walks it.

Owns the layout of values; knows neither frames nor files. A payload that does not follow the page raises `Damage`, a kind
or version that is not in the table `Later`.
"""


import json
import sys


class Damage(Exception):
    """What is there is not what was written."""


class Later(Exception):
    """Written by a later version: not damage, but not for this reader."""


# A type is a word: a number's name, h16 and h32 for byte strings, text, bool, a struct's name, `T?` or `list T`, and several
# with commas between are a tuple.
STRUCTS = {
    "set": "len u32, encoding u8, bytes list u8",
    "exception": "ordinal u32, code u8, found u64",
    "range_size": "range h32, entries u32",
    "pair": "key text, value text",
}
KINDS = {
    (1, 1): ("ServiceStarted", "writer_epoch u64, software text, at_ms u64"),
    (2, 1): ("PolicySet", "history u8, size u8, imports u8, on_divergence u8, evidence_age_ms_max u64,"
             " deletion_grace_ms u64, deletion_permille_max u16"),
    (2, 2): ("PolicySet", "history u8, size u8, archived u8, imports u8, on_divergence u8, evidence_age_ms_max u64,"
             " deletion_grace_ms u64, deletion_permille_max u16"),
    (3, 1): ("JournalRecovered", "text text, at_ms u64"),
    (4, 1): ("SegmentSealed", "first u64, last u64, frames u64, bytes u64, checks u64, hash h32, last_frame h32, at_ms u64"),
    (5, 1): ("SegmentArchived", "first u64, last u64, hash h32, bytes u64, file_hash h32, place text, at_ms u64"),
    (6, 1): ("SegmentDropped", "first u64, last u64, hash h32, archived bool, at_ms u64"),
    (7, 1): ("SnapshotTaken", "seq u64, digest h32, bytes u64, at_ms u64"),
    (8, 1): ("LossAcknowledged", "from u64, to u64, reason text, who text, at_ms u64"),
    (9, 1): ("JournalGapFound", "after u64, published u64, hash h32, mirror text, writer_epoch u64, at_ms u64"),
    (10, 1): ("DatabaseItemWritten", "generation u64, key text, value text, removed bool, at_ms u64"),
    (11, 1): ("DatabaseRebuilt", "found u64, generation u64, items u64, reason text, at_ms u64"),
    (16, 1): ("MirrorDefined", "mirror h16, name text, source_repository text, source_region text, region text,"
              " storage_namespace text, at_ms u64"),
    (17, 1): ("SourceIdentified", "mirror h16, storage_namespace text, default_branch text, creation_date i64, at_ms u64"),
    (18, 1): ("RepositoryIntended", "mirror h16, at_ms u64"),
    (19, 1): ("RepositoryReady", "mirror h16, adopted bool, at_ms u64"),
    (20, 1): ("TroubleNoted", "mirror h16, text text, at_ms u64"),
    (21, 1): ("MirrorDeletionStarted", "mirror h16, at_ms u64"),
    (22, 1): ("MirrorGone", "mirror h16, at_ms u64"),
    (24, 1): ("ConditionRaised", "mirror h16, condition u8, text text, at_ms u64"),
    (25, 1): ("ConditionResolved", "mirror h16, condition u8, at_ms u64"),
    (23, 1): ("MirrorTaken", "mirror h16, epoch u64, resumed bool, before text, at_ms u64"),
    (27, 1): ("DeletionsApproved", "mirror h16, branches list text, by text, at_ms u64"),
    (32, 1): ("BranchSeen", "mirror h16, branch text, head h32, hidden bool, at_ms u64"),
    (33, 1): ("BranchMissed", "mirror h16, branch text, writer_epoch u64, at_ms u64"),
    (34, 1): ("BranchTombstoned", "mirror h16, branch text, at_ms u64"),
    (35, 1): ("BranchRemovalStarted", "mirror h16, branch text, at_ms u64"),
    (36, 1): ("BranchRemoved", "mirror h16, branch text, at_ms u64"),
    (37, 1): ("BranchDiverged", "mirror h16, branch text, expected h32?, found h32?, at_ms u64"),
    (38, 1): ("BranchAdopted", "mirror h16, branch text, found h32, at_ms u64"),
    (39, 1): ("BranchForgotten", "mirror h16, branch text, at_ms u64"),
    (40, 1): ("BranchVisibilityChanged", "mirror h16, branch text, hidden bool, at_ms u64"),
    (41, 1): ("BranchRemakeStarted", "mirror h16, branch text, hidden bool, at_ms u64"),
    (44, 1): ("DeletionsHeld", "mirror h16, branches list text, reason u8, vanished u32, live u32, at_ms u64"),
    (45, 1): ("DeletionsReleased", "mirror h16, branches list text, at_ms u64"),
    (48, 1): ("CommitObserved", "mirror h16, id h32, parents list h32, committer text, message text, creation_date i64,"
              " metarange h32?, metadata list pair, generation i64, version i32, at_ms u64"),
    (49, 1): ("MetarangeRead", "mirror h16, metarange h32, total u32, first u32, ranges list range_size, at_ms u64"),
    (50, 1): ("RangeRead", "mirror h16, range h32, entries u32, imports set, inherited set, inherited_from list h32,"
              " inherited_oldest_ms u64, at_ms u64"),
    (51, 1): ("ArrivalsChecked", "mirror h16, range h32, base u32, asked set, present set, exceptions list exception,"
              " started_ms u64, finished_ms u64"),
    (52, 1): ("SourceProbed", "mirror h16, range h32, gone list u32, there list u32, at_ms u64"),
    (53, 1): ("RangesReopened", "mirror h16, ranges list h32, at_ms u64"),
    (54, 1): ("WrongSizesGone", "mirror h16, range h32, once list u32, twice list u32, at_ms u64"),
    (55, 1): ("TreesTakenBack", "mirror h16, metaranges list h32, at_ms u64"),
    (56, 1): ("ArchivedShown", "mirror h16, range h32, ordinals list u32, at_ms u64"),
    (64, 1): ("MoveStarted", "mirror h16, branch text, from h32?, to h32, seen u64, ranges u32, entries u64,"
              " oldest_evidence_ms u64, at_ms u64"),
    (65, 1): ("RecordsWritten", "mirror h16, commits list h32, at_ms u64"),
    (66, 1): ("MoveFinished", "mirror h16, branch text, from h32?, to h32, seen u64, at_ms u64"),
    (67, 1): ("MoveGivenUp", "mirror h16, branch text, to h32, seen u64, at_ms u64"),
    (80, 1): ("SummaryPublished", "mirror h16, number u64, at_ms u64"),
}
NUMBERS = {"u8": (1, False), "u16": (2, False), "u32": (4, False), "u64": (8, False), "i32": (4, True), "i64": (8, True)}


def fields_of(text):
    """A struct's fields in order, as pairs of name and type."""
    return [tuple(field.strip().split(" ", 1)) for field in text.split(",")]


def size_of(kind):
    """Bytes of a value where its field stands."""
    if kind.endswith("?"):
        return 1 + size_of(kind[:-1])
    if kind.startswith("list ") or kind == "text":
        return 8
    if kind in NUMBERS:
        return NUMBERS[kind][0]
    if kind in STRUCTS:
        return sum(size_of(field) for _, field in fields_of(STRUCTS[kind]))
    return {"h16": 16, "h32": 32, "bool": 1}[kind]


def span(payload, at, length):
    """Bytes of a payload, all of which must be in it."""
    if at < 0 or at + length > len(payload):
        raise Damage("a payload of %d bytes points to %d bytes at %d" % (len(payload), length, at))
    return payload[at:at + length]


def number(payload, at, kind):
    size, signed = NUMBERS[kind]
    return int.from_bytes(span(payload, at, size), "little", signed=signed)


def text(payload, at):
    field = span(payload, at, 8)
    if field[0] & 0xC0 != 0x80:
        content = field.rstrip(b"\xff")
    else:
        length = number(field, 0, "u32")
        content = span(payload, at + number(field, 4, "i32"), length & 0x3F | (length & ~0xFF) >> 2)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Damage("a text is not UTF-8: %s" % error) from None


def flag(payload, at):
    value = span(payload, at, 1)[0]
    if value > 1:
        raise Damage("a truth value is %d" % value)
    return value == 1


def value(payload, at, kind):
    """The value of a type at a place."""
    if kind.endswith("?"):
        return value(payload, at + 1, kind[:-1]) if flag(payload, at) else None
    if kind.startswith("list "):
        first, item = at + number(payload, at, "i32"), kind[5:]
        count, size = number(payload, at + 4, "u32"), size_of(kind[5:])
        content = span(payload, first, count * size)
        return content if item == "u8" else [value(payload, first + i * size, item) for i in range(count)]
    if kind in NUMBERS:
        return number(payload, at, kind)
    if kind in STRUCTS:
        return struct(payload, at, STRUCTS[kind])
    if kind == "text":
        return text(payload, at)
    return flag(payload, at) if kind == "bool" else span(payload, at, size_of(kind)).hex()


def struct(payload, at, layout):
    values = {}
    for name, kind in fields_of(layout):
        values[name] = value(payload, at, kind)
        at += size_of(kind)
    return values


def decode(kind, version, payload):
    """A record's name and fields; the struct itself stands at the payload's end."""
    if (kind, version) not in KINDS:
        raise Later("a record of kind %d, version %d" % (kind, version))
    name, layout = KINDS[kind, version]
    return name, struct(payload, len(payload) - sum(size_of(field) for _, field in fields_of(layout)), layout)


def leb128(content):
    numbers, current, shift = [], 0, 0
    for byte in content:
        current |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            numbers.append(current)
            current, shift = 0, 0
    if shift:
        raise Damage("a set ends within a number")
    return numbers


def number_bytes(numbers):
    content = bytearray()
    for rest in numbers:
        while rest >= 0x80:
            content.append(rest & 0x7F | 0x80)
            rest >>= 7
        content.append(rest)
    return bytes(content)


def pack(found, length):
    """Encoding and bytes of a set: the shortest, of equal ones the lowest number."""
    if len(found) == length or not found:
        return (0 if len(found) == length else 1), b""
    ordered, bitmap = sorted(found), bytearray((length + 7) // 8)
    runs, gaps = [], []
    for at, ordinal in enumerate(ordered):
        bitmap[ordinal // 8] |= 1 << ordinal % 8
        before = ordered[at - 1] if at else -1
        gaps.append(ordinal - before - 1)
        if gaps[-1] or not at:
            runs += [gaps[-1], 0]
        runs[-1] += 1
    forms = [(2, bytes(bitmap)), (3, number_bytes(runs)), (4, number_bytes(gaps))]
    return min(forms, key=lambda form: len(form[1]))


def members(packed):
    """The ordinals of a set, as a set of integers."""
    length, encoding, content = packed["len"], packed["encoding"], packed["bytes"]
    found = set()
    if length > 1 << 24:
        raise Damage("a set of %d ordinals" % length)
    if encoding == 0:
        found = set(range(length))
    elif encoding == 2:
        found = {8 * at + bit for at, byte in enumerate(content) for bit in range(8) if byte >> bit & 1}
    elif encoding == 3:
        at = 0
        for turn, run in enumerate(leb128(content)):
            if turn % 2:
                found.update(range(at, at + run))
            at += run
    elif encoding == 4:
        at = -1
        for gap in leb128(content):
            at += 1 + gap
            found.add(at)
    elif encoding != 1:
        raise Damage("a set has the encoding %d" % encoding)
    if found and max(found) >= length:
        raise Damage("a set of ordinals below %d has %d in it" % (length, max(found)))
    if pack(found, length) != (encoding, content):
        raise Damage("a set is not in its shortest form")
    return found


def main(paths):
    """Prints the payloads of files like tests/golden/events.txt: a line of JSON each, sets as lists of ordinals."""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            lines = [line.split() for line in file if not line.startswith("#")]
        for kind, version, _, payload in lines:
            name, fields = decode(int(kind), int(version), bytes.fromhex(payload))
            print(json.dumps({"name": name, "fields": {key: plain(field) for key, field in fields.items()}}))


def plain(field):
    return sorted(members(field)) if isinstance(field, dict) and "encoding" in field else field


if __name__ == "__main__":
    main(sys.argv[1:])
