//! Any bytes as an SSTable: an error, or records that have the same id when they are written again, and read the same.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run sstable fuzz/corpus/sstable fuzz/seeds/sstable`. Checksums are not verified in
//! this build (`cfg(fuzzing)`), otherwise the code behind them would never be reached.

#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

use lakemirror_graveler::Damage;
use lakemirror_graveler::content::{ContentHash, UNHASHED_PROPERTIES};
use lakemirror_graveler::entry::EntryRef;
use lakemirror_graveler::metarange::RangeInfo;
use lakemirror_graveler::table::Table;
use lakemirror_graveler::writer::TableWriter;

struct Contents {
    id: [u8; 32],
    records: Vec<(Vec<u8>, Vec<u8>)>,
    properties: BTreeMap<Vec<u8>, Vec<u8>>,
}

fn read(file: Bytes) -> Result<Contents, Damage> {
    let table = Table::open(file)?;
    let (mut hash, mut walk, mut records) = (ContentHash::new(), table.records(), Vec::new());
    while let Some(record) = walk.next()? {
        hash.record(record.key, record.value);
        records.push((record.key.to_vec(), record.value.to_vec()));
    }
    let mut properties = table.properties().user.clone();
    let id = hash.finish(&properties);
    properties.retain(|name, _| !UNHASHED_PROPERTIES.contains(&name.as_slice()));
    Ok(Contents { id, records, properties })
}

fn check_values(key: &[u8], value: &[u8]) {
    if let Ok(entry) = EntryRef::decode(value) {
        let (owned, encoded) = (entry.to_owned(), entry.to_owned().to_value());
        let again = EntryRef::decode(&encoded).expect("what is encoded is an entry");
        assert_eq!(again.to_owned(), owned);
        assert_eq!(again.computed_identity(), entry.computed_identity());
        assert!(again.identity_matches());
    }
    if let Ok(range) = RangeInfo::decode(key, value) {
        assert_eq!(RangeInfo::decode(key, &range.to_value()), Ok(range));
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(found) = read(Bytes::copy_from_slice(data)) else { return };
    let mut writer = TableWriter::with_properties(found.properties.clone());
    for (key, value) in &found.records {
        check_values(key, value);
        writer.add(key, value).expect("records come in order");
    }
    let written = writer.finish();
    assert_eq!(written.digest, found.id);
    let again = read(written.bytes.into()).expect("what is written is read");
    assert_eq!(again.id, found.id);
    assert_eq!(again.records, found.records);
    assert_eq!(again.properties, found.properties);
});
