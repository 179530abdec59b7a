//! Damage: every flipped bit and every truncation of real files, and forged files whose checksums are right but which
//! break one promise of the format each.

mod forge;

use std::path::Path;

use proptest::prelude::*;

use self::forge::{Forgery, set};
use super::*;

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/sstables").join(name)).unwrap()
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// All records, or the first damage.
fn read(file: impl Into<Bytes>) -> Result<Rows, Damage> {
    let table = Table::open(file.into())?;
    let mut records = table.records();
    let mut found = Vec::new();
    while let Some(record) = records.next()? {
        found.push((record.key.to_vec(), record.value.to_vec()));
    }
    assert!(records.next()?.is_none(), "the end stays the end");
    Ok(found)
}

#[test]
fn every_single_flipped_bit_is_an_error() {
    for name in ["range_small.sst", "metarange.sst", "metarange_empty.sst"] {
        let good = data(name);
        assert!(read(good.clone()).is_ok());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(read(bad).is_err(), "{name}: bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn every_truncation_and_extension_is_an_error() {
    let good = data("range_small.sst");
    for len in 0..good.len() {
        assert!(read(good[..len].to_vec()).is_err(), "the first {len} bytes");
        assert!(read(good[good.len() - len..].to_vec()).is_err(), "the last {len} bytes");
    }
    assert!(read([good.as_slice(), &[0]].concat()).is_err());
    assert!(read([&[0], good.as_slice()].concat()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_to_a_two_level_file_is_an_error(at in any::<prop::sample::Index>(), byte in 1..=255u8, cut: bool) {
        let mut file = data("range_two_level.sst");
        let at = at.index(file.len());
        if cut { file.truncate(at) } else { file[at] ^= byte }
        prop_assert!(read(file).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(file in prop::collection::vec(any::<u8>(), 0..400), footer: bool) {
        let mut file = file;
        if footer {
            let good = data("range_small.sst");
            file.extend_from_slice(&good[good.len() - 53..]);
        }
        prop_assert!(read(file).is_err());
    }
}

/// What the reader says of a forgery.
fn verdict(edit: impl FnOnce(&mut Forgery)) -> String {
    verdict_on(Forgery::good(), edit)
}

fn verdict_on(mut forgery: Forgery, edit: impl FnOnce(&mut Forgery)) -> String {
    edit(&mut forgery);
    read(forgery.build()).map(|records| records.len()).unwrap_err().to_string()
}

#[test]
fn the_unedited_forgery_is_good() {
    assert_eq!(read(Forgery::good().build()).unwrap().len(), 6);
}

#[test]
fn blocks_cannot_be_left_out_repeated_or_exchanged() {
    let gap = "expected data blocks that follow one another without a gap";
    assert!(verdict(|f| drop(f.index.remove(0))).ends_with(gap));
    assert!(verdict(|f| drop(f.index.remove(1))).ends_with(gap));
    assert!(verdict(|f| drop(f.index.remove(2))).ends_with("expected data blocks up to where the index begins"));
    assert!(verdict(|f| f.index.clear()).contains("expected"));
    assert!(verdict(|f| f.index[1].1 = 0).ends_with(gap));
    assert!(verdict(|f| f.data.swap(0, 1)).contains("expected"));
    assert!(verdict(|f| f.index.swap(0, 1)).contains("expected"));
}

#[test]
fn index_blocks_cannot_be_left_out_or_overlap() {
    assert_eq!(read(Forgery::two_level().build()).unwrap().len(), 6);
    let verdict = |edit: fn(&mut Forgery)| verdict_on(Forgery::two_level(), edit);
    let gap = verdict(|f| f.partition_gaps[0].push(0));
    assert!(gap.ends_with("expected index blocks that follow one another without a gap"), "{gap}");
    let end = verdict(|f| f.partition_gaps[1].push(0));
    assert!(end.ends_with("expected index blocks up to where the upper level begins"), "{end}");
    let short = verdict(|f| f.partitions[0].0 = set(b"c"));
    assert!(short.ends_with("expected no index key above that of the upper level"), "{short}");
    let (none, one) = (verdict(|f| f.partitions.truncate(1)), verdict(|f| f.partitions[1].1 = 0));
    assert!(none.ends_with("expected data blocks up to where the index begins"), "{none}");
    assert!(one.ends_with("expected data blocks up to where the index begins"), "{one}");
}

#[test]
fn keys_ascend_within_and_between_blocks_and_past_separators() {
    let order = "expected keys in strictly ascending order";
    assert!(verdict(|f| f.data[1].swap(0, 1)).ends_with(order));
    assert!(verdict(|f| f.data[1][1].0 = set(b"c")).ends_with(order));
    assert!(verdict(|f| f.data[1][0].0 = set(b"b")).contains("expected"));
    let above = verdict(|f| f.index[0].0 = set(b"a"));
    assert!(above.ends_with("expected no key above the block's own index key"), "{above}");
    let below = verdict(|f| f.index[0].0 = set(b"c1"));
    assert!(below.ends_with("expected a key above the index key of the block before"), "{below}");
    assert!(verdict(|f| f.index[1].0 = set(b"a")).ends_with(order));
}

#[test]
fn only_set_records_and_index_keys_of_known_kinds_are_taken() {
    let deleted = verdict(|f| f.data[2][0].0 = [b"e".as_slice(), &[0; 8]].concat());
    assert!(deleted.ends_with("expected a record of kind SET with sequence number 0"), "{deleted}");
    let later = verdict(|f| f.data[2][0].0 = [b"e".as_slice(), &[1, 1, 0, 0, 0, 0, 0, 0]].concat());
    assert!(later.ends_with("sequence number 0"), "{later}");
    let short = verdict(|f| f.data[0][0].0 = b"a".to_vec());
    assert!(short.ends_with("expected a key with its own sequence number and kind"), "{short}");
    let index = verdict(|f| f.index[0].0 = [b"b".as_slice(), &[2, 0, 0, 0, 0, 0, 0, 0]].concat());
    assert!(index.ends_with("expected an index key of kind separator or SET"), "{index}");
}

#[test]
fn counts_are_checked() {
    for name in ["rocksdb.num.entries", "rocksdb.num.data.blocks", "rocksdb.data.size"] {
        let wrong = verdict(|f| f.property(name, &[1]));
        assert!(wrong.contains(&format!("property {name} is 1, expected")), "{wrong}");
        assert!(verdict(|f| f.property(name, &[0x80])).contains("expected a number in property"));
    }
    let count = verdict(|f| f.property("count", b"7"));
    assert!(count.ends_with("property count is 7, expected 6 by the file's contents"), "{count}");
}

#[test]
fn restart_points_are_checked() {
    assert!(verdict(|f| f.restarts = Some(vec![0, 3])).ends_with("expected an entry at the restart offset"));
    assert!(verdict(|f| f.restarts = Some(vec![4])).ends_with("expected a first restart offset of 0"));
    assert!(verdict(|f| f.restarts = Some(vec![])).ends_with("expected a first restart offset of 0"));
    assert!(verdict(|f| f.restarts = Some(vec![0, 0])).ends_with("expected restart offsets in ascending order"));
    // "a" and, sharing its first byte, "aa": with a restart point at the second, or with none.
    let entries = [&[0, 9, 1], set(b"a").as_slice(), b"v", &[1, 9, 1], set(b"a").as_slice(), b"v"].concat();
    let with_restarts = |tail: &[u8]| [entries.as_slice(), tail].concat();
    let (shared, whole) =
        (with_restarts(&[0, 0, 0, 0, 13, 0, 0, 0, 2, 0, 0, 0]), with_restarts(&[0, 0, 0, 0, 1, 0, 0, 0]));
    let shared = verdict(|f| f.stored = Some((shared, physical::TYPE_RAW)));
    assert!(shared.ends_with("expected a whole key at the restart offset"), "{shared}");
    let whole = verdict(|f| f.stored = Some((whole, physical::TYPE_RAW)));
    assert!(whole.contains("property rocksdb.data.size"), "{whole}");
    let beyond = verdict(|f| f.restarts = Some(vec![0, 9999]));
    assert!(beyond.ends_with("expected every restart offset to be that of an entry"), "{beyond}");
}

#[test]
fn empty_blocks_are_only_for_empty_tables() {
    let empty = verdict(|f| f.data[1].clear());
    assert!(empty.ends_with("expected a record in a block of a table that is not empty"), "{empty}");
    assert_eq!(read(data("metarange_empty.sst")), Ok(Vec::new()));
}

#[test]
fn decompressed_sizes_are_limited() {
    // 1 GiB claimed by a few bytes, and a size that is allowed but impossible for so few.
    for claimed in [1u64 << 30, 4096] {
        let mut bomb = Vec::new();
        super::super::varint::write(&mut bomb, claimed);
        bomb.extend([0x00, b'a', 0xfe, 1, 0]);
        let refused = verdict(|f| f.stored = Some((bomb, physical::TYPE_SNAPPY)));
        assert!(refused.contains(&format!("claims {claimed} bytes decompressed, expected at most")), "{refused}");
    }
    let broken = verdict(|f| f.stored = Some((vec![9, 0x04, b'a'], physical::TYPE_SNAPPY)));
    assert!(broken.contains("expected a snappy block"), "{broken}");
    let zstd = verdict(|f| f.stored = Some((vec![1, 2, 3], 7)));
    assert!(zstd.contains("unsupported compression type: found 7"), "{zstd}");
}

#[test]
fn other_formats_are_named() {
    let edit = |from_end: usize, bytes: &[u8]| {
        let mut file = data("range_small.sst");
        let at = file.len() - from_end;
        file[at..at + bytes.len()].copy_from_slice(bytes);
        read(file).unwrap_err().to_string()
    };
    assert!(edit(53, &[3]).contains("unsupported checksum type: found 3 (xxHash64)"));
    assert!(edit(53, &[0]).contains("unsupported checksum type: found 0"));
    assert!(edit(8, b"\xf0\x9f\xaa\xb3\xf0\x9f\xaa\xb3").contains("unsupported table format: found Pebble's own"));
    assert!(edit(8, b"\x57\xfb\x80\x8b\x24\x75\x47\xdb").contains("unsupported table format: found LevelDB's"));
    assert!(edit(8, b"no magic").contains("at byte 1224: expected an SSTable's magic number"));
    assert!(edit(12, &[5]).contains("unsupported format version: found 05000000"));
    assert!(edit(20, &[5]).contains("nothing but zeros behind them"));
    assert!(read(vec![0; 52]).unwrap_err().to_string().contains("the file has 52 bytes, expected at least the 53"));
}

#[test]
fn other_features_are_named() {
    let filter = verdict(|f| f.metaindex = b"fullfilter.rocksdb.BuiltinBloomFilter".to_vec());
    assert!(filter.contains("unsupported metadata block: found fullfilter"), "{filter}");
    let hash_index = verdict(|f| f.property("rocksdb.block.based.table.index.type", &[1, 0, 0, 0]));
    assert!(hash_index.contains("unsupported index type: found 01000000"), "{hash_index}");
    let comparator = verdict(|f| f.property("rocksdb.comparator", b"x"));
    assert!(comparator.contains("unsupported comparator: found x"), "{comparator}");
    let footer = verdict(|f| f.footer_gap = vec![0]);
    assert!(footer.ends_with("expected the metaindex block to end where the footer begins"), "{footer}");
    let padded = verdict(|f| f.gap = vec![0]);
    assert!(padded.ends_with("expected the index block to end where the properties begin"), "{padded}");
}
