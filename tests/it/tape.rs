//! Replays the responses of a real lakeFS (`tests/data/lakefs/api-tape.jsonl`) against two sandboxes over HTTP: every
//! status, message and set of fields must be equal; ids, dates and addresses up to renaming.
//!
//! The known harmless differences, each with its reason, are in [`is_ordered_by_id`] and [`has_own_length`]; there are
//! no others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use lakemirror::clock::{Clock, Entropy};
use lakemirror::sandbox::{self, Sandbox};
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};

/// When the tape was recorded: with it, the ids of first commits equal the recorded ones.
const TAPE_SECONDS: u64 = 1_795_451_810;

pub(crate) struct TapeClock(pub(crate) AtomicU64);

#[async_trait::async_trait]
impl Clock for TapeClock {
    fn wall_ms(&self) -> u64 {
        TAPE_SECONDS * 1000 + self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _: Duration) {}
}

pub(crate) struct Counting(pub(crate) AtomicU64);

impl Entropy for Counting {
    fn random_u64(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst)
    }
}

/// Maps recorded names to names here, one to one.
#[derive(Default)]
struct Renaming {
    there_to_here: HashMap<String, String>,
    here_to_there: HashMap<String, String>,
}

impl Renaming {
    fn meet(&mut self, there: &str, here: &str) -> Result<(), String> {
        let known = self.there_to_here.entry(there.to_owned()).or_insert_with(|| here.to_owned());
        let back = self.here_to_there.entry(here.to_owned()).or_insert_with(|| there.to_owned());
        match known == here && back == there {
            true => Ok(()),
            false => Err(format!("{there} was {known}, now {here}; {here} stands for {back}")),
        }
    }

    /// A text of a request, with recorded ids (or prefixes) replaced by ours.
    fn translate(&self, text: &str) -> String {
        if let Some(here) = self.there_to_here.get(text) {
            return here.clone();
        }
        let is_prefix = text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let full = self.there_to_here.iter().find(|(there, _)| is_prefix && there.starts_with(text));
        full.map_or_else(|| text.to_owned(), |(_, here)| here[..text.len()].to_owned())
    }

    fn translate_json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.translate(text)),
            Value::Array(items) => items.iter().map(|item| self.translate_json(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), self.translate_json(value))).collect()
            }
            other => other.clone(),
        }
    }

    /// Compares two texts, in which ids may differ.
    fn texts(&mut self, there: &str, here: &str) -> Result<(), String> {
        let (there_rest, there_ids) = without_ids(there);
        let (here_rest, here_ids) = without_ids(here);
        if there_rest != here_rest || there_ids.len() != here_ids.len() {
            return Err(format!("{there:?} recorded, {here:?} here"));
        }
        there_ids.iter().zip(&here_ids).try_for_each(|(there, here)| self.meet(there, here))
    }
}

fn is_id(word: &str) -> bool {
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let object = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'v');
    let zero = word.bytes().all(|byte| byte == b'0');
    !zero && (word.len() == 64 && word.bytes().all(hexadecimal) || word.len() == 20 && word.bytes().all(object))
}

/// The text with a placeholder for each id, and the ids.
fn without_ids(text: &str) -> (String, Vec<String>) {
    let mut ids = Vec::new();
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(|word| {
        let core = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match is_id(core) {
            true => {
                ids.push(core.to_owned());
                word.replace(core, "<id>")
            }
            false => word.to_owned(),
        }
    });
    (words.collect(), ids)
}

/// On a mirror, commits of one second are ordered by their ids, because records have whole seconds; and the ids differ
/// from the recorded ones.
fn is_ordered_by_id(step: &Value) -> bool {
    step["server"] == "dst" && step["path"].as_str().is_some_and(|path| path.ends_with("/refs/main/commits"))
}

/// Responses with addresses: the directory's name has another length here.
fn has_own_length(step: &Value) -> bool {
    step["response"].to_string().contains("physical_address")
}

struct Player {
    client: reqwest::Client,
    servers: HashMap<&'static str, (String, Sandbox)>,
    clock: Arc<TapeClock>,
    renaming: Renaming,
}

struct Heard {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Vec<u8>,
}

impl Player {
    async fn new(dir: &Path) -> Self {
        let clock = Arc::new(TapeClock(AtomicU64::new(0)));
        let mut servers = HashMap::new();
        for name in ["src", "dst"] {
            let seed = if name == "src" { 1 } else { 1 << 40 };
            let options = sandbox::Options::new(dir.join(name));
            let opened = Sandbox::open(options, clock.clone(), Arc::new(Counting(AtomicU64::new(seed)))).unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = format!("http://{}", listener.local_addr().unwrap());
            let serving = opened.clone();
            tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
            servers.insert(name, (address, opened));
        }
        // The provider is process-wide; another test may have installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { client, servers, clock, renaming: Renaming::default() }
    }

    fn blocks(&self, server: &str) -> PathBuf {
        self.servers[server].1.lake().blocks_root().to_owned()
    }

    async fn send(&self, step: &Value) -> Result<Heard, reqwest::Error> {
        let (base, _) = &self.servers[step["server"].as_str().unwrap()];
        let path = step["path"].as_str().unwrap();
        let path: Vec<String> = path.split('/').map(|part| self.renaming.translate(part)).collect();
        let api = if path.get(1).is_some_and(|first| first == "_health") { "" } else { "/api/v1" };
        let method = step["method"].as_str().unwrap().parse().unwrap();
        let mut request = self.client.request(method, format!("{base}{api}{}", path.join("/")));
        if let Some(params) = step["params"].as_object() {
            let text =
                |value: &Value| value.as_str().map_or_else(|| value.to_string(), |text| self.renaming.translate(text));
            request = request.query(&params.iter().map(|(key, value)| (key, text(value))).collect::<Vec<_>>());
        }
        if step.get("request").is_some() {
            request = request.json(&self.renaming.translate_json(&step["request"]));
        }
        if let Some(data) = step["data"].as_str() {
            request = request.body(data.to_owned());
        }
        // The one step that lost its connection was sent with the right credentials, though the recording does not say
        // so.
        let credentials = step["credentials"].as_str().or(step.get("error").map(|_| "ok"));
        let response = authorized(request, credentials, self.clock.wall_ms() / 1000).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Heard { status, headers, body: response.bytes().await?.to_vec() })
    }

    async fn play(&mut self, step: &Value) -> Result<(), String> {
        if step.get("note").is_some() {
            return Ok(());
        }
        if let Some(seconds) = step["sleep_s"].as_u64() {
            self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
            return Ok(());
        }
        if let Some(pattern) = step["replicate"].as_str() {
            let pattern: Vec<String> = pattern.split('/').map(|part| self.renaming.translate(part)).collect();
            return copy(&self.blocks("src").join("src-one"), &self.blocks("dst").join("mir-one"), &pattern.join("/"));
        }
        let heard = self.send(step).await;
        if step.get("error").is_some() {
            return match heard {
                Err(error) if error.is_request() => Ok(()),
                Err(error) => Err(format!("another failure: {error:?}")),
                Ok(heard) => Err(format!("answered {} where the real server did not", heard.status)),
            };
        }
        let heard = heard.map_err(|error| format!("{error:?}"))?;
        self.compare(step, &heard)
    }

    fn compare(&mut self, step: &Value, heard: &Heard) -> Result<(), String> {
        let body = String::from_utf8_lossy(&heard.body).into_owned();
        if step["status"] != json!(heard.status) {
            return Err(format!("status {} recorded, {} here: {body}", step["status"], heard.status));
        }
        for name in ["Content-Type", "Location"] {
            let there = step["headers"][name].as_str().unwrap_or_default();
            let here = heard.headers.get(name).map_or("", |value| value.to_str().unwrap());
            self.renaming.texts(there, here).map_err(|error| format!("{name}: {error}"))?;
        }
        if let Some(length) = step["length"].as_u64()
            && !has_own_length(step)
            && length != heard.body.len() as u64
        {
            return Err(format!("{length} bytes recorded, {} here: {body}", heard.body.len()));
        }
        match &step["response"] {
            Value::Null => Ok(()),
            Value::String(there) if there.starts_with("alive! ") => {
                let right = body.starts_with("alive! ") && body.len() == there.len();
                if right { Ok(()) } else { Err(format!("{body} here")) }
            }
            Value::String(there) => self.renaming.texts(there, &body),
            there => {
                let mut here: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
                if is_ordered_by_id(step) && there["results"].is_array() {
                    self.reorder(&there["results"], &mut here);
                }
                self.values("", there, &here)
            }
        }
    }

    /// Sorts results in the order of the recorded ones, by their ids.
    fn reorder(&self, there: &Value, here: &mut Value) {
        let order: Vec<String> =
            there.as_array().unwrap().iter().map(|one| self.renaming.translate(one["id"].as_str().unwrap())).collect();
        let place = |one: &Value| order.iter().position(|id| one["id"] == json!(id));
        here["results"].as_array_mut().unwrap().sort_by_key(place);
    }

    fn values(&mut self, at: &str, there: &Value, here: &Value) -> Result<(), String> {
        match (there, here) {
            (Value::Object(there), Value::Object(here)) => {
                let names = |fields: &serde_json::Map<String, Value>| fields.keys().cloned().collect::<Vec<_>>();
                if names(there) != names(here) {
                    return Err(format!("{at}: fields {:?} recorded, {:?} here", names(there), names(here)));
                }
                there.iter().try_for_each(|(name, there)| self.values(name, there, &here[name]))
            }
            (Value::Array(there), Value::Array(here)) if there.len() == here.len() => {
                there.iter().zip(here).try_for_each(|(there, here)| self.values(at, there, here))
            }
            (Value::Number(there), Value::Number(here)) if is_date(at) => {
                let (there, here) = (there.as_i64().unwrap(), here.as_i64().unwrap());
                let near = (there - here).abs() <= 10;
                if near { Ok(()) } else { Err(format!("{at}: {there} recorded, {here} here")) }
            }
            (Value::String(there), Value::String(here)) if at == "token" => {
                let alike = there.split('.').count() == 3 && here.split('.').count() == 3;
                if alike { Ok(()) } else { Err(format!("token: {here}")) }
            }
            (Value::String(there), Value::String(here)) => {
                let here = self.blocks_as_recorded(at, here);
                self.renaming.texts(there, &here).map_err(|error| format!("{at}: {error}"))
            }
            (there, here) if there == here => Ok(()),
            (there, here) => Err(format!("{at}: {there} recorded, {here} here")),
        }
    }

    /// An address with the recorded directory.
    fn blocks_as_recorded(&self, at: &str, here: &str) -> String {
        if at != "physical_address" {
            return here.to_owned();
        }
        ["src", "dst"].iter().fold(here.to_owned(), |text, server| {
            text.replace(self.blocks(server).to_str().unwrap(), &format!("/lakefs/{server}/blocks"))
        })
    }
}

fn is_date(field: &str) -> bool {
    matches!(field, "creation_date" | "mtime" | "token_expiration")
}

fn authorized(request: reqwest::RequestBuilder, credentials: Option<&str>, now: u64) -> reqwest::RequestBuilder {
    match credentials {
        None => request,
        Some("ok") => request.basic_auth(sandbox::EXAMPLE_ACCESS_KEY_ID, Some(sandbox::EXAMPLE_SECRET_ACCESS_KEY)),
        Some("wrong") => request.basic_auth("AKIAIOSFODNN7EXAMPLE", Some("wrong")),
        Some(bearer) => request.bearer_auth(token(bearer.strip_prefix("bearer jwt ").unwrap(), now)),
    }
}

/// The tokens that the recording names, as its `README.md` describes them.
fn token(kind: &str, now: u64) -> String {
    let mut claims = json!({"iss": "auth", "aud": "login", "sub": "admin", "exp": now + 600, "iat": now, "jti": "1"});
    let mut algorithm = "HS256";
    let mut key = sandbox::EXAMPLE_SECRET_KEY;
    match kind {
        "ok" => {}
        "expired" => claims["exp"] = json!(now - 600),
        "noexp" => drop(claims.as_object_mut().unwrap().remove("exp")),
        "noaud" => drop(claims.as_object_mut().unwrap().remove("aud")),
        "otheraud" => claims["aud"] = json!("other"),
        "arr" => claims["aud"] = json!(["login"]),
        "nobody" => claims["sub"] = json!("nobody"),
        "iss" => claims["iss"] = json!("somebody"),
        "nbf" => claims["nbf"] = json!(now + 300),
        "other key" => key = "another key",
        "none" => algorithm = "none",
        "hs512" => algorithm = "HS512",
        other => panic!("unknown token {other}"),
    }
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": algorithm, "typ": "JWT"})), part(claims));
    let signature = match algorithm {
        "none" => Vec::new(),
        "HS512" => Hmac::<Sha512>::new_from_slice(key.as_bytes())
            .unwrap()
            .chain_update(&signed)
            .finalize()
            .into_bytes()
            .to_vec(),
        _ => Hmac::<Sha256>::new_from_slice(key.as_bytes())
            .unwrap()
            .chain_update(&signed)
            .finalize()
            .into_bytes()
            .to_vec(),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Copies one file, or all files below a directory (`directory/*`).
fn copy(from: &Path, to: &Path, pattern: &str) -> Result<(), String> {
    let copy = |relative: &Path| {
        let target = to.join(relative);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(from.join(relative), target).map(drop).map_err(|error| format!("{relative:?}: {error}"))
    };
    let Some(folder) = pattern.strip_suffix("/*") else { return copy(Path::new(pattern)) };
    let mut folders = vec![from.join(folder)];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => copy(path.strip_prefix(from).unwrap())?,
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn tape_of_a_real_server_gets_the_same_responses() {
    let dir = tempfile::tempdir().unwrap();
    let mut player = Player::new(dir.path()).await;
    let tape = include_str!("../data/lakefs/api-tape.jsonl");
    let mut wrong = Vec::new();
    for (number, line) in tape.lines().enumerate() {
        let step: Value = serde_json::from_str(line).unwrap();
        if let Err(error) = player.play(&step).await {
            wrong.push(format!("line {}, {}: {error}", number + 1, step["name"]));
        }
    }
    assert!(wrong.is_empty(), "{} of the tape's steps differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(tape.lines().count(), 194);
}
