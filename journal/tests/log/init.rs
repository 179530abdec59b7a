//! Directories that are not, or not yet, or no longer a journal.

use lakemirror_journal::log::disk::Disk;
use lakemirror_journal::log::{OpenError, ScanError};

use super::support::{Machine, SEGMENT};

fn refusal(machine: &Machine) -> OpenError {
    let before = machine.disk.paths();
    let error = machine.open().map(|_| ()).unwrap_err();
    let left: Vec<_> = machine.disk.paths().into_iter().filter(|path| path != "LOCK").collect();
    assert_eq!(left, before.into_iter().filter(|path| path != "LOCK").collect::<Vec<_>>(), "nothing half-made");
    error
}

#[test]
fn a_directory_with_other_things_is_left_alone() {
    let machine = Machine::new();
    machine.disk.put("holiday.jpg", b"not a journal".to_vec());
    let error = refusal(&machine);
    assert!(matches!(&error, OpenError::NotAJournal { found, .. } if found == "holiday.jpg"), "{error}");
    assert_eq!(machine.disk.paths(), ["holiday.jpg"]);
    assert!(matches!(machine.scan(), Err(ScanError::NoJournal { .. })));
}

#[test]
fn the_root_of_a_fresh_volume_will_do() {
    let machine = Machine::new();
    machine.disk.make_dir("lost+found").unwrap();
    machine.open().unwrap();
}

#[test]
fn a_missing_format_beside_records_is_not_a_new_journal() {
    let machine = Machine::with(&[&[b"one"]]);
    machine.disk.remove("FORMAT").unwrap();
    assert!(matches!(refusal(&machine), OpenError::FormatDamaged { .. }));
    // Even without HEAD: the segment has bytes.
    machine.disk.remove("HEAD").unwrap();
    assert!(matches!(refusal(&machine), OpenError::FormatDamaged { .. }));
}

#[test]
fn a_damaged_format_is_a_refusal() {
    let machine = Machine::with(&[&[b"one"]]);
    machine.damage("FORMAT", |bytes| bytes[30] ^= 1);
    assert!(matches!(refusal(&machine), OpenError::FormatDamaged { .. }));
}

#[test]
fn a_newer_format_is_named() {
    let machine = Machine::with(&[&[b"one"]]);
    machine.disk.put("FORMAT", b"{\"format\":2,\"seals\":true}\n".to_vec());
    let error = refusal(&machine);
    assert!(matches!(error, OpenError::NewerFormat { found: 2, known: 1, .. }));
    assert!(error.to_string().contains("says format 2"), "{error}");
}

#[test]
fn a_foreign_file_among_the_segments_is_named() {
    for name in ["notes.txt", "1-9.jseg", "0000000000000009.jseg.new"] {
        let machine = Machine::with(&[&[b"one"]]);
        machine.disk.put(&format!("seg/{name}"), b"?".to_vec());
        let error = refusal(&machine);
        assert!(matches!(&error, OpenError::ForeignSegment { path } if path.ends_with(name)), "{error}");
    }
}

#[test]
fn a_segment_that_does_not_fit_is_a_refusal() {
    for name in [
        "0000000000000001-0000000000000009.jseg",
        "0000000000000009.jseg.open",
        "0000000000000002-0000000000000002.jseg.zst",
    ] {
        let machine = Machine::with(&[&[b"one"]]);
        machine.disk.put(&format!("seg/{name}"), b"?".to_vec());
        let error = refusal(&machine);
        assert!(matches!(&error, OpenError::MisplacedSegment { .. }), "{name}: {error}");
        assert!(machine.scan().is_err(), "{name}");
    }
}

#[test]
fn a_lost_head_is_a_refusal() {
    let machine = Machine::with(&[&[b"one"]]);
    machine.disk.remove("HEAD").unwrap();
    assert!(matches!(refusal(&machine), OpenError::HeadLost { .. }));
}

#[test]
fn another_journals_format_is_noticed() {
    let machine = Machine::with(&[]);
    machine.damage("FORMAT", |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let body = text.split(",\"crc32\"").next().unwrap().trim_start_matches('{').replace("61", "62");
        *bytes = format!("{{{body},\"crc32\":\"{:08x}\"}}\n", crc32fast::hash(body.as_bytes())).into_bytes();
    });
    assert!(matches!(refusal(&machine), OpenError::HeadDisagrees { seq: 0, .. }));
    assert!(machine.scan().is_err());
}

#[test]
fn a_read_only_volume_is_named() {
    for call in 0..4 {
        let machine = Machine::new();
        machine.faults.fail_at(call, std::io::ErrorKind::ReadOnlyFilesystem);
        let error = machine.open().map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::NotWritable { .. }), "call {call}: {error:?}");
        assert!(error.to_string().contains("read-write"), "{error}");
        // What little was made is recognised as unfinished.
        machine.open().unwrap();
    }
}

#[test]
fn a_full_volume_is_named_and_leaves_nothing_wrong() {
    for capacity in [0, 100, 8192, 8200] {
        let machine = Machine::new();
        machine.faults.set_capacity(Some(capacity));
        let error = machine.open().map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::DiskFull { .. }), "{capacity}: {error:?}");
        machine.faults.set_capacity(None);
        machine.open().unwrap();
        assert_eq!(machine.disk.bytes(SEGMENT).unwrap(), b"");
    }
}
