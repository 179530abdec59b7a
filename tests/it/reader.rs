//! The journal as an independent reader sees it: `tests/reader/read.py`, in another language and based on `FORMAT.md`
//! alone, finds in the demo's journal and in the golden one what the library finds, and rejects damage.
//!
//! Without `python3` the tests are skipped with a message; with `CI=true` they fail.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lakemirror::sandbox;
use lakemirror_journal::codec;
use lakemirror_journal::log::disk::real::RealDisk;
use lakemirror_journal::log::{
    FrameInfo, Log, NewJournal, Options, RawRecord, Replay, ReplayRefused, ScanReport, compress_segment, scan,
};
use lakemirror_journal::state::State;
use serde_json::{Value, json};

use crate::process::{Process, lakemirror};

/// Longer than any pause between two lines of the demo, even on a loaded machine.
const LIMIT: Duration = Duration::from_secs(45);
const SEGMENT: &str = "seg/0000000000000001.jseg.open";

fn there(test: &str) -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).status();
    let there = found.is_ok_and(|status| status.success());
    if !there {
        // Bypasses the capture of the test harness, which hides output of successful tests.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: python3 is not installed");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "python3 must be there in CI");
    }
    there
}

fn in_tree(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The reader's lines, and whether it finds everything sound.
fn python(script: &str, options: &[&str], paths: &[PathBuf]) -> (bool, Vec<Value>) {
    let output =
        Command::new("python3").arg(in_tree("tests/reader").join(script)).args(options).args(paths).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(matches!(output.status.code(), Some(0 | 1)) && error.is_empty(), "{error}");
    (output.status.success(), lines)
}

/// The result for a sound journal.
fn sound(journal: &Path, options: &[&str]) -> Value {
    let (sound, mut lines) = python("read.py", options, &[journal.to_owned()]);
    assert!(sound && lines.len() == 1, "{lines:?}");
    lines.remove(0)
}

#[derive(Default)]
struct Ours {
    state: State,
    kinds: BTreeMap<String, u64>,
    opaque: bool,
}

impl Replay for Ours {
    fn record(&mut self, _: u64, record: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.opaque {
            *self.kinds.entry(format!("{}.{}", record.kind, record.version)).or_default() += 1;
            return Ok(());
        }
        let event = codec::decode(record.kind, record.version, record.payload).unwrap();
        *self.kinds.entry(event.name().to_owned()).or_default() += 1;
        self.state.apply(&event);
        Ok(())
    }
}

/// The library's result, in the reader's terms.
fn ours(journal: &Path, opaque: bool) -> (ScanReport, Value) {
    let mut ours = Ours { opaque, ..Ours::default() };
    let report = scan(journal, &mut ours).unwrap();
    let heads = |mirror: &lakemirror_journal::state::mirror::Mirror| -> BTreeMap<String, String> {
        let shown = mirror.branches.iter().filter_map(|(name, branch)| Some((name.clone(), branch.mirror?)));
        shown.map(|(name, head)| (name, head.to_string())).collect()
    };
    let mirrors: BTreeMap<String, Value> = ours
        .state
        .mirrors
        .iter()
        .map(|(id, mirror)| (id.to_string(), json!({"name": mirror.definition.name, "branches": heads(mirror)})))
        .collect();
    let told = json!({
        "seq": report.end.last_seq, "hash": hex::encode(report.end.hash), "acknowledged": report.durable_seq,
        "frames": report.frames, "checks": report.end.checks_total, "writer_epoch": report.end.writer_epoch,
        "kinds": ours.kinds, "mirrors": mirrors,
    });
    (report, told)
}

/// Asserts that the reader reports the same, and possibly more.
fn assert_same(theirs: &Value, ours: &Value) {
    for (field, value) in ours.as_object().unwrap() {
        assert_eq!(&theirs[field], value, "{field}");
    }
}

/// Copies everything except the hot store, which is not evidence.
fn copy(journal: &Path, to: &Path) -> PathBuf {
    fs::create_dir_all(to.join("seg")).unwrap();
    let segments = files(&journal.join("seg")).into_iter();
    for path in segments.chain(["FORMAT", "HEAD"].map(|name| journal.join(name))) {
        fs::copy(&path, to.join(path.strip_prefix(journal).unwrap())).unwrap();
    }
    to.to_owned()
}

/// One copy per position, with a bit flipped there, a different one each time.
fn flipped(journal: &Path, root: &Path, file: &str, places: impl Iterator<Item = usize>) -> Vec<PathBuf> {
    let flip = |(number, place): (usize, usize)| {
        let copied = copy(journal, &root.join(format!("{}-{place}", file.replace('/', "-"))));
        let mut bytes = fs::read(journal.join(file)).unwrap();
        bytes[place] ^= 1 << (number % 8);
        fs::write(copied.join(file), bytes).unwrap();
        copied
    };
    places.enumerate().map(flip).collect()
}

fn cut(journal: &Path, root: &Path, file: &str, lengths: impl Iterator<Item = usize>) -> Vec<PathBuf> {
    let cut = |length: usize| {
        let copied = copy(journal, &root.join(format!("{}-cut-{length}", file.replace('/', "-"))));
        let bytes = fs::read(journal.join(file)).unwrap();
        fs::write(copied.join(file), &bytes[..length]).unwrap();
        copied
    };
    lengths.map(cut).collect()
}

fn assert_damaged(options: &[&str], copies: &[PathBuf]) {
    let (_, lines) = python("read.py", options, copies);
    assert_eq!(lines.len(), copies.len());
    for (copied, line) in copies.iter().zip(&lines) {
        assert!(line["error"].is_string(), "{} is found sound: {line}", copied.display());
    }
}

/// A journal of the demo, and the journal's head as the API reported it meanwhile.
async fn demo(dir: &Path) -> (PathBuf, Value) {
    let mut process = Process::start(lakemirror().args(["demo", "--interactive", "--dir"]).arg(dir));
    let line = process.until("/mirrors/sample-mirror", LIMIT);
    let url = line.rsplit(' ').next().unwrap().to_owned();
    process.until("Secret access key", LIMIT);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let secret = Some(sandbox::EXAMPLE_SECRET_ACCESS_KEY);
    let answer = client.get(url).basic_auth(sandbox::EXAMPLE_ACCESS_KEY_ID, secret).send().await.unwrap();
    let mirror: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    process.signal("TERM");
    assert_eq!(process.end(LIMIT).0, 0);
    (dir.join("journal"), mirror["journal_head"].clone())
}

#[tokio::test]
async fn the_demos_journal_is_what_the_library_says() {
    let root = tempfile::tempdir().unwrap();
    let (journal, head) = demo(&root.path().join("demo")).await;
    no_secret_is_in(&journal);
    if !there("the_demos_journal_is_what_the_library_says") {
        return;
    }
    let (_, told) = ours(&journal, false);
    let anchor = format!("{}:{}", head["seq"], head["hash"].as_str().unwrap());
    let theirs = sound(&journal, &["--anchor", &anchor]);
    assert_same(&theirs, &told);
    assert_eq!((&theirs["from_the_first"], &theirs["tail"]), (&json!(true), &Value::Null));
    assert!(theirs["checks"].as_u64().unwrap() > 50 && theirs["kinds"]["MoveFinished"].as_u64().unwrap() > 5);
    assert_eq!(theirs["mirrors"].as_object().unwrap().values().next().unwrap()["name"], "sample-mirror");

    let other = format!("{}:{}", head["seq"], "ab".repeat(32));
    assert_eq!(python("read.py", &["--anchor", &other], std::slice::from_ref(&journal)).1[0]["error"], "damaged");

    let bytes = fs::read(journal.join(SEGMENT)).unwrap().len();
    let copies = root.path().join("copies");
    assert_damaged(&[], &flipped(&journal, &copies, SEGMENT, (0..bytes).step_by(bytes / 40)));
    assert_damaged(&[], &cut(&journal, &copies, SEGMENT, (0..bytes).step_by(bytes / 10)));
}

#[test]
fn the_golden_journal_is_read_and_every_flip_in_it_is_noticed() {
    if !there("the_golden_journal_is_read_and_every_flip_in_it_is_noticed") {
        return;
    }
    let golden = in_tree("journal/tests/golden/v1");
    let (_, told) = ours(&golden, true);
    let theirs = sound(&golden, &["--opaque"]);
    assert_same(&theirs, &told);

    let root = tempfile::tempdir().unwrap();
    let bytes = fs::read(golden.join(SEGMENT)).unwrap().len();
    assert_damaged(&["--opaque"], &flipped(&golden, root.path(), SEGMENT, 0..bytes));
    assert_damaged(&["--opaque"], &cut(&golden, root.path(), SEGMENT, (0..bytes).step_by(16)));
    assert_damaged(&["--opaque"], &cut(&golden, root.path(), "HEAD", [0, 71, 4096, 8191].into_iter()));
    let line = fs::read(golden.join("FORMAT")).unwrap().len();
    assert_damaged(&["--opaque"], &flipped(&golden, root.path(), "FORMAT", 0..line));

    // A bad slot of HEAD is reported, and the other one counts: at least what was acknowledged with it exists.
    let slots = flipped(&golden, root.path(), "HEAD", (0..72).chain(4096..4168));
    let (_, lines) = python("read.py", &["--opaque"], &slots);
    assert_eq!(lines.len(), slots.len());
    for line in lines {
        assert_eq!((&line["bad_head_slots"], &line["hash"]), (&json!(1), &theirs["hash"]), "{line}");
    }
}

#[test]
fn every_golden_payload_is_read() {
    if !there("every_golden_payload_is_read") {
        return;
    }
    let path = in_tree("journal/tests/golden/events.txt");
    let text = fs::read_to_string(&path).unwrap();
    let named: Vec<&str> =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' ').nth(2).unwrap()).collect();
    let (_, lines) = python("payloads.py", &[], &[path]);
    let names: Vec<&str> = lines.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, named);
    let of = |name: &str| &lines.iter().find(|line| line["name"] == name).unwrap()["fields"];
    assert_eq!(of("CommitObserved")["message"], "a message\nof two lines");
    assert_eq!(of("CommitObserved")["metadata"], json!([{"key": "a", "value": "1"}, {"key": "b", "value": ""}]));
    assert_eq!(of("SourceIdentified")["creation_date"], -5);
    assert_eq!(of("BranchDiverged")["found"], Value::Null);
    assert_eq!(of("RangeRead")["imports"], json!([69]));
    assert_eq!(of("RangeRead")["inherited"], json!([0, 1, 2, 3, 4]));
    assert_eq!(of("ArrivalsChecked")["asked"].as_array().unwrap().len(), 32);
    assert_eq!(of("ArrivalsChecked")["present"].as_array().unwrap().len(), 31);
}

/// Every file of a journal, with its path.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

/// Asserts that a journal contains no credentials, and that only its owner can read it.
fn no_secret_is_in(journal: &Path) {
    let secrets = [
        sandbox::EXAMPLE_ACCESS_KEY_ID,
        sandbox::EXAMPLE_SECRET_ACCESS_KEY,
        sandbox::EXAMPLE_SECRET_KEY,
        "Authorization",
        "Bearer ",
        "Basic ",
        "eyJ",
        "AWS4-HMAC",
        "X-Amz-",
        "Signature=",
    ];
    let mut paths_are_there = false;
    for path in files(journal) {
        let bytes = fs::read(&path).unwrap();
        for secret in secrets {
            assert!(!holds(&bytes, secret), "{secret} is in {}", path.display());
        }
        paths_are_there |= holds(&bytes, "Returns, one object withheld");
    }
    assert!(paths_are_there, "the search finds nothing, not even a commit's message");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for dir in ["", "seg", "hot"] {
        assert_eq!(mode(&journal.join(dir)), 0o700, "{dir}");
    }
    for file in ["FORMAT", "HEAD", "LOCK", SEGMENT] {
        assert_eq!(mode(&journal.join(file)), 0o600, "{file}");
    }
}

/// A journal with four sealed segments, two of them compressed, and an open one.
fn sealed_journal(dir: &Path) {
    let new = NewJournal { uuid: [7; 16], wall_ms: 5 };
    let mut ours = Ours { opaque: true, ..Ours::default() };
    let (mut log, _) = Log::open(dir, &Options::default(), new, &mut ours).unwrap();
    let mut sealed = Vec::new();
    for number in 0..12u8 {
        let payload = vec![number; 50 * usize::from(number)];
        let record = |payload| RawRecord { kind: 1, version: 1, payload };
        log.commit(&[record(&payload), record(b"x")], number.into(), 1000, 0).unwrap();
        if number % 3 == 2 {
            sealed.push(log.seal().unwrap().footer);
        }
    }
    log.commit(&[RawRecord { kind: 1, version: 1, payload: b"end" }], 1, 2000, 0).unwrap();
    for footer in &sealed[..2] {
        compress_segment(&RealDisk::new(dir), footer.first_seq, footer.last_seq).unwrap();
    }
}

#[test]
fn sealed_segments_are_read_and_every_flip_in_them_is_noticed_or_changes_nothing() {
    if !there("sealed_segments_are_read_and_every_flip_in_them_is_noticed_or_changes_nothing") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let journal = root.path().join("journal");
    sealed_journal(&journal);
    let (_, told) = ours(&journal, true);
    let theirs = sound(&journal, &["--opaque"]);
    assert_same(&theirs, &told);
    assert_eq!(theirs["segments"].as_array().unwrap().len(), 5);

    for path in files(&journal.join("seg")) {
        let bytes = fs::read(&path).unwrap();
        let name = path.strip_prefix(&journal).unwrap().to_str().unwrap();
        let copies = flipped(&journal, &root.path().join("copies"), name, (0..bytes.len()).step_by(bytes.len() / 50));
        let (_, lines) = python("read.py", &["--opaque"], &copies);
        assert_eq!(lines.len(), copies.len());
        let compressed = name.ends_with(".zst");
        for (copied, line) in copies.iter().zip(&lines) {
            assert!(line["error"].is_string() || compressed && *line == theirs, "{}: {line}", copied.display());
        }
    }

    // Archived segments count as available; a segment that is nowhere is reported, at the beginning and in the middle.
    let archive = root.path().join("archive");
    fs::create_dir(&archive).unwrap();
    let first = "0000000000000001-0000000000000006.jseg.zst";
    fs::copy(journal.join("seg").join(first), archive.join(first)).unwrap();
    fs::remove_file(journal.join("seg").join(first)).unwrap();
    assert_eq!(sound(&journal, &["--opaque"])["from_the_first"], false);
    assert_same(&sound(&journal, &["--opaque", "--archive", archive.to_str().unwrap()]), &told);
    fs::remove_file(journal.join("seg/0000000000000013-0000000000000018.jseg")).unwrap();
    assert_eq!(python("read.py", &["--opaque"], &[journal]).1[0]["error"], "damaged");
}
