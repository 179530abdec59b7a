//! An S3 server in this process (crate s3s: real signatures, real wire format) that misbehaves as configured.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use lakemirror::objects::{Store, s3};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

/// How the server misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Sound,
    /// 503 for this many requests.
    SlowDown(u32),
    /// 403 for missing objects, as without the permission to list.
    ForbiddenForMissing,
    /// 404 with a delete marker for missing objects.
    Markers,
    /// Pages from the last key to the first.
    Backwards,
    /// Pages that include the key to start after.
    Inclusive,
    /// Always the first page.
    IgnoresStart,
    /// Pages without keys that always report more.
    Empty,
    /// Bodies end after this many bytes, correctly framed.
    Cut(usize),
    /// An error document with status 200.
    ErrorAs200,
    /// 301 with the bucket's region.
    OtherRegion,
    /// Responses that are not S3.
    Html,
    /// No response to LIST. Clients of such a server get short timeouts.
    SilentLists,
}

#[derive(Debug)]
struct Shared {
    mood: Mutex<Mood>,
    objects: BTreeMap<String, Vec<u8>>,
    requests: Mutex<BTreeMap<&'static str, u32>>,
}

/// The server; it lives as long as the test's runtime.
pub(super) struct FaultyS3 {
    pub(super) store: Arc<dyn Store>,
    shared: Arc<Shared>,
}

impl FaultyS3 {
    /// Serves these objects in every bucket.
    pub(super) async fn with(keys: impl IntoIterator<Item = String>, mood: Mood) -> Self {
        let objects = keys.into_iter().map(|key| (key, b"1".to_vec())).collect();
        let shared = Arc::new(Shared { mood: Mutex::new(mood), objects, requests: Mutex::default() });
        let mut builder = S3ServiceBuilder::new(Bucket(Arc::clone(&shared)));
        builder.set_auth(SimpleAuth::from_single("k1", "s1"));
        let state = (builder.build(), Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let timeouts = s3::Timeouts { page: Duration::from_millis(200), ..s3::Timeouts::default() };
        let patience = if mood == Mood::SilentLists { timeouts } else { s3::Timeouts::default() };
        let settings = super::real_s3::settings(&endpoint, "k1", "s1");
        let store = super::real_s3::store(&s3::Settings { timeouts: patience, ..settings }).await;
        Self { store, shared }
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Number of requests of one kind so far: `head`, `get`, `list`.
    pub(super) fn requests(&self, kind: &str) -> u32 {
        self.shared.requests.lock().unwrap().get(kind).copied().unwrap_or(0)
    }
}

/// The faults below S3's own level.
async fn answer(State((service, shared)): State<(S3Service, Arc<Shared>)>, request: Request) -> Response {
    let mood = *shared.mood.lock().unwrap();
    let is_list = request.uri().query().is_some_and(|query| query.contains("list-type=2"));
    match mood {
        Mood::Html => return Response::new(Body::from("<html><body>It works!</body></html>")),
        Mood::OtherRegion => {
            let error = "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>";
            let builder = Response::builder().status(301).header("x-amz-bucket-region", "eu-central-1");
            return builder.body(Body::from(error)).unwrap();
        }
        Mood::ErrorAs200 => {
            return Response::new(Body::from("<Error><Code>InternalError</Code><Message>m</Message></Error>"));
        }
        Mood::SilentLists if is_list => std::future::pending().await,
        _ => {}
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let answered = service.call(axum::http::Request::from_parts(parts, s3s::Body::from(body))).await.unwrap();
    let answered = answered.map(Body::new);
    match mood {
        Mood::Cut(length) if is_list => {
            let body = to_bytes(answered.into_body(), 1 << 24).await.unwrap();
            Response::new(Body::from(body.slice(..length.min(body.len()))))
        }
        _ => answered,
    }
}

struct Bucket(Arc<Shared>);

impl Bucket {
    fn enter(&self, kind: &'static str) -> S3Result<Mood> {
        *self.0.requests.lock().unwrap().entry(kind).or_default() += 1;
        let mut mood = self.0.mood.lock().unwrap();
        if let Mood::SlowDown(left) = &mut *mood
            && *left > 0
        {
            *left -= 1;
            return Err(S3Error::new(S3ErrorCode::SlowDown));
        }
        Ok(*mood)
    }

    fn missing(mood: Mood) -> S3Error {
        match mood {
            Mood::ForbiddenForMissing => S3Error::new(S3ErrorCode::AccessDenied),
            Mood::Markers => {
                let mut error = S3Error::new(S3ErrorCode::NoSuchKey);
                error.set_headers(
                    [("x-amz-delete-marker".parse().unwrap(), "true".parse().unwrap())].into_iter().collect(),
                );
                error
            }
            _ => S3Error::new(S3ErrorCode::NoSuchKey),
        }
    }
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap()
}

#[async_trait]
impl S3 for Bucket {
    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let mood = self.enter("head")?;
        let bytes = self.0.objects.get(&request.input.key).ok_or_else(|| Self::missing(mood))?;
        Ok(S3Response::new(HeadObjectOutput { content_length: Some(length(bytes)), ..Default::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let mood = self.enter("get")?;
        let bytes = self.0.objects.get(&request.input.key).ok_or_else(|| Self::missing(mood))?;
        let output = GetObjectOutput {
            content_length: Some(length(bytes)),
            body: Some(s3s::Body::from(bytes.clone()).into()),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let mood = self.enter("list")?;
        let input = request.input;
        let (prefix, after) = (input.prefix.unwrap_or_default(), input.start_after.unwrap_or_default());
        let max = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap();
        let follows = |key: &str| match mood {
            Mood::Inclusive => key >= after.as_str(),
            Mood::IgnoresStart => true,
            Mood::Empty => false,
            _ => key > after.as_str(),
        };
        let mut objects: Vec<_> =
            self.0.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && follows(key)).collect();
        let more = objects.len() > max || mood == Mood::Empty;
        objects.truncate(max);
        if mood == Mood::Backwards {
            objects.reverse();
        }
        let object = |(key, bytes): (&String, &Vec<u8>)| Object {
            key: Some(key.clone()),
            size: Some(length(bytes)),
            ..Default::default()
        };
        let output = ListObjectsV2Output {
            is_truncated: Some(more),
            contents: Some(objects.into_iter().map(object).collect()),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }
}
