//! What people and programs get while Redis is away.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::api::{API, Answer, Client, base, send};
use crate::support::app::{Other, TestApp, eventually, http};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::{Data, RedisServer};

const GATEWAY: &str = "/domains/acme/gateways/carrier1";
const PASSWORD: &str = "correct horse";
const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";

/// A trunkd with a trunk that is registered, and an admin.
struct Fleet {
    redis: RedisServer,
    _switch: FakeSwitch,
    app: TestApp,
    admin: Client,
}

/// A browser in which somebody has signed in.
struct Session {
    base: String,
    cookie: String,
}

impl Fleet {
    async fn start() -> Self {
        let (redis, switch) = (RedisServer::start_with_aof().await, FakeSwitch::builder().start().await);
        let other = Other::new(&redis).await;
        let value = json!({"param": {"realm": "sip.example.net", "username": "u", "password": "p"}});
        other.set_gateway("acme", "carrier1", &value.to_string()).await;
        let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
        let admin = Client::admin(&redis, &app).await;
        other.wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED").await;
        Self {
            redis,
            _switch: switch,
            app,
            admin,
        }
    }

    async fn session(&self, name: &str) -> Session {
        let user = json!({"name": name, "role": "admin", "domains": "*", "password": PASSWORD});
        self.admin.post("/users", &user).await.expect(201);
        let credentials = json!({"name": name, "password": PASSWORD}).to_string();
        let session = format!("{}/session", base(&self.app));
        let signed_in = send(http().post(session).body(credentials)).await.expect(200);
        let cookie = signed_in.headers["set-cookie"].to_str().unwrap();
        Session {
            base: base(&self.app),
            cookie: cookie.split(';').next().unwrap().to_owned(),
        }
    }

    fn page(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.api_address.unwrap())
    }
}

impl Session {
    fn with(&self, request: RequestBuilder) -> RequestBuilder {
        let request = request.header("Cookie", &self.cookie);
        request.header("Sec-Fetch-Site", "same-origin")
    }

    async fn get(&self, path: &str) -> Answer {
        send(self.with(http().get(format!("{}{path}", self.base)))).await
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = http().request(method, format!("{}{path}", self.base));
        send(self.with(request).body(body.to_string())).await
    }
}

#[tokio::test]
async fn who_was_signed_in_a_moment_ago_reads_the_last_known_state_and_writes_nothing() {
    let mut fleet = Fleet::start().await;
    let alice = fleet.session("alice").await;
    let before = alice.get("/gateways").await.expect(200).body;
    assert_eq!(
        (&before["items"][0]["state"], &before["stale_since"]),
        (&json!("up"), &Value::Null)
    );
    alice.get("/switches").await.expect(200);
    fleet.redis.kill();

    let list = alice.get("/gateways").await.expect(200).body;
    assert_eq!(list["items"], before["items"]);
    let gateway = alice.get(GATEWAY).await.expect(200).body;
    assert_eq!(gateway["switches"], before["items"][0]["switches"]);
    let switches = alice.get("/switches").await.expect(200).body;
    let fs1 = &switches["items"][0];
    assert_eq!(
        (&fs1["connected"], &fs1["watched"], &fs1["mode"]),
        (&json!(true), &json!(true), &json!("apply"))
    );
    let domains = alice.get("/domains").await.expect(200).body;
    for answer in [&list, &gateway, &switches, &domains] {
        let since = answer["stale_since"].as_str().unwrap();
        since.parse::<jiff::Timestamp>().unwrap();
    }
    let status = alice.get("/status").await.expect(200).body;
    assert!(status["redis_down"]["reason"].is_string(), "{status}");

    let patch = json!({"description": "x"});
    let refused = alice.send(Method::PATCH, GATEWAY, &patch).await.expect(503);
    assert_eq!(refused.reason(), "redis_unavailable");
    let revealed = alice
        .send(
            Method::POST,
            &format!("{GATEWAY}/reveal"),
            &json!({"secret": "param.password"}),
        )
        .await;
    assert_eq!(revealed.expect(503).reason(), "redis_unavailable");
    alice.get("/history").await.expect(503);
    // A program shows its token each time, and waits.
    assert_eq!(
        fleet.admin.get("/gateways").await.expect(503).reason(),
        "redis_unavailable"
    );

    fleet.redis.restart(Data::Kept).await;
    let fresh = || async { alice.get("/gateways").await.body["stale_since"].clone() };
    eventually("it is fresh again", fresh, Value::is_null).await;
    let patched = || async { alice.send(Method::PATCH, GATEWAY, &patch).await.status };
    eventually("it can be written again", patched, |status| *status == 200).await;
}

#[tokio::test]
async fn who_signed_out_or_got_another_password_reads_nothing_while_redis_is_away() {
    let mut fleet = Fleet::start().await;
    let (alice, bob, carol) = (
        fleet.session("alice").await,
        fleet.session("bob").await,
        fleet.session("carol").await,
    );
    for session in [&alice, &bob, &carol] {
        session.get("/gateways").await.expect(200);
    }
    let password = json!({"new": "another horse"});
    alice
        .send(Method::PUT, "/users/bob/password", &password)
        .await
        .expect(204);
    fleet.redis.kill();
    alice.get("/gateways").await.expect(200);
    bob.get("/gateways").await.expect(503);
    let sign_out = carol.with(http_without_redirect().post(fleet.page("/sign-out")));
    let signed_out = sign_out.send().await.unwrap();
    assert_eq!(signed_out.status(), 303);
    assert!(
        signed_out.headers()["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=0")
    );
    carol.get("/gateways").await.expect(503);
    let stranger = Session {
        base: base(&fleet.app),
        cookie: format!("{}x", alice.cookie),
    };
    stranger.get("/gateways").await.expect(503);
}

#[tokio::test]
async fn listeners_hear_that_redis_is_away_and_back() {
    let mut fleet = Fleet::start().await;
    let mut events = fleet.admin.events("", None).await;
    // From now on they are followed.
    fleet
        .admin
        .patch(GATEWAY, &json!({"description": "x"}))
        .await
        .expect(200);
    events.until(|event| event.kind == "history").await;
    fleet.redis.kill();
    let is = |connected: bool| {
        move |event: &crate::support::api::SentEvent| event.kind == "redis" && event.data["connected"] == connected
    };
    events.until(is(false)).await;
    fleet.redis.restart(Data::Kept).await;
    events.until(is(true)).await;
}

#[tokio::test]
async fn a_form_from_another_site_gets_a_page_in_the_language_of_the_person() {
    let fleet = Fleet::start().await;
    for path in ["/sign-in", "/setup", "/language", "/sign-out"] {
        let sent = http()
            .post(fleet.page(path))
            .header("Origin", "http://evil.example.net")
            .header("Accept-Language", "zh-CN")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("name=alice&password=x&code=x&language=en");
        let answer = sent.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{path}");
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let page = answer.text().await.unwrap();
        assert!(kind.starts_with("text/html"), "{path} answers {kind}");
        assert!(page.contains("此请求并非来自 trunkd 的页面"), "{page}");
    }
}

fn http_without_redirect() -> reqwest::Client {
    let builder = crate::support::app::http_builder().redirect(reqwest::redirect::Policy::none());
    builder.build().unwrap()
}
