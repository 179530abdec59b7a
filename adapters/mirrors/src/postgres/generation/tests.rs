//! Generations and names, with a resolver and a clock that are set by hand.

use super::*;

struct Hand {
    answer: Mutex<io::Result<Vec<&'static str>>>,
    now_ms: AtomicU64,
}

#[async_trait]
impl Resolve for Hand {
    async fn addresses(&self, _: &str) -> io::Result<BTreeSet<IpAddr>> {
        match &*self.answer.lock().unwrap() {
            Ok(addresses) => Ok(addresses.iter().map(|address| address.parse().unwrap()).collect()),
            Err(error) => Err(error.kind().into()),
        }
    }
}

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.wall_ms())
    }
    async fn sleep(&self, _: Duration) {}
}

fn names(connection_string: &str) -> (Arc<Hand>, Names) {
    let hand = Arc::new(Hand { answer: Mutex::new(Ok(vec![])), now_ms: AtomicU64::new(1000) });
    let config: Config = connection_string.parse().unwrap();
    let names = Names::of(&config, Arc::clone(&hand) as _, Arc::clone(&hand) as _);
    (hand, names)
}

#[test]
fn connections_that_fail_together_end_their_generation_once() {
    let generations = Generations::default();
    let first = generations.current();
    assert!(generations.end(first));
    let second = generations.current();
    assert_ne!(first, second);
    assert!(!generations.end(first), "a late failure of an old connection");
    assert_eq!(generations.current(), second, "what was made meanwhile stays");
}

#[tokio::test]
async fn only_an_address_that_is_gone_is_a_move() {
    let (hand, names) = names("host=db.example,other.example");
    for (answer, moved) in [
        (Ok(vec!["10.0.0.1"]), false),
        (Ok(vec!["10.0.0.1"]), false),
        (Ok(vec!["10.0.0.1", "10.0.0.2"]), false),
        (Err(io::ErrorKind::NotFound.into()), false),
        (Ok(vec![]), false),
        (Ok(vec!["10.0.0.2", "10.0.0.1"]), false),
        (Ok(vec!["10.0.0.2"]), true),
        (Ok(vec!["10.0.0.2"]), false),
        (Ok(vec!["::1"]), true),
    ] {
        let shown = format!("{answer:?}");
        *hand.answer.lock().unwrap() = answer;
        assert_eq!(names.have_moved().await, moved, "{shown}");
    }
}

#[tokio::test]
async fn names_are_looked_up_every_few_seconds_and_addresses_never() {
    let (hand, names_of_hosts) = names("host=db.example");
    assert!(names_of_hosts.is_due());
    assert!(!names_of_hosts.is_due(), "one call makes the lookup");
    hand.now_ms.fetch_add(4999, Ordering::SeqCst);
    assert!(!names_of_hosts.is_due());
    hand.now_ms.fetch_add(1, Ordering::SeqCst);
    assert!(names_of_hosts.is_due());
    for fixed in ["host=10.0.0.1", "host=::1", "host=/run/postgresql", "host=db.example hostaddr=10.0.0.1"] {
        assert!(!names(fixed).1.is_due(), "{fixed}");
    }
}

#[tokio::test]
async fn a_silent_resolver_is_given_up_and_moves_nothing() {
    struct Silent;
    #[async_trait]
    impl Resolve for Silent {
        async fn addresses(&self, _: &str) -> io::Result<BTreeSet<IpAddr>> {
            std::future::pending().await
        }
    }
    // The clock's sleep is over at once.
    let (hand, _) = names("host=db.example");
    let config: Config = "host=db.example".parse().unwrap();
    assert!(!Names::of(&config, Arc::new(Silent), hand).have_moved().await);
}
