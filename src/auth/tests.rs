//! Callers and permissions: session tokens, policies and their conditions, what is answered when lakeFS cannot be asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use lakemirror_core::secret::Secret;
use lakemirror_lakefs::{CallerCredentials, Policy, Statement};
use lakemirror_ports::FaultKind;
use lakemirror_ports::clock::{Clock, Entropy};

use super::*;

const KEY: &str = "signing-canary";

#[derive(Default)]
struct Still(Mutex<Duration>);

#[async_trait]
impl Clock for Still {
    fn wall_ms(&self) -> u64 {
        1_000_000
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    async fn sleep(&self, _: Duration) {}
}

struct Zero;

impl Entropy for Zero {
    fn random_u64(&self) -> u64 {
        0
    }
}

/// Knows `ann` by key `AK:SK` and by any token for `ann`; is asked nothing else.
#[derive(Default)]
struct Fake {
    policies: Option<Vec<Policy>>,
    down: bool,
    asked: AtomicUsize,
}

impl Fake {
    fn answer<T>(&self, kind: FaultKind, value: T) -> Result<T, Fault> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.down {
            return Err(Fault { kind, call: "ask".into(), status: None, message: "connection refused".into() });
        }
        Ok(value)
    }
}

#[async_trait]
impl Directory for Fake {
    async fn whoami(&self, credentials: &CallerCredentials) -> Result<Option<String>, Fault> {
        let known = match credentials {
            CallerCredentials::Basic { access_key_id, secret_access_key } => {
                access_key_id == "AK" && secret_access_key.expose() == "SK:with:colons"
            }
            CallerCredentials::Bearer(text) => {
                let claims = text.expose().split('.').nth(1).unwrap();
                String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap().contains(r#""sub":"ann""#)
            }
        };
        self.answer(FaultKind::Retry, known.then(|| "ann".to_owned()))
    }

    async fn policies(&self, user: &str) -> Result<Option<Vec<Policy>>, Fault> {
        if user == "gone" {
            return Err(Fault { kind: FaultKind::Absent, call: "ask".into(), status: Some(404), message: "".into() });
        }
        self.answer(FaultKind::Denied, self.policies.clone())
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn bearer(user: &str, key: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{user}","exp":2000}}"#));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{header}.{claims}").as_bytes());
    format!("Bearer {header}.{claims}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

const CACHED: CacheSettings = CacheSettings { size: 9, ttl: Duration::from_secs(20), jitter: Duration::ZERO };

fn authenticator(fake: &Arc<Fake>, clock: &Arc<Still>, cache: Option<CacheSettings>) -> Authenticator {
    let (directory, key): (Arc<dyn Directory>, _) = (fake.clone(), Secret::from(KEY));
    Authenticator::new(directory, key, clock.clone(), Arc::new(Zero), cache)
}

#[tokio::test]
async fn keys_and_tokens_that_lakefs_knows_are_users() {
    let (fake, clock) = (Arc::<Fake>::default(), Arc::<Still>::default());
    let authenticator = authenticator(&fake, &clock, None);
    for header in [basic("AK:SK:with:colons"), bearer("ann", KEY), bearer("ann", KEY).replace("Bearer", "bearer ")] {
        assert_eq!(
            authenticator.authenticate(Some(&header), Freshness::Current).await,
            Ok(User { name: "ann".into() }),
            "{header}"
        );
    }
    assert_eq!(fake.asked.load(Ordering::SeqCst), 3, "without a cache every request asks");
}

#[tokio::test]
async fn anything_else_is_401_and_rubbish_is_refused_without_asking() {
    let (fake, clock) = (Arc::<Fake>::default(), Arc::<Still>::default());
    let authenticator = authenticator(&fake, &clock, None);
    let rubbish = [
        "".to_owned(),
        "Basic".into(),
        "Basic !".into(),
        basic("AK"),
        basic(":"),
        basic("AK:"),
        basic(":SK"),
        "Bearer ".into(),
        "Bearer a.b.c".into(),
        "AWS4-HMAC-SHA256 Credential=AK".into(),
        bearer("ann", "another key"),
    ];
    assert_eq!(authenticator.authenticate(None, Freshness::Current).await, Err(AuthError::Unauthenticated));
    for header in rubbish {
        assert_eq!(
            authenticator.authenticate(Some(&header), Freshness::Current).await,
            Err(AuthError::Unauthenticated),
            "{header}"
        );
    }
    assert_eq!(fake.asked.load(Ordering::SeqCst), 0);
    for header in [basic("AK:other"), bearer("nobody", KEY)] {
        assert_eq!(
            authenticator.authenticate(Some(&header), Freshness::Current).await,
            Err(AuthError::Unauthenticated),
            "{header}"
        );
    }
    assert_eq!(AuthError::Unauthenticated.status(), 401);
}

#[tokio::test]
async fn a_lakefs_that_does_not_answer_decides_nothing() {
    let (fake, clock) = (Arc::new(Fake { down: true, ..Fake::default() }), Arc::<Still>::default());
    let error =
        authenticator(&fake, &clock, None).authenticate(Some(&basic("AK:SK")), Freshness::Current).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable(_)), "{error:?}");
    let authorizer = Authorizer::new(fake, clock, Arc::new(Zero), None);
    let error = authorizer
        .authorize(&User { name: "ann".into() }, &Action::ReadMirrors, None, Freshness::Current)
        .await
        .unwrap_err();
    assert_eq!(error.status(), 503, "also where the service itself may not ask");
    assert!(!error.to_string().contains("refused"), "details are the source's: {error}");
}

#[tokio::test]
async fn the_cache_keeps_what_was_found_for_its_time_and_a_refusal_for_five_seconds() {
    let (fake, clock) = (Arc::<Fake>::default(), Arc::<Still>::default());
    let authenticator = authenticator(&fake, &clock, Some(CACHED));
    let asked = || fake.asked.load(Ordering::SeqCst);
    for (header, at, expected) in [
        (basic("AK:SK:with:colons"), 0, 1),
        (basic("AK:SK:with:colons"), 19, 1),
        (basic("AK:SK:with:colons"), 20, 2),
        (basic("AK:wrong"), 20, 3),
        (basic("AK:wrong"), 24, 3),
        (basic("AK:wrong"), 25, 4),
        (bearer("ann", KEY), 25, 5),
        (bearer("ann", KEY), 26, 5),
    ] {
        *clock.0.lock().unwrap() = Duration::from_secs(at);
        let _judged_elsewhere = authenticator.authenticate(Some(&header), Freshness::Current).await;
        assert_eq!(asked(), expected, "{header} at {at}");
    }
}

fn allow(resource: &str, action: &str) -> Statement {
    Statement {
        effect: "allow".into(),
        resource: resource.into(),
        actions: vec![action.into()],
        conditions: Default::default(),
    }
}

async fn authorize(statements: Option<Vec<Statement>>, action: Action<'_>) -> Result<(), AuthError> {
    let policies = statements.map(|statements| vec![Policy { id: "p".into(), statements }]);
    let fake = Arc::new(Fake { policies, ..Fake::default() });
    let authorizer = Authorizer::new(fake, Arc::<Still>::default(), Arc::new(Zero), None);
    authorizer.authorize(&User { name: "ann".into() }, &action, Some("10.0.0.1"), Freshness::Current).await
}

const CREATE: Action<'_> = Action::CreateMirror { mirror: "m", source: "s", namespace: "s3://west/m" };

#[tokio::test]
async fn creating_needs_all_three_and_says_what_is_missing() {
    let repositories = allow("arn:lakefs:fs:::repository/*", "fs:*Repository");
    let namespace = allow("arn:lakefs:fs:::namespace/s3://west/*", "fs:AttachStorageNamespace");
    assert_eq!(authorize(Some(vec![repositories.clone(), namespace.clone()]), CREATE).await, Ok(()));
    let error = authorize(Some(vec![repositories]), CREATE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "insufficient permissions: user ann is not allowed to fs:AttachStorageNamespace on \
         arn:lakefs:fs:::namespace/s3://west/m"
    );
    assert_eq!(error.status(), 401);
    let error = authorize(Some(vec![]), CREATE).await.unwrap_err().to_string();
    for part in
        ["fs:CreateRepository on arn:lakefs:fs:::repository/m", "fs:MirrorRepository on arn:lakefs:fs:::repository/s"]
    {
        assert!(error.contains(part), "{error}");
    }
    assert!(authorize(Some(vec![namespace]), CREATE).await.is_err());
}

#[tokio::test]
async fn each_action_has_its_own_permission() {
    for (action, resource, permission) in [
        (Action::DeleteMirror { mirror: "m" }, "arn:lakefs:fs:::repository/m", "fs:DeleteRepository"),
        (Action::EditBranches { source: "s" }, "arn:lakefs:fs:::repository/s", "fs:MirrorRepository"),
        (Action::ReadMirrors, "*", "fs:ListRepositories"),
    ] {
        assert_eq!(authorize(Some(vec![allow(resource, permission)]), action).await, Ok(()), "{action:?}");
        assert!(authorize(Some(vec![allow(resource, "fs:ReadRepository")]), action).await.is_err(), "{action:?}");
        assert!(authorize(Some(vec![allow("arn:lakefs:fs:::repository/o", permission)]), action).await.is_err());
    }
}

#[tokio::test]
async fn without_policies_everybody_known_may_and_a_user_that_is_gone_may_not() {
    assert_eq!(authorize(None, CREATE).await, Ok(()));
    let authorizer = Authorizer::new(Arc::<Fake>::default(), Arc::<Still>::default(), Arc::new(Zero), Some(CACHED));
    let gone = authorizer.authorize(&User { name: "gone".into() }, &CREATE, None, Freshness::Current).await;
    assert_eq!(gone, Err(AuthError::Unauthenticated));
}

#[tokio::test]
async fn policies_are_cached_for_their_time() {
    let (fake, clock) = (Arc::<Fake>::default(), Arc::<Still>::default());
    let authorizer = Authorizer::new(fake.clone(), clock.clone(), Arc::new(Zero), Some(CACHED));
    for (at, expected) in [(0, 1), (19, 1), (20, 2)] {
        *clock.0.lock().unwrap() = Duration::from_secs(at);
        authorizer.authorize(&User { name: "ann".into() }, &CREATE, None, Freshness::Current).await.unwrap();
        assert_eq!(fake.asked.load(Ordering::SeqCst), expected, "at {at}");
    }
}
