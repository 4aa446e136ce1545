//! Webhooks: entries of the history arrive, in order, whatever happens to trunkd or to the receiver.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use trunkd::app::Timing;
use trunkd::webhooks;

use crate::support::api::{API, Client};
use crate::support::app::{TestApp, eventually, quick};
use crate::support::receiver::{NO_CONTENT, Posted, Receiver};
use crate::support::redis::{Certificates, RedisServer};

const PLACES: &str = "trunkd:webhooks";
const SECRET: &str = "a-shared-secret";

fn webhook(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("[[webhook]]\nname = {name:?}\nurl = {:?}\n{more}\n", receiver.url)
}

/// The last entry that the webhook is done with.
async fn place(redis: &RedisServer, name: &str) -> Option<String> {
    let mut connection = redis.connection().await;
    let mut get = redis::cmd("HGET");
    get.arg(PLACES)
        .arg(name)
        .query_async(&mut connection)
        .await
        .expect("HGET")
}

/// Waits until the webhook has begun: what is recorded from now on is news.
async fn begun(redis: &RedisServer, name: &str) {
    eventually("the webhook has a place", || place(redis, name), Option::is_some).await;
}

async fn done(redis: &RedisServer, name: &str, id: &str) {
    eventually(
        "the webhook is done with the entry",
        || place(redis, name),
        |place| place.as_deref() == Some(id),
    )
    .await;
}

/// Records an entry as any version of trunkd would, and returns its id.
async fn record(redis: &RedisServer, kind: &str, domain: Option<&str>) -> String {
    let mut entry = json!({"id": "", "at": "2026-11-24T06:30:00Z", "who": "trunkd", "kind": kind});
    if let Some(domain) = domain {
        entry["domain"] = domain.into();
    }
    let mut connection = redis.connection().await;
    let mut add = redis::cmd("XADD");
    add.arg("trunkd:history").arg("*").arg("entry").arg(entry.to_string());
    add.query_async(&mut connection).await.expect("XADD")
}

async fn arrived(receiver: &Receiver, ids: &[String]) {
    eventually("the posts arrive", async || receiver.ids(), |posted| posted == ids).await;
}

fn is_signed_with(secret: &str, posted: &Posted) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{}.{}", posted.headers["x-trunkd-timestamp"], posted.body).as_bytes());
    let digest = mac.finalize().into_bytes();
    let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    posted.headers["x-trunkd-signature"] == format!("sha256={expected}")
}

async fn deliveries(app: &TestApp, name: &str, outcome: &str) -> f64 {
    let series = format!("trunkd_webhook_deliveries_total{{webhook=\"{name}\",outcome=\"{outcome}\"}}");
    app.metric(&series).await.unwrap_or_default()
}

#[tokio::test]
async fn an_edit_is_posted_once_by_two_trunkd_as_the_api_shows_it_and_signed() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    let toml = webhook(
        "once",
        &receiver,
        &format!("events = ['edit', 'switch_lost']\nsecret = '{SECRET}'"),
    );
    let first = TestApp::start(&redis, &format!("{API}{toml}")).await;
    let _second = TestApp::start(&redis, &toml).await;
    begun(&redis, "once").await;

    let client = Client::admin(&redis, &first).await;
    let gateway = json!({"param": {"realm": "sip.example.net", "username": "u", "password": "hunter2"}});
    client
        .put("/domains/acme/gateways/carrier1", &gateway)
        .await
        .expect(201);
    record(&redis, "pause", None).await;
    let last = record(&redis, "switch_lost", None).await;
    done(&redis, "once", &last).await;

    let posts = receiver.posts();
    let kinds: Vec<_> = posts
        .iter()
        .map(|post| post.headers["x-trunkd-event"].as_str())
        .collect();
    assert_eq!(kinds, ["edit", "switch_lost"]);
    let history = client.get("/history?kind=edit").await.expect(200);
    assert_eq!(posts[0].json(), history.body["items"][0]);
    assert_eq!(posts[0].id(), history.body["items"][0]["id"]);
    assert!(!posts[0].body.contains("hunter2"), "{}", posts[0].body);
    assert_eq!(posts[0].headers["content-type"], "application/json");
    assert_eq!(posts[1].id(), last);
    for posted in &posts {
        assert!(is_signed_with(SECRET, posted));
        assert!(!is_signed_with("another secret", posted));
    }
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed_and_domains_leave_the_others_out() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    let _app = TestApp::start(&redis, &webhook("acme", &receiver, "domains = ['acme']")).await;
    begun(&redis, "acme").await;
    record(&redis, "outage", Some("other")).await;
    record(&redis, "hold", None).await;
    let outage = record(&redis, "outage", Some("acme")).await;
    record(&redis, "edit", Some("acme")).await;
    let recovered = record(&redis, "recovered", Some("acme")).await;
    done(&redis, "acme", &recovered).await;
    assert_eq!(receiver.ids(), [outage, recovered]);
    let headers = &receiver.posts()[0].headers;
    assert!(headers.contains_key("x-trunkd-timestamp") && !headers.contains_key("x-trunkd-signature"));
}

#[tokio::test]
async fn a_receiver_that_fails_gets_the_entry_again_before_the_next_one() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    receiver.answer("500 Internal Server Error");
    let app = TestApp::start(&redis, &webhook("failing", &receiver, "")).await;
    begun(&redis, "failing").await;
    let first = record(&redis, "outage", None).await;
    let second = record(&redis, "recovered", None).await;
    let part = app
        .wait_for_reason("webhook:failing", &["500 Internal", "posted again"])
        .await;
    assert_eq!(part["state"], "degraded");
    assert!(!part.to_string().contains("/hook"), "the path may be a secret: {part}");
    eventually("it is tried again", async || receiver.ids(), |ids| ids.len() > 1).await;
    assert!(receiver.ids().iter().all(|id| *id == first), "in order");

    receiver.answer(NO_CONTENT);
    done(&redis, "failing", &second).await;
    let ids = receiver.ids();
    assert_eq!(ids.last(), Some(&second));
    assert_eq!(ids.iter().filter(|id| **id == second).count(), 1);
    assert_eq!(app.part("webhook:failing").await["state"], "ok");
    assert_eq!(deliveries(&app, "failing", "delivered").await, 2.0);
    assert_eq!(deliveries(&app, "failing", "failed").await, ids.len() as f64 - 2.0);
    assert_eq!(
        app.metric("trunkd_webhook_lag_seconds{webhook=\"failing\"}").await,
        Some(0.0)
    );
}

#[tokio::test]
async fn a_restart_continues_where_it_stopped_and_a_new_webhook_is_not_told_the_past() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    let toml = webhook("restart", &receiver, "");
    record(&redis, "outage", None).await;
    let app = TestApp::start(&redis, &toml).await;
    begun(&redis, "restart").await;
    let mut expected = vec![record(&redis, "outage", None).await];
    arrived(&receiver, &expected).await;
    done(&redis, "restart", &expected[0]).await;
    let folder = app.stop().await;

    expected.push(record(&redis, "recovered", None).await);
    record(&redis, "edit", None).await;
    let app = TestApp::start_in(&redis, &toml, quick(), folder).await;
    arrived(&receiver, &expected).await;

    // More than one batch waits for the next trunkd, which takes over.
    let next = TestApp::start(&redis, &toml).await;
    app.stop().await;
    for _ in 0..100 {
        expected.push(record(&redis, "outage", None).await);
    }
    arrived(&receiver, &expected).await;
    assert_eq!(next.part("webhook:restart").await["state"], "ok");
}

#[tokio::test]
async fn the_other_trunkd_says_who_posts() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    let toml = webhook("shared", &receiver, "");
    let _first = TestApp::start(&redis, &toml).await;
    begun(&redis, "shared").await;
    let second = TestApp::start(&redis, &toml).await;
    let part = second.wait_for_reason("webhook:shared", &["posts to it"]).await;
    assert_eq!(part["state"], "ok");
}

#[tokio::test]
async fn an_entry_that_is_never_taken_is_skipped_and_counted() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    let timing = Timing {
        webhooks: webhooks::Timing {
            give_up: Duration::from_millis(500),
            ..quick().webhooks
        },
        ..quick()
    };
    receiver.answer_by(|posted| match posted.headers["x-trunkd-event"].as_str() {
        "outage" => "400 Bad Request".to_owned(),
        _ => NO_CONTENT.to_owned(),
    });
    let app = TestApp::start_with(&redis, &webhook("poison", &receiver, ""), timing).await;
    begun(&redis, "poison").await;
    record(&redis, "outage", None).await;
    let last = record(&redis, "hold", None).await;
    done(&redis, "poison", &last).await;
    assert_eq!(receiver.ids().last(), Some(&last));
    assert!(receiver.posts().len() > 2, "it was tried again: {:?}", receiver.ids());
    assert_eq!(deliveries(&app, "poison", "given_up").await, 1.0);
    assert_eq!(deliveries(&app, "poison", "delivered").await, 1.0);
}

#[tokio::test]
async fn an_entry_of_days_ago_is_not_posted() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    let mut connection = redis.connection().await;
    for (id, kind) in [("1000-0", "outage"), ("2000-0", "recovered")] {
        let entry = json!({ "kind": kind }).to_string();
        let mut add = redis::cmd("XADD");
        add.arg("trunkd:history").arg(id).arg("entry").arg(entry);
        add.query_async::<()>(&mut connection).await.unwrap();
    }
    let mut set = redis::cmd("HSET");
    set.arg(PLACES).arg("late").arg("1000-0");
    set.query_async::<()>(&mut connection).await.unwrap();
    let app = TestApp::start(&redis, &webhook("late", &receiver, "")).await;
    let now = record(&redis, "hold", None).await;
    done(&redis, "late", &now).await;
    assert_eq!(receiver.ids(), [now]);
    assert_eq!(deliveries(&app, "late", "given_up").await, 1.0);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_neither_others_nor_the_end() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    // Connections are made, and nobody reads them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hung = format!(
        "[[webhook]]\nname = 'hung'\nurl = 'http://{}'\n",
        listener.local_addr().unwrap()
    );
    let app = TestApp::start(&redis, &(hung + &webhook("quick", &receiver, ""))).await;
    begun(&redis, "hung").await;
    begun(&redis, "quick").await;
    let ids = [record(&redis, "outage", None).await, record(&redis, "hold", None).await];
    arrived(&receiver, &ids).await;
    app.wait_for_reason("webhook:hung", &["does not answer in time"]).await;
    let lag = "trunkd_webhook_lag_seconds{webhook=\"hung\"}";
    assert!(app.metric(lag).await.unwrap() > 1.0);
    let begin = Instant::now();
    app.stop().await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_receiver_may_ask_for_time() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    receiver.answer("503 Service Unavailable\r\nRetry-After: 1");
    let _app = TestApp::start(&redis, &webhook("busy", &receiver, "")).await;
    begun(&redis, "busy").await;
    record(&redis, "outage", None).await;
    let posts = eventually("it is tried again", async || receiver.posts(), |posts| posts.len() > 1).await;
    let waited = posts[1].at - posts[0].at;
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let redis = RedisServer::start().await;
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    receiver.answer(&format!("307 Temporary Redirect\r\nLocation: {}", elsewhere.url));
    let app = TestApp::start(&redis, &webhook("moved", &receiver, "")).await;
    begun(&redis, "moved").await;
    record(&redis, "outage", None).await;
    app.wait_for_reason("webhook:moved", &["307", "redirects are not followed"])
        .await;
    assert!(elsewhere.posts().is_empty());
}

#[tokio::test]
async fn gone_stops_one_webhook_until_a_restart() {
    let redis = RedisServer::start().await;
    let (gone, other) = (Receiver::start().await, Receiver::start().await);
    gone.answer("410 Gone");
    let toml = format!("{}{}", webhook("gone", &gone, ""), webhook("other", &other, ""));
    let app = TestApp::start(&redis, &toml).await;
    begun(&redis, "gone").await;
    begun(&redis, "other").await;
    let first = record(&redis, "outage", None).await;
    app.wait_for_reason("webhook:gone", &["410 Gone", "until a restart"])
        .await;
    let second = record(&redis, "recovered", None).await;
    let both = [first.clone(), second];
    arrived(&other, &both).await;
    assert_eq!(app.part("webhook:gone").await["state"], "degraded");
    let folder = app.stop().await;
    assert_eq!(gone.ids(), std::slice::from_ref(&first), "nothing after the 410");

    gone.answer(NO_CONTENT);
    let _app = TestApp::start_in(&redis, &toml, quick(), folder).await;
    arrived(&gone, &[&[first][..], &both].concat()).await;
    assert_eq!(other.ids(), both);
}

#[tokio::test]
async fn tls_needs_an_authority_that_the_settings_trust() {
    let (redis, certificates) = (RedisServer::start().await, Certificates::new());
    let receiver = Receiver::with_tls(&certificates).await;
    let trusting = format!("ca = {:?}", certificates.path("ca.pem"));
    let toml = format!(
        "{}{}{}",
        webhook("trusting", &receiver, &trusting),
        webhook("wary", &receiver, ""),
        webhook("broken", &receiver, "ca = '/nowhere/ca.pem'"),
    );
    let app = TestApp::start(&redis, &toml).await;
    begun(&redis, "trusting").await;
    begun(&redis, "wary").await;
    let id = record(&redis, "outage", None).await;
    arrived(&receiver, &[id]).await;
    app.wait_for_reason("webhook:wary", &["certificate"]).await;
    app.wait_for_reason("webhook:broken", &["webhook.ca", "/nowhere/ca.pem"])
        .await;
}

#[tokio::test]
async fn what_happens_while_redis_hangs_is_posted_afterwards() {
    let (redis, receiver) = (RedisServer::start().await, Receiver::start().await);
    let app = TestApp::start(&redis, &webhook("away", &receiver, "")).await;
    begun(&redis, "away").await;
    let first = record(&redis, "outage", None).await;
    done(&redis, "away", &first).await;
    redis.sigstop();
    app.wait_for_reason("redis", &["did not answer"]).await;
    redis.sigcont();
    let second = record(&redis, "recovered", None).await;
    arrived(&receiver, &[first, second]).await;
}
