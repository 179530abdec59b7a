//! What is asked of lakeFS and buckets, how often, and what counts as an answer.

use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::engine::tests::Loop;
use crate::ports::{Answer, Effort, Fetched, Wanted};
use crate::verify::tests::world::Hand;

/// A bucket that answers everything as it is told to.
struct Bucket {
    answer: Mutex<Result<Fetched, Fault>>,
    asked: Mutex<Vec<String>>,
    hangs: bool,
}

impl Bucket {
    fn that(answer: Result<Fetched, Fault>) -> Self {
        Self { answer: Mutex::new(answer), asked: Mutex::default(), hangs: false }
    }
}

#[async_trait::async_trait]
impl Destination for Bucket {
    async fn read(&self, at: &Location, _: u64) -> Result<Fetched, Fault> {
        self.asked.lock().unwrap().push(format!("{}/{}", at.bucket, at.key));
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.answer.lock().unwrap().clone()
    }
    async fn check(
        &self,
        _: &str,
        _: Vec<Wanted>,
        _: Effort,
        _: &(dyn Fn(Vec<Answer>) + Send + Sync),
    ) -> Result<(), Fault> {
        unreachable!("one object is asked for")
    }
}

fn fault(kind: FaultKind, message: &str) -> Fault {
    Fault { kind, call: "read".to_owned(), status: None, message: message.to_owned() }
}

async fn asked(bucket: &Bucket) -> Option<String> {
    let at = Location { bucket: "west".into(), key: "s/_lakefs/lakemirror-health".to_owned() };
    ask_bucket(&Hand::default(), bucket, &at).await
}

#[tokio::test]
async fn an_object_that_is_not_there_is_an_answer_and_everything_else_is_told() {
    assert_eq!(asked(&Bucket::that(Ok(Fetched::Absent))).await, None);
    assert_eq!(asked(&Bucket::that(Ok(Fetched::Deleted))).await, None);
    assert_eq!(asked(&Bucket::that(Ok(Fetched::Bytes(Bytes::new())))).await, None);
    for (kind, message) in [
        (FaultKind::Denied, "403 AccessDenied"),
        (FaultKind::Retry, "500 InternalError"),
        (FaultKind::Refused, "404 NoSuchBucket"),
        (FaultKind::Retry, "connection refused"),
    ] {
        let told = asked(&Bucket::that(Err(fault(kind, message)))).await.unwrap();
        assert!(told.contains(message), "{told}");
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_told_in_time() {
    let clock = Arc::new(Hand::default());
    let bucket = Bucket { hangs: true, ..Bucket::that(Ok(Fetched::Absent)) };
    let at = Location { bucket: "west".into(), key: "k".to_owned() };
    let waiting = tokio::spawn({
        let clock = Arc::clone(&clock);
        async move { ask_bucket(&*clock, &bucket, &at).await }
    });
    while *clock.sleepers.lock().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(PATIENCE);
    let told = waiting.await.unwrap().unwrap();
    assert!(told.contains("no answer within 5s"), "{told}");
}

#[tokio::test]
async fn a_region_is_asked_once_however_many_mirrors_it_has() {
    let context = Loop::that_has_read().await.context();
    let of = |name: &str, namespace: &str| {
        let mut definition = (*context.definition).clone();
        (definition.name, definition.storage_namespace) = (name.to_owned(), namespace.to_owned());
        MirrorContext { definition: Arc::new(definition), ..context.clone() }
    };
    let contexts = [of("m1", "s3://west/a"), of("m2", "s3://west/b"), of("m3", "s3://other")];
    for number in [0, 1, 5, usize::MAX] {
        let round = round(contexts.iter(), number, "_lakefs/");
        assert_eq!(round.lakefs.keys().map(String::as_str).collect::<Vec<_>>(), ["east", "west"]);
        assert_eq!(round.lakefs["west"], format!("m{}", 1 + number % 3));
        let buckets: Vec<&str> = round.buckets.keys().map(|(_, bucket)| bucket.as_str()).collect();
        assert_eq!(buckets, ["other", "west"]);
    }
    assert_eq!(round([].iter(), 3, "_lakefs/"), Round::default());
}

#[tokio::test]
async fn what_fails_is_noted_until_it_answers_or_nobody_needs_it() {
    let context = Loop::that_has_read().await.context();
    let conditions = Conditions::new(Arc::clone(&context.clock));
    // This lakeFS refuses every call.
    let about = ConditionKind::Lakefs("west".to_owned());
    let told = ask_lakefs(&*context.clock, &*context.mirror, "m").await.unwrap();
    conditions.note("", about.clone(), told);
    conditions.note("", ConditionKind::Lakefs("nowhere".to_owned()), "down".to_owned());
    forget(&[context], &conditions);
    assert_eq!(conditions.notes().into_keys().collect::<Vec<_>>(), [about]);
    forget(&[], &conditions);
    assert!(conditions.notes().is_empty());
}
