//! Questions change nothing, not a byte, time or name; and they work while a service is writing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use lakemirror::evidence::Source;
use lakemirror::evidence::verify::{Request, verify};

use super::fixture::{self, append, open, sample};
use super::{ask, shown};

/// Everything below a directory: content and modification times.
fn picture(dir: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let data = path.metadata().unwrap();
        let bytes = data.is_file().then(|| std::fs::read(&path).unwrap());
        if data.is_dir() {
            open.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        }
        found.insert(path, (bytes, data.modified().unwrap()));
    }
    found
}

#[test]
fn no_question_changes_a_byte() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fixture::write(dir.path(), &sample());
    fixture::write(other.path(), &sample()[..5]);
    let before = (picture(dir.path()), picture(other.path()));
    let (path, copy) = (shown(dir.path()), shown(other.path()));
    for words in [
        &["verify", path, "--deep"][..],
        &["replay", path, "--state", "-"],
        &["log", path, "sample-mirror"],
        &["log", path, "other"],
        &["heads", path, "--at", "12:34:56"],
        &["stat", path],
        &["diff", path, copy],
    ] {
        let (code, _, err) = ask(words);
        assert!(code < 2, "{words:?}: {err}");
    }
    assert_eq!(before, (picture(dir.path()), picture(other.path())));
}

#[test]
fn answer_is_not_written_into_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    fixture::write(dir.path(), &sample()[..2]);
    let before = picture(dir.path());
    for inside in ["HEAD", "state.json", "seg/state.json"] {
        let file = dir.path().join(inside);
        let (code, _, err) = ask(&["replay", shown(dir.path()), "--state", shown(&file)]);
        assert_eq!(code, 2, "{err}");
    }
    assert_eq!(before, picture(dir.path()));
}

#[test]
fn concurrent_writer_does_not_disturb_questions() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    append(&mut log, &sample()[0]);
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..40 {
                sample().iter().for_each(|frame| append(&mut log, frame));
            }
            written.store(true, Ordering::SeqCst);
        });
        let mut last = 0;
        while !written.load(Ordering::SeqCst) {
            let report = verify(&Source::new(dir.path()), &Request { deep: true, anchors: vec![] }).unwrap();
            assert_eq!(report.problems, Vec::<String>::new());
            assert!(report.proven.last_seq >= last, "{} after {last}", report.proven.last_seq);
            last = report.proven.last_seq;
        }
    });
    // It keeps its lock.
    let (code, out, err) = ask(&["verify", shown(dir.path()), "--deep"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
}
