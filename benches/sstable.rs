//! Reading range files: entries and bytes per second, compared with hashing and checksumming the same bytes in the same
//! run.
//!
//! `decode` walks all records and reads every entry; `verify` also recomputes the range's id; `identity` also
//! recomputes each entry's identity. Lower bounds: SHA-256 of the record bytes (no verification can be faster) and
//! CRC-32C of the file.

#![expect(clippy::expect_used, reason = "a benchmark that cannot read what it has written is to stop")]
#![allow(missing_docs, reason = "criterion's macro makes an undocumented function")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use lakemirror::graveler::entry::{AddressType, Entry, EntryRef, Timestamp};
use lakemirror::graveler::range;
use lakemirror::graveler::table::Table;
use lakemirror::graveler::writer::{RangeWriter, WrittenRange};
use sha2::{Digest, Sha256};

/// A typical large range: an upload's entries below a partitioned table.
const ENTRIES: u32 = 50_000;

fn entry(number: u32) -> Entry {
    let digest = hex::encode(Sha256::digest(number.to_be_bytes()));
    let (id, e_tag) = digest.split_at(20);
    Entry {
        address: format!("data/gk3l4p7n6f5s73d2k0a0/{id}"),
        last_modified: Some(Timestamp { seconds: 1_700_000_000 + i64::from(number), nanos: 123_456_789 }),
        size: i64::from(number) * 977,
        e_tag: e_tag.get(..32).unwrap_or_default().to_owned(),
        address_type: AddressType::Relative,
        content_type: "application/octet-stream".to_owned(),
        ..Entry::default()
    }
}

fn large_range() -> WrittenRange {
    let mut writer = RangeWriter::new();
    for number in 0..ENTRIES {
        let key = format!("tables/events/dt={:05}/part-{number:08}.parquet", number / 100);
        writer.add(key.as_bytes(), &entry(number)).expect("keys ascend");
    }
    writer.finish()
}

/// Keys and values of all records, concatenated.
fn record_bytes(table: &Table) -> Vec<u8> {
    let mut out = Vec::new();
    let mut records = table.records();
    while let Some(record) = records.next().expect("a good file") {
        out.extend_from_slice(record.key);
        out.extend_from_slice(record.value);
    }
    out
}

fn decode(file: &Bytes, mut visit: impl FnMut(&EntryRef<'_>)) {
    let table = Table::open(file.clone()).expect("a good file");
    let mut records = table.records();
    while let Some(record) = records.next().expect("a good file") {
        visit(&EntryRef::decode(record.value).expect("an entry"));
    }
}

/// Reads what a verifier reads.
fn look(entry: &EntryRef<'_>) {
    black_box((entry.address, entry.address_type, entry.size));
}

fn per_entry(group: &mut BenchmarkGroup<'_, WallTime>, written: &WrittenRange) {
    let file = Bytes::from(written.bytes.clone());
    group.throughput(Throughput::Elements(ENTRIES.into()));
    group.bench_function("decode", |b| b.iter(|| decode(&file, look)));
    group.bench_function("verify", |b| b.iter(|| range::read(file.clone(), written.info.id).expect("a good file")));
    group.bench_function("identity", |b| b.iter(|| decode(&file, |entry| assert!(entry.identity_matches()))));
    group.bench_function("write", |b| b.iter(large_range));
}

fn per_byte(group: &mut BenchmarkGroup<'_, WallTime>, written: &WrittenRange) {
    let file = Bytes::from(written.bytes.clone());
    group.throughput(Throughput::Bytes(file.len() as u64));
    group.bench_function("decode", |b| b.iter(|| decode(&file, look)));
    group.bench_function("verify", |b| b.iter(|| range::read(file.clone(), written.info.id).expect("a good file")));
    group.bench_function("floor: crc32c of the file", |b| b.iter(|| crc32c::crc32c(black_box(&file))));
    let records = record_bytes(&Table::open(file).expect("a good file"));
    group.throughput(Throughput::Bytes(records.len() as u64));
    group.bench_function("floor: sha256 of the records", |b| b.iter(|| Sha256::digest(black_box(&records))));
}

fn benches(criterion: &mut Criterion) {
    let written = large_range();
    per_entry(&mut criterion.benchmark_group("sstable entries"), &written);
    per_byte(&mut criterion.benchmark_group("sstable bytes"), &written);
}

criterion_group!(all, benches);
criterion_main!(all);
