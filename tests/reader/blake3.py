"""BLAKE3, unkeyed, 32 bytes out, from its paper. Owns the hash and nothing else; slow, some megabytes a second."""

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
CHUNK_BYTES, BLOCK_BYTES = 1024, 64


def _unrolled():
    """The source of `compress`: seven rounds without loops or lists, which is several times as fast."""
    names = ["v%d" % i for i in range(16)]
    words = ["m%d" % i for i in range(16)]
    lines = ["def compress(cv, block, counter, length, flags):"]
    lines.append("%s = block" % ", ".join(words))
    lines.append("%s = cv" % ", ".join(names[:8]))
    lines.append("v8, v9, v10, v11 = %d, %d, %d, %d" % IV[:4])
    lines.append("v12, v13, v14, v15 = counter & 0xFFFFFFFF, counter >> 32, length, flags")
    order = list(range(16))
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            a, b, c, d = names[a], names[b], names[c], names[d]
            for word, right_d, right_b in ((order[2 * at], 16, 12), (order[2 * at + 1], 8, 7)):
                lines.append("%s = (%s + %s + m%d) & 0xFFFFFFFF" % (a, a, b, word))
                lines.append("%s ^= %s" % (d, a))
                lines.append("%s = %s >> %d | (%s << %d) & 0xFFFFFFFF" % (d, d, right_d, d, 32 - right_d))
                lines.append("%s = (%s + %s) & 0xFFFFFFFF" % (c, c, d))
                lines.append("%s ^= %s" % (b, c))
                lines.append("%s = %s >> %d | (%s << %d) & 0xFFFFFFFF" % (b, b, right_b, b, 32 - right_b))
        order = [order[i] for i in PERMUTATION]
    lines.append("return (%s)" % ", ".join("v%d ^ v%d" % (i, i + 8) for i in range(8)))
    return "\n    ".join(lines)


exec(_unrolled())  # defines `compress`


def _words(block):
    block = block.ljust(BLOCK_BYTES, b"\0")
    return tuple(int.from_bytes(block[i:i + 4], "little") for i in range(0, BLOCK_BYTES, 4))


def _chunk(chunk, counter, root):
    cv = IV
    starts = range(0, max(len(chunk), 1), BLOCK_BYTES)
    for start in starts:
        block = chunk[start:start + BLOCK_BYTES]
        flags = CHUNK_START if start == 0 else 0
        if start == starts[-1]:
            flags |= CHUNK_END | root
        cv = compress(cv, _words(block), counter, len(block), flags)
    return cv


def _tree(data, counter, root):
    if len(data) <= CHUNK_BYTES:
        return _chunk(data, counter, root)
    chunks = (len(data) - 1) // CHUNK_BYTES  # whole chunks with at least a byte left for the right side
    left = 1 << (chunks.bit_length() - 1)
    pair = _tree(data[:left * CHUNK_BYTES], counter, 0) + _tree(data[left * CHUNK_BYTES:], counter + left, 0)
    return compress(IV, pair, 0, BLOCK_BYTES, PARENT | root)


def blake3(data):
    """The hash of some bytes."""
    return b"".join(word.to_bytes(4, "little") for word in _tree(bytes(data), 0, ROOT))


def self_test():
    """Three of the published test vectors: one block, two chunks, a tree of unequal sides; inputs count up modulo 251."""
    for length, begins in ((1, "2d3adedff11b61f1"), (1025, "d00278ae47eb27b3"), (31744, "62b6960e1a44bcc1")):
        if not blake3(bytes(i % 251 for i in range(length))).hex().startswith(begins):
            raise SystemExit("this BLAKE3 is wrong, and says nothing about a journal")
