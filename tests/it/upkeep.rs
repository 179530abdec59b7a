//! The journal's files over a long time, in small: sealed, proven, compressed, archived, dropped, within their bound.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakemirror::clock::Clock;
use lakemirror::clock::system::SystemClock;
use lakemirror::engine::recorder::{self, Recorder, RecorderThread};
use lakemirror::evidence::Source;
use lakemirror::evidence::verify::{Request, verify};
use lakemirror::objects::s3::archive::Archive as S3Archive;
use lakemirror::run::journal_writer::{Journal, SealPolicy};
use lakemirror::run::upkeep::plan::Rules;
use lakemirror::run::upkeep::{Archive, Settings, Upkeep};
use lakemirror_journal::codec;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::{Event, ServiceStartedV1};
use lakemirror_journal::ids::{Incarnation, Seq};
use lakemirror_journal::log::{
    FrameInfo, Log, NewJournal, Options, RawRecord, Replay, ReplayRefused, ScanError, ScanOptions, ScanReport,
    scan_with,
};
use lakemirror_journal::state::State;
use lakemirror_journal::state::lifecycle::Stage;
use lakemirror_journal::state::mirror::Definition;

use crate::objects::real_s3;
use crate::servers;

const SEAL_BYTES: u64 = 64 << 10;
const RETAIN_BYTES: u64 = 128 << 10;
const MIRROR: Incarnation = Incarnation([7; 16]);
const RHYTHM: SealPolicy = SealPolicy {
    seal_bytes_max: SEAL_BYTES,
    seal_age_ms_max: u64::MAX,
    checkpoint_bytes_max: SEAL_BYTES,
    checkpoint_age_ms_max: u64::MAX,
};

struct Service {
    dir: PathBuf,
    recorder: Recorder,
    thread: RecorderThread,
    upkeep: Upkeep,
    notes: u64,
}

impl Service {
    fn open(dir: &Path, archive: Option<&Path>) -> Self {
        Self::archiving(dir, archive.map(|archive| Archive::Directory(archive.to_owned())))
    }

    fn archiving(dir: &Path, archive: Option<Archive>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (journal, state, _) = Journal::open(dir, [7; 16], 1).unwrap();
        let (recorder, thread) =
            recorder::start(state, Box::new(journal.with_seal_policy(RHYTHM)), Arc::clone(&clock)).unwrap();
        let rules = Rules { compress: true, archive: archive.is_some(), age_ms_max: u64::MAX, bytes_max: RETAIN_BYTES };
        let settings = Settings { rules, archive, snapshot_interval: Duration::ZERO };
        let upkeep = Upkeep::new(dir.to_owned(), settings, recorder.clone(), clock);
        Self { dir: dir.to_owned(), recorder, thread, upkeep, notes: 0 }
    }

    async fn define(&self) {
        let definition = Definition {
            name: "mirror".to_owned(),
            source_repository: "sample".to_owned(),
            source_region: "us-east-1".to_owned(),
            region: "us-west-2".to_owned(),
            storage_namespace: "s3://west/sample".to_owned(),
            created_ms: 1,
        };
        self.recorder.ask(MIRROR, MirrorCommand::Define(definition)).await.unwrap();
    }

    /// Writes about 32 KiB of incompressible journal, and runs upkeep.
    async fn work(&mut self) {
        for _ in 0..4 {
            self.notes += 1;
            let text = noise(self.notes);
            self.recorder
                .ask(
                    MIRROR,
                    MirrorCommand::Raise {
                        condition: lakemirror_journal::state::condition::MirrorCondition::Other(0),
                        text,
                    },
                )
                .await
                .unwrap();
        }
        self.upkeep.snapshot().await.unwrap();
        self.upkeep.turn().await.unwrap();
    }

    async fn state(&self) -> State {
        self.recorder.read(State::clone).await.unwrap()
    }

    fn volume_bytes(&self) -> u64 {
        ["seg", "snap"].iter().map(|part| bytes_under(&self.dir.join(part))).sum()
    }

    fn close(self) {
        drop((self.recorder, self.upkeep));
        self.thread.join().unwrap();
    }
}

/// 8 KiB of incompressible letters: a xorshift.
fn noise(seed: u64) -> String {
    let mut number = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let letter = |_| {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        char::from(b'!' + (number >> 32) as u8 % 90)
    };
    (0..8192).map(letter).collect()
}

fn bytes_under(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).into_iter().flatten();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[derive(Default)]
struct Count(u64);

impl Replay for Count {
    fn record(&mut self, _: Seq, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0 += 1;
        Ok(())
    }
}

fn read(dir: &Path, archive: Option<&Path>) -> Result<(ScanReport, u64), ScanError> {
    let archives = archive.into_iter().map(Path::to_owned).collect();
    let mut count = Count::default();
    let report = scan_with(dir, &ScanOptions { archives, ..ScanOptions::default() }, &mut count)?;
    Ok((report, count.0))
}

#[tokio::test]
async fn the_volume_stays_bounded_and_a_restart_finds_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let mut service = Service::open(dir.path(), None);
    service.define().await;
    // Retained segments, an open one, one sealed and not yet compressed, three snapshots.
    let bound = RETAIN_BYTES + 3 * SEAL_BYTES + 3 * (64 << 10);
    for round in 0..60 {
        service.work().await;
        let held = service.volume_bytes();
        assert!(held <= bound, "{held} bytes in round {round}, {bound} are allowed");
    }
    let live = service.state().await;
    let dropped = live.lifecycle.segments.values().filter(|s| matches!(s.stage, Stage::Dropped { .. })).count();
    assert!(dropped > 10, "{dropped} of {} segments are dropped", live.lifecycle.segments.len());
    service.close();
    assert!(read(dir.path(), None).is_err(), "the first records are gone");
    let service = Service::open(dir.path(), None);
    assert_eq!(service.state().await, live);
    service.close();
}

#[tokio::test]
async fn with_an_archive_every_record_stays_readable() {
    let (dir, archive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut service = Service::open(dir.path(), Some(archive.path()));
    service.define().await;
    for _ in 0..20 {
        service.work().await;
    }
    let live = service.state().await;
    service.close();
    assert!(live.lifecycle.segments.values().any(|s| matches!(s.stage, Stage::Dropped { archive: Some(_), .. })));
    assert!(!live.lifecycle.segments.values().any(|s| matches!(s.stage, Stage::Dropped { archive: None, .. })));
    assert!(read(dir.path(), None).is_err(), "the first records are not on the volume");
    let (report, records) = read(dir.path(), Some(archive.path())).unwrap();
    assert_eq!((report.proven_from, records), (1, report.end.last_seq));
    let source = Source::new(dir.path()).with_archives(vec![archive.path().to_owned()]);
    let verified = verify(&source, &Request { deep: true, anchors: Vec::new() }).unwrap();
    assert!(verified.holds(), "{:?}", verified.problems);
}

/// The objects below a prefix, as files.
async fn download(writer: &aws_sdk_s3::Client, bucket: &str, prefix: &str, to: &Path) {
    let listed = writer.list_objects_v2().bucket(bucket).prefix(prefix).send().await.unwrap();
    for object in listed.contents() {
        let key = object.key().unwrap();
        let file = to.join(key.strip_prefix(prefix).unwrap().trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let bytes = writer.get_object().bucket(bucket).key(key).send().await.unwrap().body.collect().await.unwrap();
        std::fs::write(file, bytes.into_bytes()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bucket_prefix_works_as_an_archive_like_a_directory() {
    let Some(server) = servers::ceph("archives in a bucket") else { return };
    let (writer, settings) = (real_s3::writer(&server.endpoint), real_s3::settings(&server.endpoint, "k1", "s1"));
    writer.create_bucket().bucket("archives").send().await.unwrap();
    let archive = S3Archive::new(&settings, "archives", "lake/west/").await.unwrap();
    let (dir, downloaded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut service = Service::archiving(dir.path(), Some(Archive::S3(Box::new(archive.clone()))));
    service.define().await;
    for _ in 0..30 {
        service.work().await;
    }
    let live = service.state().await;
    service.close();
    let dropped: Vec<_> = live
        .lifecycle
        .segments
        .values()
        .filter_map(|s| match &s.stage {
            Stage::Dropped { archive, .. } => Some(archive.clone().expect("nothing is dropped without a copy")),
            _ => None,
        })
        .collect();
    assert!(dropped.len() > 3 && format!("{dropped:?}").contains("s3://archives/lake/west/seg/"), "{dropped:?}");
    download(&writer, "archives", "lake/west", downloaded.path()).await;
    let source = Source::new(dir.path()).with_archives(vec![downloaded.path().to_owned()]);
    let verified = verify(&source, &Request { deep: true, anchors: Vec::new() }).unwrap();
    assert!(verified.holds(), "{:?}", verified.problems);
    assert_eq!(read(dir.path(), Some(downloaded.path())).unwrap().1, live_records(dir.path(), downloaded.path()));

    // The prefix belongs to one journal, a copy can be repeated safely, and a damaged copy is rewritten.
    let other = tempfile::tempdir().unwrap();
    Service::open(other.path(), None).close();
    std::fs::write(other.path().join("FORMAT"), "of another").unwrap();
    let refused = archive.put(other.path(), "FORMAT").await.unwrap_err();
    assert!(refused.to_string().contains("the FORMAT of another journal"), "{refused}");
    let name = std::fs::read_dir(dir.path().join("seg")).unwrap().map(|file| file.unwrap().file_name());
    let name = format!("seg/{}", name.into_iter().next().unwrap().to_str().unwrap());
    let first = archive.put(dir.path(), &name).await.unwrap();
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"damaged");
    writer.put_object().bucket("archives").key(format!("lake/west/{name}")).body(body).send().await.unwrap();
    assert_eq!(archive.put(dir.path(), &name).await.unwrap(), first);
    assert_eq!(archive.put(dir.path(), &name).await.unwrap(), first);

    // The error says what is wrong and what to do, without the key.
    for (bucket, secret) in [("nowhere", "s1"), ("archives", "canary")] {
        let settings = real_s3::settings(&server.endpoint, "k1", secret);
        let refused = S3Archive::new(&settings, bucket, "").await.unwrap().put(dir.path(), &name).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(&format!("s3://{bucket}/FORMAT")) && text.contains("s3:PutObject"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

fn live_records(dir: &Path, archive: &Path) -> u64 {
    read(dir, Some(archive)).unwrap().0.end.last_seq
}

#[tokio::test]
async fn dead_archive_stops_nothing_and_segments_are_given_up_only_to_keep_the_volume_from_filling() {
    let dir = tempfile::tempdir().unwrap();
    let dead = dir.path().join("a file");
    std::fs::write(&dead, "no directory").unwrap();
    let journal = dir.path().join("journal");
    let mut service = Service::open(&journal, Some(&dead));
    service.define().await;
    let bound = 2 * RETAIN_BYTES + 3 * SEAL_BYTES + 3 * (64 << 10);
    for round in 0..40 {
        service.work().await;
        let held = service.volume_bytes();
        assert!(held <= bound, "{held} bytes in round {round}, {bound} are allowed");
    }
    let lifecycle = service.state().await.lifecycle;
    service.close();
    let lost = lifecycle.segments.values().filter(|s| matches!(s.stage, Stage::Dropped { archive: None, .. })).count();
    let kept = lifecycle.segments.values().filter(|s| s.stage == Stage::Sealed).count();
    assert!(lost > 0 && kept >= 4, "{lost} lost, {kept} kept");
}

#[test]
fn wrong_state_digest_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let identity = NewJournal { uuid: [7; 16], wall_ms: 1 };
    let (mut log, _) = Log::open(dir.path(), &Options::default(), identity, &mut Count::default()).unwrap();
    let started = ServiceStartedV1 { writer_epoch: 1, software: "test".to_owned(), at_ms: 1 };
    let payload = codec::encode(&Event::ServiceStarted(started)).unwrap();
    let record = RawRecord { kind: payload.kind, version: payload.version, payload: &payload.bytes };
    log.commit(&[record], 0, 1, 4711).unwrap();
    drop(log);
    let ask = |deep| verify(&Source::new(dir.path()), &Request { deep, anchors: Vec::new() }).unwrap();
    assert!(ask(false).holds());
    let problems = ask(true).problems;
    assert!(problems.len() == 1 && problems[0].contains("the state after record 1 is not"), "{problems:?}");
}
