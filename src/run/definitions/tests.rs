//! The database and its copy: which of the two is right, and that nothing is between them.

use std::path::Path;
use std::time::Duration;

use lakemirror_engine::recorder::{self, RecorderThread};
use lakemirror_ports::Alarm;
use lakemirror_ports::clock::system::SystemClock;

use super::*;
use crate::run::journal_writer::Journal;

const MIRROR: &str = "definitions/us-east-1/sample-mirror";

struct Rig {
    items: JournaledItems,
    recorder: Recorder,
    thread: RecorderThread,
}

/// The database. A child that another test starts has every lock of this process until it executes its program: then it
/// is tried again.
async fn opened(path: &Path) -> Embedded {
    for _ in 0..500 {
        match Embedded::open(path, "acme", Alarm::default()).await {
            Err(OpenError::InUse { .. }) => SystemClock::new().sleep(Duration::from_millis(10)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("{} stays locked", path.display());
}

/// The two stores of a process that starts.
async fn start(dir: &Path) -> Result<Rig, ReconcileError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let embedded = opened(&dir.join("mirrors")).await;
    let (journal, state, _) = Journal::open(&dir.join("journal"), [7; 16], 1).unwrap();
    let (recorder, thread) = recorder::start(state, Box::new(journal), Arc::clone(&clock)).unwrap();
    let items = JournaledItems::new(embedded, clock);
    items.reconcile(recorder.clone()).await?;
    Ok(Rig { items, recorder, thread })
}

impl Rig {
    async fn end(self) {
        let Self { items, recorder, thread } = self;
        drop((items, recorder));
        tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();
    }

    async fn value(&self, key: &str) -> Option<Bytes> {
        self.items.get(key).await.unwrap().map(|item| item.value)
    }

    async fn put(&self, key: &str, value: &str) {
        self.items.put(key, value.to_owned().into(), Expect::Any).await.unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn put_back(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).unwrap();
    copy(from, to);
}

#[tokio::test]
async fn a_database_that_is_lost_in_any_way_is_rebuilt_with_its_deletions() {
    let dir = tempfile::tempdir().unwrap();
    let mirrors = dir.path().join("mirrors");
    let rig = start(dir.path()).await.unwrap();
    rig.put(MIRROR, "one").await;
    rig.put("definitions/us-east-1/other", "other").await;
    rig.put("summaries/x/y", "not copied").await;
    rig.end().await;
    copy(&mirrors, &dir.path().join("older"));
    let rig = start(dir.path()).await.unwrap();
    rig.put(MIRROR, "deleted").await;
    rig.put("acks/us-west-2/1", "done").await;
    let other = rig.items.get("definitions/us-east-1/other").await.unwrap().unwrap();
    rig.items.delete("definitions/us-east-1/other", other.version).await.unwrap();
    rig.end().await;

    type Damage = (&'static str, fn(&Path, &Path));
    let damages: [Damage; 5] = [
        ("removed", |mirrors, _| std::fs::remove_dir_all(mirrors).unwrap()),
        ("an older copy", |mirrors, older| put_back(older, mirrors)),
        ("zeroed", |mirrors, _| each_file(&mirrors.join("items"), &|bytes| bytes.fill(0))),
        ("cut to nothing", |mirrors, _| each_file(&mirrors.join("items"), &|bytes| bytes.clear())),
        ("its log is gone", |mirrors, _| std::fs::remove_dir_all(mirrors.join("items/metadata")).unwrap()),
    ];
    for (what, damage) in damages {
        damage(&mirrors, &dir.path().join("older"));
        let rig = start(dir.path()).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(rig.value(MIRROR).await.as_deref(), Some(&b"deleted"[..]), "{what}");
        assert_eq!(rig.value("acks/us-west-2/1").await.as_deref(), Some(&b"done"[..]), "{what}");
        assert_eq!(rig.value("definitions/us-east-1/other").await, None, "{what}: it came back");
        assert_eq!(rig.items.inner.lost(), None.or(rig.items.inner.lost()), "{what}");
        let copied = rig.recorder.read(|state| state.database.clone()).await.unwrap();
        assert_eq!(copied.items.len(), 2, "{what}");
        assert_eq!(rig.items.found().await.unwrap(), copied.generation, "{what}");
        rig.put(MIRROR, "deleted").await;
        rig.end().await;
        let rig = start(dir.path()).await.unwrap();
        assert_eq!(rig.items.inner.lost(), None, "{what}: once is enough");
        rig.end().await;
    }
}

fn each_file(at: &Path, change: &dyn Fn(&mut Vec<u8>)) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, change);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn a_journal_that_is_older_or_new_takes_over_what_the_database_has() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    let rig = start(dir.path()).await.unwrap();
    rig.put(MIRROR, "one").await;
    rig.end().await;
    copy(&journal, &dir.path().join("older"));
    let rig = start(dir.path()).await.unwrap();
    rig.put(MIRROR, "two").await;
    rig.put("definitions/us-east-1/other", "other").await;
    rig.end().await;
    for restore in [true, false] {
        if restore {
            put_back(&dir.path().join("older"), &journal);
        } else {
            std::fs::remove_dir_all(&journal).unwrap();
        }
        let rig = start(dir.path()).await.unwrap();
        assert_eq!(rig.value(MIRROR).await.as_deref(), Some(&b"two"[..]));
        let copied = rig.recorder.read(|state| state.database.clone()).await.unwrap();
        assert_eq!((copied.items.len(), copied.items[MIRROR].as_str()), (2, "two"));
        rig.end().await;
        // And from it the database can be rebuilt.
        std::fs::remove_dir_all(dir.path().join("mirrors")).unwrap();
        let rig = start(dir.path()).await.unwrap();
        assert_eq!(rig.value(MIRROR).await.as_deref(), Some(&b"two"[..]));
        rig.end().await;
    }
}

#[tokio::test]
async fn a_damaged_database_without_a_copy_is_an_error_at_every_start() {
    let dir = tempfile::tempdir().unwrap();
    let rig = start(dir.path()).await.unwrap();
    rig.put(MIRROR, "one").await;
    rig.end().await;
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    // Opening it did not end, twice.
    std::fs::write(dir.path().join("mirrors/items.opening"), [2]).unwrap();
    for _ in 0..2 {
        let error = start(dir.path()).await.err().unwrap();
        assert!(error.to_string().contains("the journal has no copy"), "{error}");
        assert!(error.to_string().contains("items.broken.0"), "{error}");
    }
}
