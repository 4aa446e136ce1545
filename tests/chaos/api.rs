//! Edits through the API, as a careful client makes them: it reads, writes with a condition, asks
//! another trunkd if one doesn't answer, and remembers that a lost answer may have been done.

use std::path::Path;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::sleep;
use trunkd::access::{Access, Domains, Identity, NewToken, Role};
use trunkd::operate::sources;

use crate::life::domain;
use crate::program::Addresses;
use crate::support::app::{http_builder, settings};
use crate::support::redis::RedisServer;

/// Who makes these edits.
pub(crate) const AUTHOR: &str = "token:chaos";
/// A request that has no answer by then has none at all: trunkd gives up far earlier.
const TIMEOUT: Duration = Duration::from_secs(20);
/// After an answer that can't be had.
const RETRY: Duration = Duration::from_millis(50);
const MAX_TRIES: usize = 4;

/// Through any trunkd that is alive.
pub(crate) struct Api {
    http: reqwest::Client,
    addresses: Addresses,
    token: String,
    random: StdRng,
}

/// What to do with a gateway.
#[derive(Debug, Clone)]
pub(crate) enum ApiEdit {
    Put(Value),
    Patch(Value),
    Delete,
    Copy(&'static str),
    Rename(&'static str),
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged, with the id of its entry in the history.
    Done(String),
    /// Nothing was written: somebody else was faster, there is no such gateway, or nobody could be asked.
    NotDone,
    /// It may have been done.
    Unknown,
}

/// What trunkd answered; `None` if nothing.
type Reply = Option<(u16, Option<String>, Value)>;

impl Api {
    pub(crate) fn new(addresses: Addresses, random: StdRng) -> Self {
        Self {
            http: http_builder().timeout(TIMEOUT).build().unwrap(),
            addresses,
            token: String::new(),
            random,
        }
    }

    /// Makes the token, which a Redis that lost its data no longer has.
    pub(crate) async fn make_token(&mut self, redis: &RedisServer) {
        let store = sources::store(&settings(redis, Path::new("unused"), "")).unwrap();
        let new = NewToken {
            name: AUTHOR.trim_start_matches("token:").to_owned(),
            role: Role::Operator,
            domains: Domains::All,
            created_by: Identity::Cli("root@chaos".to_owned()),
            expires_at: None,
        };
        let (_, secret) = Access::new(store).create_token(new).await.unwrap();
        self.token = secret.expose_secret().to_owned();
    }

    pub(crate) async fn edit(&mut self, name: &str, edit: &ApiEdit) -> Outcome {
        let Some(version) = self.version(name).await else {
            return Outcome::NotDone;
        };
        let condition = match (&version, edit) {
            (Some(etag), _) => ("If-Match", etag.as_str()),
            (None, ApiEdit::Put(_)) => ("If-None-Match", "*"),
            (None, _) => return Outcome::NotDone,
        };
        let path = path_of(name);
        let (method, path, body) = match edit {
            ApiEdit::Put(value) => (Method::PUT, path, value.clone()),
            ApiEdit::Patch(patch) => (Method::PATCH, path, patch.clone()),
            ApiEdit::Delete => (Method::DELETE, path, Value::Null),
            ApiEdit::Copy(to) => (Method::POST, format!("{path}/copy"), json!({"name": to})),
            ApiEdit::Rename(to) => (Method::POST, format!("{path}/rename"), json!({"name": to})),
        };
        let mut refused = Outcome::NotDone;
        for _ in 0..MAX_TRIES {
            match self.send(&method, &path, Some(condition), &body).await {
                Some((200 | 201, _, answer)) => {
                    let entry = answer["history"].as_str();
                    return entry.map_or(refused, |entry| Outcome::Done(entry.to_owned()));
                }
                // If the answer to an earlier try was lost, this may be because it was done.
                Some((404 | 409 | 412 | 422, ..)) => return refused,
                Some((503, ..)) | None => refused = Outcome::Unknown,
                Some((status, _, answer)) => panic!("{method} {path}: {status} {answer}"),
            }
            sleep(RETRY).await;
        }
        refused
    }

    /// The gateway's ETag, `None` if there is no such gateway. No answer: nobody could be asked.
    async fn version(&mut self, name: &str) -> Option<Option<String>> {
        for _ in 0..MAX_TRIES {
            match self.send(&Method::GET, &path_of(name), None, &Value::Null).await {
                Some((200, etag, _)) => return Some(etag),
                Some((404, ..)) => return Some(None),
                Some((503, ..)) | None => sleep(RETRY).await,
                Some((status, _, answer)) => panic!("GET {name}: {status} {answer}"),
            }
        }
        None
    }

    async fn send(&mut self, method: &Method, path: &str, header: Option<(&str, &str)>, body: &Value) -> Reply {
        let alive = self.addresses.apis();
        if alive.is_empty() {
            return None;
        }
        let address = alive[self.random.random_range(0..alive.len())];
        let mut request = self
            .http
            .request(method.clone(), format!("http://{address}/api/v1{path}"))
            .bearer_auth(&self.token);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let etag = response.headers().get("etag");
        let etag = etag.map(|etag| etag.to_str().unwrap().to_owned());
        let text = response.text().await.ok()?;
        Some((status, etag, serde_json::from_str(&text).ok()?))
    }
}

fn path_of(name: &str) -> String {
    format!("/domains/{}/gateways/{name}", domain(name))
}
