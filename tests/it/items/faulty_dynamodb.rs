//! A server in this process that answers DynamoDB's protocol from a script, for cases that are rare with the real one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

/// One response.
#[derive(Debug, Clone)]
pub(super) struct Answer(pub(super) u16, pub(super) Value);

impl Answer {
    /// An error in DynamoDB's wording.
    pub(super) fn error(status: u16, code: &str) -> Self {
        Self(status, json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "planted"}))
    }

    pub(super) fn ok() -> Self {
        Self(200, json!({}))
    }

    /// A table with our keys.
    pub(super) fn table(more: &Value) -> Self {
        let mut table = json!({
            "TableName": "t1", "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "PartitionKey", "KeyType": "HASH"}, {"AttributeName": "ItemKey", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "PartitionKey", "AttributeType": "B"}, {"AttributeName": "ItemKey", "AttributeType": "B"}],
        });
        for (name, value) in more.as_object().unwrap() {
            table[name] = value.clone();
        }
        Self(200, json!({"Table": table}))
    }
}

#[derive(Default)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<(String, Value)>>,
}

/// The server; it lives as long as the test's runtime.
pub(super) struct Faulty {
    pub(super) endpoint: String,
    shared: Arc<Shared>,
}

impl Faulty {
    /// Responds with these in order; after the last one, with an error that is never retried.
    pub(super) async fn with(answers: impl IntoIterator<Item = Answer>) -> Self {
        let shared = Arc::new(Shared { answers: Mutex::new(answers.into_iter().collect()), ..Shared::default() });
        let app = axum::Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { endpoint, shared }
    }

    pub(super) fn then(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.lock().unwrap().extend(answers);
    }

    /// The operations that were requested since the last call, and their bodies.
    pub(super) fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let target = headers.get("x-amz-target").map_or("", |target| target.to_str().unwrap());
    let operation = target.rsplit('.').next().unwrap().to_owned();
    shared.asked.lock().unwrap().push((operation, serde_json::from_str(&body).unwrap()));
    let next = shared.answers.lock().unwrap().pop_front();
    let Answer(status, body) = next.unwrap_or_else(|| Answer::error(400, "ValidationException"));
    let headers = [("content-type", "application/x-amz-json-1.0")];
    (StatusCode::from_u16(status).unwrap(), headers, body.to_string()).into_response()
}
