//! What the scripts ask.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use redis::AsyncCommands;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use trunkd::access::{Access, Role};
use trunkd::operate::sources;

use super::method_and_path;
use crate::support::api::{API, Answer, Client, base};
use crate::support::app::{Other, TestApp, eventually, http, settings};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::RedisServer;

/// Each script's client has an address of its own, so that failed sign-ins slow down nobody else.
const PROXY: &str = "behind_proxy = true\n";
const APPLY: &str = "[reconcile]\nmode = \"apply\"\n";
const CALLS: &str = "[calls]\nenabled = true\n";
/// A few more than are allowed without a wait.
const MOST_ATTEMPTS: usize = 20;
pub(super) const PASSWORD: &str = "a long password";

/// A trunkd with a switch (fs1), another one that changes no switch, and these gateways: in `acme` g1
/// (valid), `broken` (no object) and `invalid` (refused); in `globex` g1. The key of the domain
/// `string` is no hash.
pub(super) struct World {
    pub(super) redis: RedisServer,
    app: TestApp,
    off: TestApp,
    _switch: FakeSwitch,
    admin: Client,
    operator: Client,
    viewer: Client,
    addresses: AtomicU8,
}

/// A request and its answer.
pub(super) struct Sent {
    /// `GET /gateways?limit=1`.
    pub(super) call: String,
    pub(super) answer: Answer,
}

pub(super) fn trunk() -> Value {
    json!({"param": {"realm": "sip.example.net", "register": false}})
}

pub(super) fn account() -> Value {
    json!({"param": {"realm": "sip.example.net", "username": "u", "password": "p"}})
}

pub(super) fn refused() -> Value {
    json!({"param": {"realm": "sip.example.net"}})
}

impl World {
    pub(super) async fn start() -> Self {
        let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
        let other = Other::new(&redis).await;
        let gateways = [
            ("acme", "g1", account()),
            ("acme", "broken", json!([])),
            ("acme", "invalid", refused()),
            ("globex", "g1", trunk()),
        ];
        for (domain, name, value) in gateways {
            other.set_gateway(domain, name, &value.to_string()).await;
        }
        let mut connection = redis.connection().await;
        let _: () = connection.set("cti_gateway@string", "x").await.unwrap();
        let app = TestApp::with_switch(&redis, &switch, &format!("{API}{PROXY}{APPLY}{CALLS}")).await;
        let off = TestApp::start(&redis, API).await;
        Self {
            admin: Client::admin(&redis, &app).await,
            operator: Client::new(&redis, &app, Role::Operator, "acme").await,
            viewer: Client::new(&redis, &app, Role::Viewer, "acme").await,
            redis,
            app,
            off,
            _switch: switch,
            addresses: AtomicU8::new(1),
        }
    }

    /// Of all domains.
    pub(super) async fn admin(&self, call: &str, body: Value) -> Sent {
        self.ask(&self.admin, call, body).await
    }

    /// Of the domain acme.
    pub(super) async fn operator(&self, call: &str, body: Value) -> Sent {
        self.ask(&self.operator, call, body).await
    }

    /// Of the domain acme.
    pub(super) async fn viewer(&self, call: &str, body: Value) -> Sent {
        self.ask(&self.viewer, call, body).await
    }

    /// The admin, at a trunkd whose `reconcile.mode` is `off`.
    pub(super) async fn admin_of_off(&self, call: &str, body: Value) -> Sent {
        self.ask(&self.admin.at(&self.off), call, body).await
    }

    /// With a header more.
    pub(super) async fn admin_with(&self, call: &str, header: (&str, &str), body: Value) -> Sent {
        let (method, path) = method_and_path(call);
        let request = self.admin.request(method, path).header(header.0, header.1);
        sent(call, request, body).await
    }

    async fn ask(&self, client: &Client, call: &str, body: Value) -> Sent {
        let (method, path) = method_and_path(call);
        sent(call, client.request(method, path), body).await
    }

    /// Without a token, from an address of its own.
    pub(super) async fn nobody(&self, call: &str, body: Value) -> Sent {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed);
        self.nobody_from(&format!("192.0.2.{number}"), call, body).await
    }

    pub(super) async fn nobody_from(&self, address: &str, call: &str, body: Value) -> Sent {
        let (method, path) = method_and_path(call);
        let request = http().request(method, format!("{}{path}", base(&self.app)));
        sent(call, request.header("X-Forwarded-For", address), body).await
    }

    /// With a session of this user, from a page of trunkd or of somebody else.
    pub(super) async fn user(&self, name: &str, site: &str, call: &str, body: Value) -> Sent {
        let cookie = self.sign_in(name).await;
        self.with_cookie(&cookie, site, call, body).await
    }

    pub(super) async fn with_cookie(&self, cookie: &str, site: &str, call: &str, body: Value) -> Sent {
        let (method, path) = method_and_path(call);
        let request = http().request(method, format!("{}{path}", base(&self.app)));
        let request = request.header("Cookie", cookie).header("Sec-Fetch-Site", site);
        sent(call, request, body).await
    }

    /// The cookie of a new session.
    pub(super) async fn sign_in(&self, name: &str) -> String {
        let credentials = json!({"name": name, "password": PASSWORD});
        let signed_in = self.nobody("POST /session", credentials).await.answer.expect(200);
        let cookie = signed_in.headers["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Asks again and again until the answer is another one than 401.
    pub(super) async fn until_slowed_down(&self, ask: impl AsyncFn() -> Sent) -> Sent {
        for _ in 0..MOST_ATTEMPTS {
            let sent = ask().await;
            if sent.answer.status != 401 {
                return sent;
            }
        }
        panic!("{MOST_ATTEMPTS} failed attempts were not slowed down");
    }

    /// A gateway of acme that only this script knows.
    pub(super) async fn make(&self, name: &str) {
        let call = format!("PUT /domains/acme/gateways/{name}");
        self.admin(&call, account()).await.answer.expect(201);
    }

    /// A gateway of acme that runs on `fs1` alone; and `fs2`, to which somebody else seems to be connected.
    pub(super) async fn make_placed(&self, name: &str) {
        let fs2 = json!({"connected": true, "since": "", "core_uuid": "", "last_seen": jiff::Timestamp::now()});
        let mut connection = self.redis.connection().await;
        // Somebody has it in the settings for a minute more, so nobody forgets it.
        let named = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(1)).as_millisecond();
        let _: () = connection.hset("trunkd:ingest:fs2", "named", named).await.unwrap();
        let _: () = connection
            .hset("trunkd:switches", "fs2", fs2.to_string())
            .await
            .unwrap();
        let mut value = trunk();
        value["placement"] = "one".into();
        let gateway = format!("/domains/acme/gateways/{name}");
        self.admin(&format!("PUT {gateway}"), value).await.answer.expect(201);
        let place = format!("GET {gateway}/where");
        let place = || async { self.admin(&place, Value::Null).await.answer.expect(200).body["switch"].clone() };
        eventually("it is placed", place, |switch| switch == "fs1").await;
    }

    /// The entry of its last edit.
    pub(super) async fn last_edit(&self, name: &str) -> String {
        let call = format!("GET /domains/acme/gateways/{name}/history");
        let history = self.admin(&call, Value::Null).await.answer.expect(200);
        let mut entries = history.body["items"].as_array().unwrap().iter();
        let edit = entries.find(|entry| entry["kind"] == "edit").expect("an edit");
        edit["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn add_user(&self, name: &str, role: &str) {
        let user = json!({"name": name, "role": role, "password": PASSWORD});
        self.admin("POST /users", user).await.answer.expect(201);
    }

    /// While there is no user.
    pub(super) async fn setup_code(&self) -> String {
        let store = sources::store(&settings(&self.redis, Path::new("unused"), "")).unwrap();
        let code = Access::new(store).new_setup_code().await.unwrap();
        code.expect("there is no user yet").expose_secret().to_owned()
    }
}

async fn sent(call: &str, request: reqwest::RequestBuilder, body: Value) -> Sent {
    let request = match body {
        Value::Null => request,
        body => request.body(body.to_string()),
    };
    // The texts of what is answered are checked too.
    let request = request.header("Accept-Language", "zh");
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let is_stream = headers
        .get("content-type")
        .is_some_and(|kind| kind == "text/event-stream");
    let text = match is_stream {
        true => String::new(),
        false => response.text().await.expect("a body"),
    };
    let answer = Answer {
        status,
        etag: None,
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    };
    Sent {
        call: call.to_owned(),
        answer,
    }
}
