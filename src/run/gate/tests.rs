//! Who is let in while the region's lakeFS does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lakemirror_api::server::{Credentials, Hidden};

use super::*;
use crate::auth::Directory;
use lakemirror_lakefs::{CallerCredentials, Policy};
use lakemirror_ports::Fault;
use lakemirror_ports::clock::system::{OsEntropy, SystemClock};

/// A lakeFS that knows one key pair and has no policies.
#[derive(Default)]
struct Lakefs {
    is_down: AtomicBool,
}

impl Lakefs {
    fn answer<T>(&self, answer: T) -> Result<T, Fault> {
        if self.is_down.load(Ordering::Relaxed) {
            let message = "connection refused".to_owned();
            return Err(Fault { kind: FaultKind::Retry, call: "ask".to_owned(), status: None, message });
        }
        Ok(answer)
    }
}

#[async_trait]
impl Directory for Lakefs {
    async fn whoami(&self, credentials: &CallerCredentials) -> Result<Option<String>, Fault> {
        let own = CallerCredentials::Basic { access_key_id: "AK".to_owned(), secret_access_key: Secret::from("SK") };
        self.answer((*credentials == own).then(|| "replication".to_owned()))
    }
    async fn policies(&self, _: &str) -> Result<Option<Vec<Policy>>, Fault> {
        self.answer(None)
    }
}

fn caller(key: &str, secret: &str) -> Caller {
    let credentials = Credentials::Basic { access_key_id: key.to_owned(), secret_access_key: Hidden::new(secret) };
    Caller { credentials, peer: None, forwarded_for: None, real_ip: None }
}

#[tokio::test]
async fn the_replication_user_reads_during_an_outage_that_nobody_asked_before() {
    let lakefs = Arc::new(Lakefs::default());
    let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(OsEntropy));
    let directory = || Arc::clone(&lakefs) as Arc<dyn Directory>;
    let authenticator = Authenticator::new(directory(), Secret::from("k"), clock.clone(), entropy.clone(), None);
    let authorizer = Authorizer::new(directory(), clock, entropy, None);
    let gate = LakefsGate { authenticator, authorizer, trusted_proxies: Vec::new() };
    gate.remember_once(&Secret::new(caller("AK", "SK").credentials.to_header().unwrap().expose().to_owned())).await;
    lakefs.is_down.store(true, Ordering::Relaxed);
    let read = gate.check(&caller("AK", "SK"), Action::ReadMirrors).await;
    assert_eq!(read.unwrap().name, "replication");
    let edit = gate.check(&caller("AK", "SK"), Action::EditMirror { source: "s" }).await;
    assert!(matches!(edit, Err(Denied::Unavailable(_))), "a change needs lakeFS: {edit:?}");
    let other = gate.check(&caller("AK", "other"), Action::ReadMirrors).await;
    assert!(matches!(other, Err(Denied::Unavailable(_))), "{other:?}");
}
