//! Connections that say nothing, too little or too much, on a clock that is moved by hand.

use async_trait::async_trait;
use axum::routing::get;
use lakemirror_ports::clock::system::SystemClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::*;

/// Time that passes when it is told to.
struct Hand(watch::Sender<Duration>);

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        *self.0.borrow()
    }
    async fn sleep(&self, duration: Duration) {
        let until = self.monotonic() + duration;
        let mut now = self.0.subscribe();
        let _ends_with_the_test = now.wait_for(|now| *now >= until).await.map(drop);
    }
}

struct World {
    clock: Arc<Hand>,
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
    /// Lets `/slow` answer.
    go: Arc<Notify>,
}

impl World {
    async fn new(connections: usize) -> Self {
        let clock = Arc::new(Hand(watch::Sender::new(Duration::ZERO)));
        let (stop, go) = (CancellationToken::new(), Arc::new(Notify::new()));
        let waits = Arc::clone(&go);
        let slow = async move || {
            waits.notified().await;
            "slow"
        };
        let app = Router::new().route("/", get(async || "quick")).route("/slow", get(slow));
        let listener = listen::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits::new(connections);
        let served = tokio::spawn(serve(listener, app, limits, Arc::clone(&clock) as Arc<dyn Clock>, stop.clone()));
        Self { clock, address, stop, served, go }
    }

    /// Moves time on in small steps, so that whoever sleeps in between does so too.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.clock.0.send_modify(|now| *now += Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// Lets what is under way get on, in real time.
async fn nap(duration: Duration) {
    SystemClock::new().sleep(duration).await;
}

const REQUEST: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

async fn answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("quick") && !text.ends_with("slow") {
        let mut some = [0; 512];
        match stream.read(&mut some).await {
            Ok(read @ 1..) => text.push_str(std::str::from_utf8(&some[..read]).unwrap()),
            _ => break,
        }
    }
    text
}

/// Moves time on until the other end closes the connection, and says how long that took, in seconds.
async fn closed_after(world: &World, stream: &mut TcpStream) -> u64 {
    let begun = world.clock.monotonic();
    let mut rest = Vec::new();
    let mut end = Box::pin(stream.read_to_end(&mut rest));
    loop {
        tokio::select! {
            biased;
            _ = &mut end => return (world.clock.monotonic() - begun).as_secs(),
            () = nap(Duration::from_millis(1)) => world.pass(1).await,
        }
        assert!(world.clock.monotonic() - begun < Duration::from_secs(120), "never");
    }
}

#[tokio::test]
async fn a_head_has_ten_seconds_and_a_connection_that_is_not_used_sixty() {
    let world = World::new(9).await;
    for text in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let took = closed_after(&world, &mut world.say(text).await).await;
        assert!((10..13).contains(&took), "{text:?}: {took}");
    }
    let mut used = world.say(REQUEST).await;
    assert!(answer(&mut used).await.starts_with("HTTP/1.1 200"));
    let took = closed_after(&world, &mut used).await;
    assert!((60..63).contains(&took), "{took}");
    let mut half = world.say(&format!("{REQUEST}GET")).await;
    answer(&mut half).await;
    assert!(closed_after(&world, &mut half).await < 63, "also where the next head was begun too early");
}

#[tokio::test]
async fn a_byte_now_and_then_wins_no_time() {
    let world = World::new(9).await;
    let mut stream = world.say("GET / HTTP/1.1\r\n").await;
    for _ in 0..9 {
        world.pass(1).await;
        stream.write_all(b"a: b\r\n").await.unwrap();
    }
    assert!(closed_after(&world, &mut stream).await < 4);
}

#[tokio::test]
async fn where_all_places_are_taken_the_one_that_is_silent_longest_makes_room() {
    let world = World::new(2).await;
    let mut first = world.say("GET").await;
    world.pass(1).await;
    let mut second = world.say("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // The two have their places before a third comes.
    nap(Duration::from_millis(20)).await;
    let mut third = world.say(REQUEST).await;
    let took = closed_after(&world, &mut first).await;
    assert!(took < 5, "{took}");
    let ticking = async {
        loop {
            nap(Duration::from_millis(1)).await;
            world.pass(1).await;
        }
    };
    tokio::select! {
        text = answer(&mut third) => assert!(text.ends_with("quick"), "{text}"),
        () = ticking => {}
    }
    world.go.notify_one();
    assert!(answer(&mut second).await.ends_with("slow"), "who is being answered keeps its place");
}

#[tokio::test]
async fn a_stop_waits_for_answers_and_for_nobody_who_is_silent() {
    let world = World::new(9).await;
    let _silent = [world.connect().await, world.say("GET / HT").await];
    let mut idle = world.say(REQUEST).await;
    answer(&mut idle).await;
    let mut slow = world.say("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    nap(Duration::from_millis(20)).await;
    world.stop.cancel();
    nap(Duration::from_millis(20)).await;
    assert!(!world.served.is_finished(), "the request under way is answered first");
    world.go.notify_one();
    assert!(answer(&mut slow).await.ends_with("slow"));
    world.served.await.unwrap();
}

#[tokio::test]
async fn cleartext_http_2_is_not_served() {
    let world = World::new(9).await;
    let mut stream = world.say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0").await;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    let text = String::from_utf8_lossy(&all);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
}
