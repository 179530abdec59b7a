//! The writer against files that a real lakeFS wrote, against known ids, and against the reader.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;
use crate::table::Table;

/// Every metadata file under `tests/data`, by name.
fn files() -> Vec<(PathBuf, Bytes)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let lakefs = ["basic", "emptied", "imported", "ranges", "slashed"].map(|name| format!("lakefs/{name}/objects"));
    let folders = lakefs.iter().map(String::as_str).chain(["sstables", "pebble"]);
    let mut found = Vec::new();
    for folder in folders {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name != "dummy" && !name.ends_with(".json") {
                found.push((path.clone(), std::fs::read(&path).unwrap().into()));
            }
        }
    }
    found
}

fn rewrite(table: &Table) -> super::table::WrittenTable {
    let mut writer = TableWriter::new(str::from_utf8(table.properties().kind()).unwrap());
    let mut records = table.records();
    while let Some(record) = records.next().unwrap() {
        writer.add(record.key, record.value).unwrap();
    }
    writer.finish()
}

#[test]
fn every_file_of_lakefs_and_of_its_pebble_is_reproduced_byte_for_byte() {
    let mut real = 0;
    for (path, bytes) in files() {
        let table = Table::open(bytes.clone()).unwrap();
        let written = rewrite(&table);
        let recorded = table.properties().user.get(b"estimated_size_bytes".as_slice()).unwrap();
        let synthetic = path.parent().unwrap().ends_with("sstables");
        if !synthetic {
            real += 1;
            assert_eq!(hex::encode(written.digest), path.file_name().unwrap().to_str().unwrap());
            assert_eq!(written.estimated_size.to_string().as_bytes(), recorded, "{}", path.display());
            assert!(written.bytes == bytes, "{} differs", path.display());
        }
    }
    assert_eq!(real, 53 + 4);
}

fn info(id: u8, min_key: &[u8], max_key: &[u8]) -> RangeInfo {
    let (min_key, max_key) = (min_key.to_vec(), max_key.to_vec());
    RangeInfo { id: RangeId([id; 32]), min_key, max_key, estimated_size: 500, count: 2 }
}

#[test]
fn the_known_metarange_has_its_bytes_and_id() {
    let range = RangeInfo {
        id: RangeId::parse("fdc31fac7acc1c98592f3b64d991ddb65b578a02494add09fe89079030785938").unwrap(),
        min_key: b"a/1.txt".to_vec(),
        max_key: b"b/2.bin".to_vec(),
        estimated_size: 500,
        count: 2,
    };
    let data = "2e0a07612f312e7478741207622f322e62696e18f4032002";
    assert_eq!(hex::encode(range.to_value()), format!("8001{}{data}", hex::encode(range.id.to_string())));
    let mut writer = MetarangeWriter::new();
    writer.add(&range).unwrap();
    let (id, bytes) = writer.finish();
    assert_eq!(id.to_string(), "5ed0152916402b8493d2a55fbd81c4388f8e714b48d7d27082dd5d3bc5919c49");
    assert_eq!(metarange::read(bytes.into(), id).unwrap(), [range]);
}

#[test]
fn records_out_of_order_are_refused_and_leave_the_writer_usable() {
    let mut writer = RangeWriter::new();
    let entry = Entry::default();
    writer.add(b"b", &entry).unwrap();
    for key in [b"b", b"a"] {
        assert_eq!(writer.add(key, &entry), Err(WriteError::KeyOrder { ordinal: 1 }));
    }
    let huge = vec![0; 41 << 20];
    assert!(matches!(writer.add_stored(b"c", &huge), Err(WriteError::TooLong { ordinal: 1, .. })));
    writer.add(b"c", &entry).unwrap();
    let written = writer.finish();
    assert_eq!(range::read(written.bytes.into(), written.info.id).unwrap().count(), 2);

    let mut writer = MetarangeWriter::new();
    writer.add(&info(1, b"a", b"c")).unwrap();
    assert_eq!(writer.add(&info(2, b"c", b"d")), Err(WriteError::Overlap { ordinal: 1 }));
    writer.add(&info(2, b"c1", b"d")).unwrap();
    let (id, bytes) = writer.finish();
    assert_eq!(metarange::read(bytes.into(), id).unwrap().len(), 2);
}

#[test]
fn ranges_are_closed_by_size_or_by_the_keys_hash() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    let rule = BreakRule::default();
    assert!(should_break(b"any", 20 << 20, &rule));
    assert!(!should_break(b"any", (20 << 20) - 1, &rule));
    let special =
        (0..u64::MAX).map(|n| format!("key-{n}")).find(|key| fnv1a(key.as_bytes()).is_multiple_of(50_000)).unwrap();
    assert!(should_break(special.as_bytes(), 0, &rule));
    assert!(!should_break(special.as_bytes(), 9, &BreakRule { bytes_min: 10, ..rule }));
    assert!(!should_break(special.as_bytes(), 9, &BreakRule { raggedness: 0, ..rule }));
}

/// The real server's ranges end where the rule says, but for those that a commit ends at its own last key.
#[test]
fn the_longest_real_tree_breaks_where_the_rule_says() {
    let mut special = 0;
    for (path, bytes) in files().into_iter().filter(|(path, _)| path.to_str().unwrap().contains("/ranges/")) {
        let table = Table::open(bytes).unwrap();
        if table.properties().kind() != range::KIND.as_bytes() {
            continue;
        }
        let last = table.properties().user[b"max_key".as_slice()].clone();
        let mut records = table.records();
        while let Some(record) = records.next().unwrap() {
            let breaks = should_break(record.key, 0, &BreakRule::default());
            assert!(!breaks || record.key == last, "{}", path.display());
            special += usize::from(breaks);
        }
    }
    assert!(special > 0);
}

mod properties {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[ab/]{0,6}".prop_map(String::into_bytes),
            prop::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()], 0..12),
            prop::collection::vec(any::<u8>(), 0..900),
        ]
    }

    fn values() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (0..6000usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn what_is_written_is_read_again(records in prop::collection::btree_map(keys(), values(), 0..300)) {
            let mut writer = TableWriter::new(range::KIND);
            let mut estimate = 0;
            for (key, value) in &records {
                writer.add(key, value).unwrap();
                estimate = writer.estimated_size();
            }
            let written = writer.finish();
            if !records.is_empty() {
                prop_assert_eq!(written.estimated_size, estimate);
            }
            let table = Table::open(written.bytes.clone().into()).unwrap();
            let mut reader = table.records();
            let mut found = BTreeMap::new();
            let mut hash = crate::content::ContentHash::new();
            while let Some(record) = reader.next().unwrap() {
                hash.record(record.key, record.value);
                found.insert(record.key.to_vec(), record.value.to_vec());
            }
            prop_assert_eq!(hash.finish(&table.properties().user), written.digest);
            prop_assert_eq!(&found, &records);
            let again = rewrite(&table);
            prop_assert!(again.bytes == written.bytes);
        }
    }

    /// Long index keys fill index blocks, so that few records cross the boundary to a second one.
    #[test]
    fn every_index_shape_is_read_again() {
        for count in [1, 2, 40, 60, 500, 3000] {
            let mut writer = TableWriter::new(range::KIND);
            for number in 0..count {
                let key = format!("{}{number:08}", "k".repeat(200));
                writer.add(key.as_bytes(), &[7; 900]).unwrap();
            }
            let written = writer.finish();
            let table = Table::open(written.bytes.into()).unwrap();
            assert_eq!(table.properties().two_level, count >= 500);
            let mut records = table.records();
            let mut seen = 0;
            while records.next().unwrap().is_some() {
                seen += 1;
            }
            assert_eq!(seen, count);
        }
    }
}
