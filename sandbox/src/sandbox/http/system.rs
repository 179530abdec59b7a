//! The server: health, setup, configuration, version, login, the user.

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::{Call, Failure, Guard, Kind, Operation, Outcome, Sandbox, auth};
use crate::sandbox::lake::USER;

/// The version that the sandbox reports: that of a build without a version, because clients must not depend on it.
const VERSION: &str = "dev";
/// How long the session cookie lasts, in seconds.
const COOKIE_SECONDS: u32 = 30 * 24 * 3600;

pub(super) fn operations() -> Vec<Operation> {
    let get = |path, run| Operation::new(Method::GET, path, run);
    vec![
        get("/healthcheck", |_| Answer::done()).guard(Guard::Open),
        get("/setup_lakefs", setup_state).guard(Guard::Open),
        Operation::new(Method::POST, "/setup_lakefs", |_| {
            Ok(Answer::json(StatusCode::CONFLICT, &json!({"message": "lakeFS already initialized"})))
        })
        .guard(Guard::Open),
        Operation::new(Method::POST, "/auth/login", login).body("LoginInformation").guard(Guard::Open),
        get("/auth/capabilities", |_| Answer::ok(&json!({"invite_user": false}))).guard(Guard::Optional),
        get("/user", current_user).guard(Guard::Optional),
        get("/config", config),
        get("/config/version", |_| Answer::ok(&version())),
        get("/config/storage", |_| Answer::ok(&storage())),
        get("/config/garbage-collection", |_| Answer::ok(&json!({"grace_period": 21600}))),
        get("/auth/users/{user}/policies", not_implemented),
        get("/auth/users", users),
        get("/auth/users/{user}", user),
        Operation::new(Method::POST, "/statistics", |_| Answer::done()),
        get("/usage-report/summary", not_implemented),
    ]
}

/// The response of lakeFS's open-source edition to unsupported calls.
pub(super) fn not_implemented(_: &Call) -> Outcome<Answer> {
    Err(Failure::new(Kind::NotImplemented, "Not Implemented"))
}

/// `GET /_health`.
pub(super) async fn health(State(sandbox): State<Sandbox>) -> Response {
    let (installation, _) = sandbox.lake.installation();
    let text = format!("alive! {installation}");
    answer::respond(Ok(Answer::bytes(StatusCode::OK, "text/plain; charset=utf-8", text)))
}

fn setup_state(_: &Call) -> Outcome<Answer> {
    Answer::ok(&json!({
        "comm_prefs_missing": false,
        "login_config": {
            "RBAC": "none",
            "login_cookie_names": [auth::COOKIE],
            "login_failed_message": "The credentials don't match.",
            "login_url": "",
            "login_url_method": "none",
            "logout_url": "",
        },
        "state": "initialized",
    }))
}

fn login(call: &Call) -> Outcome<Answer> {
    let access = &call.sandbox.access;
    if !access.is_pair(call.field("access_key_id"), call.field("secret_access_key")) {
        return Err(auth::unauthenticated());
    }
    let (token, expires) = access.login(call.lake().seconds(), &call.lake().uuid());
    let name = auth::COOKIE;
    let cookie = format!("{name}={token}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax");
    Ok(Answer::ok(&json!({"token": token, "token_expiration": expires}))?.header(header::SET_COOKIE, &cookie))
}

fn described(call: &Call) -> Value {
    let (_, created) = call.lake().installation();
    json!({"creation_date": created, "email": "", "friendly_name": "", "id": USER})
}

fn current_user(call: &Call) -> Outcome<Answer> {
    let user = if call.known { described(call) } else { json!({"creation_date": 0, "id": ""}) };
    Answer::ok(&json!({ "user": user }))
}

fn users(call: &Call) -> Outcome<Answer> {
    Answer::ok(&answer::list(vec![(USER.to_owned(), described(call))], false))
}

fn user(call: &Call) -> Outcome<Answer> {
    match call.param("user") == USER {
        true => Answer::ok(&described(call)),
        false => Err(Failure::not_found()),
    }
}

fn version() -> Value {
    json!({"version": VERSION, "version_context": "lakeFS"})
}

fn storage() -> Value {
    json!({
        "blockstore_description": "",
        "blockstore_id": "",
        "blockstore_namespace_ValidityRegex": "^local://",
        "blockstore_namespace_example": "local://example-bucket/",
        "blockstore_type": "local",
        "default_namespace_prefix": "local://",
        "import_support": false,
        "import_validity_regex": "^local://",
        "pre_sign_multipart_upload": false,
        "pre_sign_support": false,
        "pre_sign_support_ui": false,
    })
}

fn config(_: &Call) -> Outcome<Answer> {
    Answer::ok(&json!({
        "capabilities_config": {},
        "storage_config": storage(),
        "storage_config_list": [],
        "ui_config": {},
        "version_config": version(),
    }))
}
