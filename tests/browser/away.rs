//! Redis is away, or trunkd itself: pages say so, show the last known state with its age, and lose nothing that
//! was typed.

use trunkd::access::Role;

use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::{Binding, FORBIDDEN, FakeSwitch};
use crate::support::redis::Data;
use crate::visit::{APPLY, Fleet, PASSWORD};

const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#;
const SECRET: &str = "s3cret-of-the-trunk";
const AWAY: &str = "Redis can't be reached";

fn without_javascript() -> Person {
    Person {
        javascript: false,
        ..Person::default()
    }
}

/// A fleet with a trunk that is registered.
async fn registered() -> Fleet {
    let fleet = Fleet::durable().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    fleet
        .other
        .wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED")
        .await;
    fleet
}

/// Waits until the banner is gone.
async fn recovered(browser: &Browser) {
    let has_banner = |text: &String| ["as of ", AWAY, "still here"].iter().any(|said| text.contains(said));
    let is_there = |text: &String| !text.is_empty() && !has_banner(text);
    eventually("the banner goes by itself", || browser.text(), is_there).await;
}

async fn hidden(browser: &Browser, css: &str) -> bool {
    let script = format!("return document.querySelector({css:?})?.offsetParent == null");
    browser.script(&script).await == true
}

async fn fill_account(browser: &Browser) {
    browser.open("/gateways/new?preset=account").await;
    for (label, value) in [
        ("Name", "carrier2"),
        ("Host (realm)", "sip.two.example"),
        ("User (username)", "1002"),
        ("Password (password)", SECRET),
    ] {
        browser.fill(label, value).await;
    }
}

/// The value of a secret in Redis.
async fn password(fleet: &Fleet) -> String {
    let other = Other::new(&fleet.redis).await;
    let stored = other.field("cti_gateway@acme", "carrier2").await.unwrap();
    stored["param"]["password"].as_str().unwrap().to_owned()
}

/// The carrier refuses a wrong password from now on, and the page that was open before says so.
async fn sees_a_refusal(browser: &Browser, switch: &FakeSwitch, other: &Other) {
    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let refused = ACCOUNT.replace("\"p\"", "\"wrong\"");
    other.set_gateway("acme", "carrier1", &refused).await;
    browser.wait_for_text("403 Forbidden").await;
    assert_eq!(
        browser.script("return window.same").await,
        true,
        "it was not loaded again"
    );
}

#[tokio::test]
async fn an_open_list_says_that_redis_is_away_and_is_true_again_when_it_is_back() {
    let mut fleet = registered().await;
    let browser = fleet.admin().await;
    browser.wait_for_text("Up").await;
    assert!(hidden(&browser, "#connection").await && hidden(&browser, ".last-known").await);
    browser.script("window.same = true").await;
    fleet.redis.kill();
    browser.wait_for_text(AWAY).await;
    let shown = browser.text().await;
    assert!(shown.contains("the state as of ") && shown.contains("ago)"), "{shown}");
    assert!(shown.contains("Up") && shown.contains("last known"), "{shown}");
    fleet.redis.restart(Data::Kept).await;
    recovered(&browser).await;
    assert!(hidden(&browser, ".last-known").await);
    let other = Other::new(&fleet.redis).await;
    sees_a_refusal(&browser, &fleet.switch, &other).await;
    // The console has what could not be loaded.
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn pages_that_are_opened_while_redis_is_away_show_the_last_known_state_with_its_age() {
    let mut fleet = registered().await;
    let browser = fleet.admin().await;
    browser.wait_for_text("Up").await;
    fleet.redis.kill();
    for (page, states) in [
        ("/gateways", ["carrier1", "Up"]),
        ("/domains/acme/gateways/carrier1", ["REGED", "The history is in Redis"]),
        ("/carriers", ["sip.example.net", "1 gateway"]),
        ("/switches", ["fs1", "Connected"]),
    ] {
        browser.open(page).await;
        let shown = browser.text().await;
        for text in [AWAY, "the state as of ", "ago)", "last known"]
            .into_iter()
            .chain(states)
        {
            assert!(shown.contains(text), "{page} has no {text:?}:\n{shown}");
        }
    }
    for page in ["/users", "/plan", "/history"] {
        browser.open(page).await;
        browser.wait_for_text("trunkd reads this from Redis").await;
        assert!(browser.text().await.contains("alice"), "it is still alice's");
    }
    fleet.redis.restart(Data::Kept).await;
    browser.wait_for_text("Signed in").await;
    recovered(&browser).await;
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn without_javascript_the_last_known_state_is_shown_too_and_in_chinese() {
    let mut fleet = registered().await;
    let person = Person {
        language: "zh-CN,zh",
        ..without_javascript()
    };
    let browser = fleet.signed_in("li", Role::Viewer, &person).await;
    browser.wait_for_text("carrier1").await;
    fleet.redis.kill();
    browser.open("/gateways").await;
    let shown = browser.text().await;
    for text in ["无法连接 Redis", "carrier1", "正常", "最后已知", "前)"] {
        assert!(shown.contains(text), "no {text}:\n{shown}");
    }
    browser.open("/history").await;
    browser.wait_for_text("此页内容保存在 Redis 中").await;
    browser.errors().await;
    browser.close().await;
}

/// Redis is back: the form that was filled in is saved, with the password that was typed.
async fn saves_what_was_typed(fleet: &Fleet, browser: &Browser) {
    browser.click("Check and continue").await;
    browser.wait_for_text("Save carrier2?").await;
    browser.click("Save").await;
    browser
        .wait_for_path("/domains/acme/gateways/carrier2?done=saved")
        .await;
    assert_eq!(password(fleet).await, SECRET);
    browser.errors().await;
}

#[tokio::test]
async fn a_form_that_is_filled_in_stays_and_is_saved_when_redis_is_back() {
    let mut fleet = registered().await;
    let browser = fleet.admin().await;
    fill_account(&browser).await;
    fleet.redis.kill();
    browser.click("Check and continue").await;
    browser.wait_for_text("What you typed is still here").await;
    fleet.redis.restart(Data::Kept).await;
    recovered(&browser).await;
    saves_what_was_typed(&fleet, &browser).await;
    browser.close().await;
}

#[tokio::test]
async fn without_javascript_a_form_comes_back_with_everything_and_is_saved_when_redis_is_back() {
    let mut fleet = registered().await;
    let browser = fleet.signed_in("alice", Role::Operator, &without_javascript()).await;
    fill_account(&browser).await;
    fleet.redis.kill();
    browser.click("Check and continue").await;
    browser.wait_for_text("Nothing was saved").await;
    browser.wait_for_text("What you typed is kept, encrypted").await;
    assert!(
        !browser.client.source().await.unwrap().contains(SECRET),
        "a page holds it"
    );
    let name = browser.labelled("Name").await.prop("value").await.unwrap();
    assert_eq!(name.as_deref(), Some("carrier2"));
    fleet.redis.restart(Data::Kept).await;
    saves_what_was_typed(&fleet, &browser).await;
    browser.close().await;
}

#[tokio::test]
async fn any_other_form_can_be_sent_again_when_redis_is_back() {
    let mut fleet = registered().await;
    let browser = fleet.admin().await;
    browser.open("/users").await;
    browser.fill("User name", "bob").await;
    browser
        .fill("Password of the user, at least 8 characters", PASSWORD)
        .await;
    fleet.redis.kill();
    browser.click("Add the user").await;
    browser.wait_for_text("What you sent is kept here").await;
    assert!(
        !browser.client.source().await.unwrap().contains(PASSWORD),
        "a page holds it"
    );
    fleet.redis.restart(Data::Kept).await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Send it again").await;
    browser.wait_for_path("/users").await;
    browser.wait_for_text("Remove bob").await;
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn a_page_that_lost_trunkd_says_how_old_it_is_and_recovers_by_itself() {
    let fleet = registered().await;
    let browser = fleet.admin().await;
    browser.wait_for_text("Up").await;
    browser.script("window.same = true").await;
    let Fleet {
        redis,
        switch,
        app,
        other,
    } = fleet;
    let address = app.api_address.unwrap();
    let folder = app.stop().await;
    browser
        .wait_for_text("No connection to trunkd. This is the state as of ")
        .await;
    browser.wait_for_text("ago)").await;
    browser.wait_for_text("last known").await;
    let api = format!("[api]\nenabled = true\nlisten = \"{address}\"\n");
    let toml = format!("{}\n{api}{APPLY}", switch_toml(&switch, "fs1"));
    let app = TestApp::start_in(&redis, &toml, quick(), folder).await;
    recovered(&browser).await;
    switch.set_binding(Some(Binding::new(app.xml_curl_url())));
    sees_a_refusal(&browser, &switch, &other).await;
    browser.errors().await;
    browser.close().await;
}
