//! The writer against files that a real lakeFS wrote, against known ids, and against the reader.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::*;
use crate::graveler::table::Table;

/// Every metadata file under `tests/data`, by name.
fn files() -> Vec<(PathBuf, Bytes)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let lakefs = ["basic", "emptied", "imported", "ranges", "slashed"].map(|name| format!("lakefs/{name}/objects"));
    let folders = lakefs.iter().map(String::as_str).chain(["sstables"]);
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
fn every_file_of_a_real_lakefs_is_reproduced_byte_for_byte() {
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
    assert_eq!(real, 53);
}
