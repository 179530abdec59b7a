//! Every file, commit and listing that a real lakeFS wrote (`tests/data/lakefs`), read from the top: commit → metarange
//! → ranges → entries → physical addresses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use lakemirror_core::commit::CommitRecord;
use lakemirror_core::ids::{CommitId, MetarangeId, RangeId};
use serde_json::Value as Json;

use super::address::{Namespace, Reach};
use super::entry::Entry;
use super::{Problem, commit, metarange, range};

const REPOSITORIES: [&str; 6] = ["basic", "emptied", "fresh", "imported", "ranges", "slashed"];

fn folder(repository: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/lakefs").join(repository)
}

fn lines(path: PathBuf) -> Vec<Json> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn object(repository: &str, id: &str) -> Bytes {
    std::fs::read(folder(repository).join("objects").join(id)).unwrap().into()
}

fn text(json: &Json, field: &str) -> String {
    json[field].as_str().unwrap().to_owned()
}

fn parse_commit(json: &Json) -> CommitRecord {
    let parents = json["parents"].as_array().unwrap();
    let metadata = json["metadata"].as_object().unwrap();
    CommitRecord {
        id: CommitId::parse(json["id"].as_str().unwrap()).unwrap(),
        parents: parents.iter().map(|id| CommitId::parse(id.as_str().unwrap()).unwrap()).collect(),
        committer: text(json, "committer"),
        message: text(json, "message"),
        creation_date: json["creation_date"].as_i64().unwrap(),
        metarange: MetarangeId::parse(json["meta_range_id"].as_str().unwrap()).ok(),
        metadata: metadata.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect(),
        generation: json["generation"].as_i64().unwrap(),
        version: json["version"].as_i64().unwrap() as i32,
    }
}

#[test]
fn every_commit_has_its_id() {
    let mut seen = 0;
    for repository in REPOSITORIES {
        for json in lines(folder(repository).join("commits.jsonl")) {
            let record = parse_commit(&json);
            assert_eq!(commit::commit_id(&record), record.id, "{json}");
            seen += 1;
        }
    }
    assert_eq!(seen, 39);
}

/// All entries of a tree by path, read and verified from the metarange down.
fn tree(repository: &str, id: &str) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    let ranges = metarange::read(object(repository, id), MetarangeId::parse(id).unwrap()).unwrap();
    for info in ranges {
        let file = range::read(object(repository, &info.id.to_string()), info.id).unwrap();
        assert_eq!(u64::from(file.count()), info.count);
        assert_eq!((file.min_key(), file.max_key()), (info.min_key.as_slice(), info.max_key.as_slice()));
        let mut expected = 0;
        file.for_each(|ordinal, key, entry| {
            assert_eq!(ordinal, expected);
            assert!(entry.identity_matches());
            entries.insert(String::from_utf8(key.to_vec()).unwrap(), entry.to_owned());
            expected += 1;
        })
        .unwrap();
        assert_eq!(expected, file.count());
    }
    entries
}

#[test]
fn every_listing_is_what_its_metarange_holds() {
    let mut seen = 0;
    for repository in REPOSITORIES {
        let described = std::fs::read_to_string(folder(repository).join("repository.json")).unwrap();
        let described: Json = serde_json::from_str(&described).unwrap();
        let namespace = Namespace::parse(described["storage_namespace"].as_str().unwrap()).unwrap();
        for listing in lines(folder(repository).join("listings.jsonl")) {
            let id = text(&listing, "meta_range_id");
            let listed = listing["entries"].as_array().unwrap();
            let tree = if id.is_empty() { BTreeMap::new() } else { tree(repository, &id) };
            assert_eq!(tree.len(), listed.len());
            for expected in listed {
                check_entry(&namespace, &tree[expected["path"].as_str().unwrap()], expected);
                seen += 1;
            }
        }
    }
    assert!(seen > 2943, "{seen}");
}

fn check_entry(namespace: &Namespace, entry: &Entry, listed: &Json) {
    assert_eq!(entry.size, listed["size_bytes"].as_i64().unwrap());
    assert_eq!(entry.e_tag, text(listed, "checksum"));
    assert_eq!(entry.last_modified.unwrap().seconds, listed["mtime"].as_i64().unwrap());
    let shown = if entry.content_type.is_empty() { "application/octet-stream" } else { &entry.content_type };
    assert_eq!(shown, text(listed, "content_type"));
    let metadata = listed["metadata"].as_object().cloned().unwrap_or_default();
    let listed_metadata = metadata.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
    assert_eq!(entry.metadata, listed_metadata.collect());

    let found = namespace.resolve(&entry.address, entry.address_type).unwrap();
    let address = format!("{}://{}/{}", found.scheme, found.bucket, found.key);
    assert_eq!(address, text(listed, "physical_address"));
    assert_eq!(found.reach == Reach::Relative, entry.address.starts_with("data/"));
}

#[test]
fn the_constant_ids_of_empty_files_hold() {
    let empty = "00fb7eff1a97c500eb3ca8d2ef5464131d6b6a5f9512e41eba97843522213b66";
    assert!(metarange::read(object("emptied", empty), MetarangeId::parse(empty).unwrap()).unwrap().is_empty());
    let written = super::writer::RangeWriter::new().finish();
    let known = "5105eaf20d56aa444d5402b4eab9d952aecff97791980db9141ca8e2590ce149";
    assert_eq!(written.info.id.to_string(), known);
    let file = range::read(written.bytes.into(), RangeId::parse(known).unwrap()).unwrap();
    assert_eq!((file.count(), file.min_key(), file.max_key()), (0, &[][..], &[][..]));
}

#[test]
fn an_intact_file_under_another_name_or_of_another_type_is_refused() {
    let id = "00fb7eff1a97c500eb3ca8d2ef5464131d6b6a5f9512e41eba97843522213b66";
    let other = MetarangeId([1; 32]);
    let damage = metarange::read(object("emptied", id), other).unwrap_err();
    assert_eq!(damage.problem, Problem::WrongId { computed: id.to_owned(), expected: other.to_string() });
    let mut writer = super::writer::RangeWriter::new();
    writer.add(b"key", &Entry::default()).unwrap();
    let damage = range::read(writer.finish().bytes.into(), RangeId([1; 32])).unwrap_err();
    assert!(matches!(damage.problem, Problem::WrongId { .. }), "{damage}");
    let damage = range::read(object("emptied", id), RangeId::parse(id).unwrap()).unwrap_err();
    assert!(matches!(damage.problem, Problem::WrongType { ref found, .. } if found == "metaranges"), "{damage}");
}

#[test]
fn ranges_that_contradict_themselves_are_refused() {
    let (id, key) = (RangeId([5; 32]), b"m".as_slice());
    let info = |min_key: &[u8], max_key: &[u8]| {
        let (min_key, max_key) = (min_key.to_vec(), max_key.to_vec());
        metarange::RangeInfo { id, min_key, max_key, estimated_size: 1, count: 1 }.to_value()
    };
    let verdict = |value: &[u8]| metarange::RangeInfo::decode(key, value).map_err(|problem| problem.to_string());
    assert!(verdict(&info(b"a", b"m")).is_ok());
    assert_eq!(verdict(&info(b"a", b"n")).unwrap_err(), "expected the range's last key to be the record's key");
    assert_eq!(verdict(&info(b"n", b"m")).unwrap_err(), "expected a first key not above the last");
    let mut value = info(b"a", b"m");
    value[2] = b'G';
    assert_eq!(verdict(&value).unwrap_err(), "expected a range id of 64 hexadecimal digits");
    let len = value.len();
    assert_eq!(verdict(&value[..len - 1]).unwrap_err(), "expected data with their length in the value");
}

#[test]
fn the_synthetic_files_have_their_ids() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/sstables");
    let vectors: Json = serde_json::from_str(&std::fs::read_to_string(root.join("vectors.json")).unwrap()).unwrap();
    for (name, vector) in vectors.as_object().unwrap() {
        let bytes: Bytes = std::fs::read(root.join(format!("{name}.sst"))).unwrap().into();
        let table = super::table::Table::open(bytes.clone()).unwrap();
        assert_eq!(table.properties().two_level, vector["index_type"] == 2);
        assert_eq!(table.properties().data_blocks, vector["data_blocks"].as_u64().unwrap());
        let id = vector["id"].as_str().unwrap();
        let records = match name.starts_with("range") {
            true => range::read(bytes, RangeId::parse(id).unwrap()).unwrap().count() as usize,
            false => metarange::read(bytes, MetarangeId::parse(id).unwrap()).unwrap().len(),
        };
        assert_eq!(records as u64, vector["records"].as_u64().unwrap());
    }
}
