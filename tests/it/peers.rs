//! Silent peers, against a process with few file descriptors: the journal, the engine and a probe still get theirs.

use std::path::Path;
use std::time::Duration;

use lakemirror::clock::Clock as _;
use lakemirror::clock::system::SystemClock;
use lakemirror::demo::service::Api;
use lakemirror::demo::source::{Source, table};
use lakemirror::demo::stage::{MIRROR, listen};
use lakemirror::sandbox::replication::Behaviour;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::crash::{LIMIT, scene};
use crate::process::{Process, lakemirror};

/// `ulimit -n` of the process, and the number of peers that connect.
const DESCRIPTORS: usize = 256;
const PEERS: usize = 400;

fn start(dir: &Path) -> Process {
    let built = lakemirror();
    let mut command = std::process::Command::new("sh");
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" run --config \"$1\"");
    command.args(["-c", &script]).arg(built.get_program()).arg(dir.join("config.yaml"));
    Process::start_logged(&mut command, &dir.join("lakemirror.log"))
}

async fn probe(address: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    tokio::time::timeout(Duration::from_secs(5), ask).await.is_ok_and(|answer| answer.unwrap_or(false))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_peers_take_no_descriptor_that_mirroring_needs() {
    let dir = tempfile::tempdir().unwrap();
    let scene = scene(dir.path()).await;
    scene.stage.replication.behave(Behaviour { lost_one_in: 0, straggler_one_in: 0, ..Behaviour::default() });
    let (listener, address) = listen().await.unwrap();
    drop(listener);
    std::fs::write(dir.path().join("config.yaml"), scene.stage.config(&address)).unwrap();
    let source = Source::new(scene.stage.source.clone(), scene.checker.clone());
    source.create().await.unwrap();
    let api = Api::new(&format!("http://{address}")).unwrap();
    let mut process = start(dir.path());
    scene.until("the mirror's creation", async || api.create().await.is_ok()).await;

    let address = address.to_string();
    let mut peers = Vec::new();
    for number in 0..PEERS {
        // The kernel's queue of connections that were not accepted yet is bounded, too.
        let connect = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(&address)).await;
        let Ok(Ok(mut peer)) = connect else { continue };
        let said: &[u8] = if number % 2 == 0 { b"GET /livez HTTP/1.1\r\nhost:" } else { b"" };
        // A peer that made room for another one is closed.
        let _closed = peer.write_all(said).await;
        peers.push(peer);
    }
    assert!(peers.len() > DESCRIPTORS, "{} peers are not more than the process has descriptors", peers.len());

    // Enough commits for the journal to open files of its own in the meantime.
    let mut head = String::new();
    for number in 0..20 {
        head = source
            .commit("main", &format!("Change {number}"), &table(&format!("t/{number}"), 3, number))
            .await
            .unwrap();
    }
    let shows = || scene.stage.west.lake().get_branch(MIRROR, "main").ok();
    scene.until("a promotion beside silent peers", async || shows().as_deref() == Some(&head)).await;
    scene.until("the answer to a probe", async || probe(&address).await).await;
    assert!(process.ended().is_none(), "{}", scene.log());
    drop(peers);

    process.signal("TERM");
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let status = loop {
        if let Some(status) = process.ended() {
            break status;
        }
        assert!(clock.monotonic() - begun < LIMIT, "it does not end: {}", scene.log());
        clock.sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}: {}", scene.log());
    scene.holds();
}
