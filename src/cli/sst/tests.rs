//! The command on real files, damaged ones, and readers that go away.

use super::*;
use lakemirror_graveler::writer::RangeWriter;

const RANGE: &str = "lakefs/imported/objects/5f80d2f3f4cd13ed815e57bec91f339d9bc05cb725abf3943b3d3f83a069ba4b";
const METARANGE: &str = "lakefs/basic/objects/1e8762bc0c384b957722279c065f05efb690bafc6bae1a819fc8276a7588a642";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn printed(files: &[PathBuf]) -> (bool, Vec<Json>) {
    let mut out = Vec::new();
    let ok = run(files, &mut out).unwrap();
    let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (ok, lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
}

#[test]
fn real_files_are_printed_whole_and_found_good() {
    for name in [RANGE, METARANGE] {
        let (ok, lines) = printed(&[data(name)]);
        let (last, records) = lines.split_last().unwrap();
        assert!(ok, "{last}");
        assert_eq!(last["records"].as_u64().unwrap(), records.len() as u64);
        assert_eq!(last["computed_id"], last["recorded_id"]);
        assert_eq!(last["properties"]["count"], records.len().to_string());
        assert!(records.iter().all(|record| record["entry"].is_object() || record["range"].is_object()));
    }
}

#[test]
fn a_name_that_is_not_the_id_is_a_mismatch_and_later_files_are_still_printed() {
    let (ok, lines) = printed(&[data("sstables/metarange_empty.sst"), data("no such file"), data(METARANGE)]);
    assert!(!ok);
    assert_eq!(lines[0]["problem"], "the file's name is not the id of its contents");
    assert!(lines[1]["problem"].as_str().unwrap().starts_with("cannot read the file: "));
    assert_eq!(lines.last().unwrap()["ok"], true);
}

#[test]
fn damage_is_reported_with_its_offset_after_the_records_before_it() {
    let mut bytes = std::fs::read(data("sstables/range_two_level.sst")).unwrap();
    bytes[300_000] ^= 1;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fd5c75f3f6ace0b37f8624b535f8341ef5d91bed8560685b5e533d74705ad3df");
    std::fs::write(&path, bytes).unwrap();
    let (ok, lines) = printed(&[path]);
    assert!(!ok);
    assert!(lines.len() > 1000);
    let last = lines.last().unwrap();
    assert!(last["problem"].as_str().unwrap().contains("the block's checksum"), "{last}");
    assert!(last["problem"].as_str().unwrap().starts_with("at byte 29"), "{last}");
    assert_eq!(last["computed_id"], Json::Null);
}

#[test]
fn keys_that_are_no_text_and_wrong_identities_are_shown() {
    let (good, other) = (Entry { size: 1, ..Entry::default() }, Entry { size: 2, ..Entry::default() });
    let mut value = good.to_value();
    value.splice(1..33, other.identity());
    let mut writer = RangeWriter::new();
    writer.add_stored(b"\xff\x00", &value).unwrap();
    let written = writer.finish();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(written.info.id.to_string());
    std::fs::write(&path, written.bytes).unwrap();
    let (ok, lines) = printed(&[path]);
    assert!(!ok);
    assert_eq!(lines[0]["key"], json!({ "hex": "ff00" }));
    assert_eq!(lines[0]["problem"], "expected the identity of the entry's fields");
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    assert!(run(&[data(RANGE)], &mut Gone).is_ok());
}
