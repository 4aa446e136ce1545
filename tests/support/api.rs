//! A program that calls the API.

use std::path::Path;

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::Value;
use trunkd::access::{Access, Identity, NewToken, Role};
use trunkd::operate::sources;

use super::app::{Reached, TestApp, http, settings};

/// Settings of a trunkd with the API on a free port.
pub const API: &str = "[api]\nenabled = true\n";

/// With a token of its own.
#[derive(Clone)]
pub struct Client {
    base: String,
    token: String,
}

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Client {
    /// A token of this role for these domains (`*`, or `a,b`), and the API of this trunkd.
    pub async fn new(redis: &(impl Reached + ?Sized), app: &TestApp, role: Role, domains: &str) -> Self {
        Self::named(
            redis,
            app,
            &format!("{role}-of-{}", domains.replace(['*', ','], "-")),
            role,
            domains,
        )
        .await
    }

    pub async fn named(redis: &(impl Reached + ?Sized), app: &TestApp, name: &str, role: Role, domains: &str) -> Self {
        let store = sources::store(&settings(redis, Path::new("unused"), "")).expect("a store");
        let new = NewToken {
            name: name.to_owned(),
            role,
            domains: domains.parse().expect("domains"),
            created_by: Identity::Cli("root@test".to_owned()),
            expires_at: None,
        };
        let (_, secret) = Access::new(store).create_token(new).await.expect("a token");
        Self {
            base: base(app),
            token: secret.expose_secret().to_owned(),
        }
    }

    pub async fn admin(redis: &(impl Reached + ?Sized), app: &TestApp) -> Self {
        Self::new(redis, app, Role::Admin, "*").await
    }

    /// The same caller at another trunkd.
    pub fn at(&self, app: &TestApp) -> Self {
        Self {
            base: base(app),
            token: self.token.clone(),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        http()
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).body(body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).body(body.to_string())).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).body(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }
}

impl Answer {
    /// The same, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:#}", self.body);
        self
    }

    #[track_caller]
    pub fn reason(&self) -> &str {
        self.body["reason"]
            .as_str()
            .unwrap_or_else(|| panic!("a problem: {:#}", self.body))
    }
}

pub fn base(app: &TestApp) -> String {
    format!("http://{}/api/v1", app.api_address.expect("the API listens"))
}

pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.expect("a body");
    let etag = headers
        .get("etag")
        .map(|value| value.to_str().expect("text").to_owned());
    Answer {
        status,
        etag,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        headers,
    }
}

/// A client of live events.
pub struct Events {
    response: reqwest::Response,
    rest: String,
}

/// One event.
#[derive(Debug, Clone)]
pub struct SentEvent {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

impl Client {
    /// Opens a stream; `query` as in `?domain=acme`.
    pub async fn events(&self, query: &str, after: Option<&str>) -> Events {
        let mut request = self.request(Method::GET, &format!("/events{query}"));
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        let response = request.send().await.expect("a stream");
        assert_eq!(response.status().as_u16(), 200);
        let mut events = Events {
            response,
            rest: String::new(),
        };
        // It listens once the first bytes are there.
        events.fill().await;
        events
    }
}

impl Events {
    async fn fill(&mut self) {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(20), self.response.chunk());
        let chunk = chunk.await.expect("bytes within 20 s").expect("the stream goes on");
        let chunk = chunk.expect("the stream does not end");
        self.rest.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }

    /// The next event.
    pub async fn next(&mut self) -> SentEvent {
        loop {
            while let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.rest = rest;
                let field = |name: &str| {
                    let line = event
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.unwrap_or_default().to_owned()
                };
                if !field("event").is_empty() {
                    return SentEvent {
                        id: field("id"),
                        kind: field("event"),
                        data: serde_json::from_str(&field("data")).expect("JSON"),
                    };
                }
            }
            self.fill().await;
        }
    }

    /// Events up to the first that this holds for, which is the last.
    pub async fn until(&mut self, holds: impl Fn(&SentEvent) -> bool) -> Vec<SentEvent> {
        let mut seen = Vec::new();
        loop {
            let event = self.next().await;
            let is_last = holds(&event);
            seen.push(event);
            if is_last {
                return seen;
            }
        }
    }
}
