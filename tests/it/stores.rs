//! Allowed locations of a mirror, and access keys, as seen in the summaries that a process publishes.

use std::sync::Arc;

use lakemirror::clock::system::{OsEntropy, SystemClock};
use lakemirror::config::Blockstore;
use lakemirror::engine::ports::{Incarnation, StoreIdentity};
use lakemirror::mirrors::records::{MirrorState, NewMirror, Records, Status};
use lakemirror::run::{self, RunError};
use lakemirror::sandbox::Sandbox;
use lakemirror::sandbox::lake::CreateRepository;
use tokio_util::sync::CancellationToken;

use crate::engine::{Pair, nap, until};

/// A process for a pair, and its mirrors database.
struct Service {
    records: Arc<Records>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), RunError>>,
}

impl Service {
    async fn start(pair: &Pair, more: &str, defined: Vec<NewMirror>) -> Self {
        let config = pair.config(more);
        let ports = run::connect(&config, Arc::new(SystemClock::new()), Arc::new(OsEntropy)).await.unwrap();
        let records = Arc::clone(&ports.records);
        for new in defined {
            records.create(&new).await.unwrap();
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run::serve(ports, listener, stop.clone()));
        Self { records, stop, task }
    }

    /// Waits until the published status of a mirror is as expected.
    async fn status(&self, number: u8, wanted: impl Fn(&Status) -> bool) -> Status {
        let mut last = None;
        for _ in 0..2000 {
            let summaries = self.records.summaries().await.unwrap_or_default();
            last = summaries.get(&Incarnation([number; 16])).map(|summary| summary.status.clone());
            if let Some(status) = last.as_ref().filter(|status| wanted(status)) {
                return status.clone();
            }
            nap().await;
        }
        panic!("the status does not become what it should: {last:#?}");
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn mirror(number: u8, name: &str, namespace: &str, source_store: StoreIdentity) -> NewMirror {
    NewMirror {
        name: name.to_owned(),
        incarnation: Incarnation([number; 16]),
        source_repository: "sample".to_owned(),
        source_region: "east".to_owned(),
        region: "west".to_owned(),
        storage_namespace: namespace.to_owned(),
        created_by: String::new(),
        source_store,
    }
}

fn store(sandbox: &Sandbox) -> StoreIdentity {
    let path = sandbox.lake().blocks_root().to_path_buf();
    run::stores::identity::of(&Blockstore::Local { path }, |_| None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn destination_refuses_the_location_of_the_source_and_of_another_mirror() {
    let pair = Pair::open().await;
    pair.create("sample");
    pair.push("sample", "main", "a");
    let (east, west) = (store(&pair.east), store(&pair.west));
    let defined = vec![
        // As if the source's region had the same store as west: its own namespace is no place for a mirror.
        mirror(1, "m-self", "local://data/sample", west),
        mirror(2, "m-good", "local://west/sample", east.clone()),
        mirror(3, "m-late", "local://west/sample/below", east),
        mirror(4, "m-old", "local://old", StoreIdentity::Unknown),
    ];
    let service = Service::start(&pair, "", defined).await;
    for (number, name, says) in [(1, "m-self", "local://data/sample"), (3, "m-late", "of mirror m-good")] {
        let status = service.status(number, |status| status.state == MirrorState::Failed).await;
        assert!(format!("{status:?}").contains(says), "{status:?}");
        assert!(pair.west.lake().repository(name).is_err(), "{name}: nothing is made");
    }
    for (number, name) in [(2, "m-good"), (4, "m-old")] {
        until(name, || pair.west.lake().repository(name).ok()).await;
        service.status(number, |status| status.state != MirrorState::Failed).await;
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_a_region_refuses_is_a_problem_of_its_mirrors_that_names_the_region() {
    for region in ["west", "east"] {
        let pair = Pair::open().await;
        pair.create("sample");
        pair.push("sample", "main", "a");
        let more = format!("dst_credentials: {{ {region}: {{ access_key_id: wrong, secret_access_key: canary }} }}\n");
        let defined = vec![mirror(1, "m-one", "local://west/sample", StoreIdentity::Unknown)];
        let service = Service::start(&pair, &more, defined).await;
        let named = format!("dst_credentials.{region}");
        let told = |status: &Status| status.problems.iter().any(|problem| problem.contains(&named));
        let status = service.status(1, told).await;
        assert!(!format!("{status:?}").contains("canary"), "{status:?}");
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_namespaces_are_read_as_lakefs_reads_them() {
    let pair = Pair::open().await;
    let prefixes = ["a//b", "/lead", "trail//", "a blank", "a#b", "./dot"];
    let mut defined = Vec::new();
    for (number, prefix) in (1..).zip(prefixes) {
        let namespace = format!("local://odd-{number}/{prefix}");
        assert_eq!(lakemirror::service::validate::namespace(&namespace), Ok(()), "{namespace}");
        let repository = format!("odd-{number}");
        let wanted = CreateRepository {
            name: repository.clone(),
            storage_namespace: namespace.clone(),
            ..CreateRepository::default()
        };
        pair.east.lake().create_repository(wanted).unwrap();
        let new = mirror(number, &format!("m-odd-{number}"), &namespace, store(&pair.east));
        defined.push(NewMirror { source_repository: repository, ..new });
    }
    let heads: Vec<String> = (1..7).map(|number| pair.push(&format!("odd-{number}"), "main", "a")).collect();
    let service = Service::start(&pair, "", defined).await;
    for (number, head) in (1..).zip(&heads) {
        pair.promoted(&format!("m-odd-{number}"), "main", head).await;
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn link_out_of_the_store_is_a_problem_and_one_within_it_is_followed() {
    let pair = Pair::open().await;
    pair.create("sample");
    let elsewhere = pair.dir.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    // Replicated files arrive behind the link: within the store in the first case, outside in the second.
    let root = pair.west.lake().blocks_root().to_path_buf();
    let data = root.join("data/sample/data");
    std::fs::create_dir_all(data.parent().unwrap()).unwrap();
    std::fs::create_dir_all(root.join("volume")).unwrap();
    std::os::unix::fs::symlink("../../volume", &data).unwrap();
    let head = pair.push("sample", "main", "a");
    let defined = vec![mirror(1, "m-one", "local://data/sample", store(&pair.east))];
    let service = Service::start(&pair, "", defined).await;
    pair.promoted("m-one", "main", &head).await;

    std::fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &data).unwrap();
    pair.push("sample", "main", "b");
    let told = |status: &Status| status.problems.iter().any(|problem| problem.contains("leads out of"));
    service.status(1, told).await;
    service.stop().await;
}
