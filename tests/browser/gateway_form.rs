//! The form of a gateway, and its page.

use trunkd::access::Role;

use crate::support::app::eventually;
use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::FORBIDDEN;
use crate::visit::{Fleet, PASSWORD};

const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"},"own":{"kept":1.0}}"#;
const PAGE: &str = "/domains/acme/gateways/carrier1";
/// Nobody's password in these tests is this, so it may be in no page.
const SECRET: &str = "tr0ub4dor";

fn saved(name: &str) -> String {
    format!("/domains/default/gateways/{name}?done=saved")
}

async fn fill_account(browser: &Browser, name: &str) {
    browser.fill("Name", name).await;
    browser.fill("Host (realm)", "sip.example.net").await;
    browser.fill("User (username)", "1001").await;
    browser.fill("Password (password)", SECRET).await;
}

async fn save(browser: &Browser) {
    browser.click("Check and continue").await;
    browser.wait_for_text("What the switches will do").await;
    assert!(!source(browser).await.contains(SECRET), "a page holds the password");
    browser.click("Save").await;
}

async fn source(browser: &Browser) -> String {
    browser.client.source().await.unwrap()
}

/// Waits until nothing of the page moves any more.
async fn loaded(browser: &Browser) {
    let state = || browser.script("return document.readyState");
    eventually("the page is loaded", state, |state| state == "complete").await;
}

async fn value(browser: &Browser, label: &str) -> String {
    let field = browser.labelled(label).await;
    field.prop("value").await.unwrap().unwrap_or_default()
}

async fn stored(fleet: &Fleet, domain: &str, name: &str) -> serde_json::Value {
    let value = fleet.other.field(&format!("cti_gateway@{domain}"), name).await;
    value.expect("it is stored")
}

#[tokio::test]
async fn from_an_empty_store_to_the_first_registered_trunk() {
    let fleet = Fleet::start().await;
    let browser = Browser::start(&fleet.app).await;
    browser.open(&fleet.setup_link().await).await;
    browser.fill("Name", "alice").await;
    browser.fill("Password, at least 8 characters", PASSWORD).await;
    browser.click("Make the account").await;
    browser.wait_for_text("No trunks yet").await;
    browser.click("Add a trunk").await;
    browser.click("Account trunk").await;
    fill_account(&browser, "carrier1").await;
    browser.click("Check and continue").await;
    browser.wait_for_text("starts it.").await;
    browser.wait_for_text("changed (secret)").await;
    loaded(&browser).await;
    browser.click("Save").await;
    browser.wait_for_path(&saved("carrier1")).await;
    browser.wait_for_text("REGED").await;
    browser.wait_for_text("in effect.").await;
    let value = stored(&fleet, "default", "carrier1").await;
    let expected = serde_json::json!({"realm": "sip.example.net", "username": "1001", "password": SECRET});
    assert_eq!(value["param"], expected);
    browser.close().await;
}

#[tokio::test]
async fn a_wrong_password_shows_the_carriers_words_and_what_to_do() {
    let fleet = Fleet::start().await;
    fleet.switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let browser = fleet.admin().await;
    browser.open("/gateways/new?preset=account").await;
    fill_account(&browser, "carrier1").await;
    save(&browser).await;
    browser.wait_for_path(&saved("carrier1")).await;
    browser.wait_for_text("403 Forbidden").await;
    browser
        .wait_for_text("Check user, password and realm with the carrier")
        .await;
    browser.close().await;
}

#[tokio::test]
async fn without_javascript_a_trunk_is_added_and_its_findings_stand_at_their_fields() {
    let fleet = Fleet::start().await;
    let person = Person {
        javascript: false,
        ..Person::default()
    };
    let browser = fleet.signed_in("alice", Role::Operator, &person).await;
    browser.open("/gateways/new?preset=ims").await;
    browser.fill("Name", "ims 1").await;
    browser.fill("Host (realm)", "http://ims.example.net").await;
    browser.fill("Password (password)", SECRET).await;
    browser.click("Check and continue").await;
    browser.wait_for_text("FreeSWITCH would refuse this").await;
    assert_eq!(value(&browser, "Name").await, "ims 1");
    for label in ["Name", "User (username)"] {
        let field = browser.labelled(label).await;
        assert_eq!(
            field.attr("aria-invalid").await.unwrap().as_deref(),
            Some("true"),
            "{label}"
        );
    }
    assert!(!source(&browser).await.contains(SECRET), "a page holds the password");
    browser.wait_for_text("is kept, encrypted").await;
    browser.fill("Name", "ims1").await;
    browser.fill("Host (realm)", "ims.example.net").await;
    browser.fill("User (username)", "+15550100").await;
    browser
        .fill("Home domain in From (from-domain)", "ims.example.net")
        .await;
    browser
        .fill("SBC for registrations (register-proxy)", "192.0.2.9:5060")
        .await;
    browser.fill("SBC for calls (outbound-proxy)", "192.0.2.9:5060").await;
    save(&browser).await;
    browser.wait_for_path(&saved("ims1")).await;
    let value = stored(&fleet, "default", "ims1").await;
    assert_eq!(value["param"]["password"], SECRET, "it was typed once");
    assert_eq!(value["param"]["register-proxy"], "192.0.2.9:5060");
    // The console has the 422.
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn a_finding_appears_when_its_field_is_left() {
    let fleet = Fleet::start().await;
    let browser = fleet.admin().await;
    browser.open("/gateways/new?preset=account").await;
    browser.fill("Host (realm)", "http://sip.example.net").await;
    browser.labelled("User (username)").await.click().await.unwrap();
    browser.wait_for_text("is a URL").await;
    assert!(
        browser.all("#param_username[aria-invalid]").await.is_empty(),
        "not left yet"
    );
    browser.fill("Host (realm)", "sip.example.net").await;
    browser.find("#name").await.click().await.unwrap();
    browser.find("#param_username[aria-invalid='true']").await;
    browser.find("#param_realm-findings:empty").await;
    browser.fill("User (username)", "1001").await;
    browser.find("#name").await.click().await.unwrap();
    browser.find("#param_username:not([aria-invalid])").await;
    browser.close().await;
}

#[tokio::test]
async fn an_edit_shows_what_changes_and_keeps_what_trunkd_does_not_know() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let browser = fleet.admin().await;
    browser.open(PAGE).await;
    browser.click("Edit").await;
    assert_eq!(value(&browser, "Host (realm)").await, "sip.example.net");
    assert_eq!(value(&browser, "Password (password)").await, "", "never filled in");
    browser.fill("User (username)", "u2").await;
    browser.click("Check and continue").await;
    browser.wait_for_text("param.username").await;
    browser.wait_for_text("restarts it. New calls fail for about 4 s").await;
    loaded(&browser).await;
    browser.click("Save").await;
    browser.wait_for_path(&format!("{PAGE}?done=saved")).await;
    browser.wait_for_text("REGED").await;
    let value = stored(&fleet, "acme", "carrier1").await;
    let expected = serde_json::json!({
        "param": {"realm": "sip.example.net", "username": "u2", "password": "p"}, "own": {"kept": 1.0},
    });
    assert_eq!(value, expected);
    browser.close().await;
}

#[tokio::test]
async fn when_somebody_else_saved_first_both_versions_stand_side_by_side() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let browser = fleet.admin().await;
    browser.open(&format!("{PAGE}/edit")).await;
    browser.fill("User (username)", "mine").await;
    browser.fill("Password (password)", SECRET).await;
    let theirs = ACCOUNT.replace(r#""u""#, r#""theirs""#);
    fleet.other.set_gateway("acme", "carrier1", &theirs).await;
    browser.click("Check and continue").await;
    browser.wait_for_text("Somebody else saved first").await;
    let rows = browser.find("table.changes tbody").await.text().await.unwrap();
    assert!(rows.contains("theirs") && rows.contains("mine"), "{rows}");
    loaded(&browser).await;
    browser.click("Keep mine").await;
    browser.wait_for_path(&format!("{PAGE}?done=saved")).await;
    let value = stored(&fleet, "acme", "carrier1").await;
    assert_eq!(value["param"]["username"], "mine");
    assert_eq!(value["param"]["password"], SECRET);
    // The console has the 409.
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn a_session_that_ended_loses_nothing_of_a_form() {
    let fleet = Fleet::start().await;
    let browser = fleet.admin().await;
    browser.open("/gateways/new?preset=account").await;
    fill_account(&browser, "carrier1").await;
    browser.client.delete_cookie("trunkd_session").await.unwrap();
    browser.click("Check and continue").await;
    browser.wait_for_text("Your session has ended").await;
    assert_eq!(value(&browser, "Name").await, "carrier1");
    assert_eq!(
        value(&browser, "Password (password)").await,
        SECRET,
        "the page was not left"
    );
    // The console has the 401.
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn a_session_that_ended_loses_nothing_without_javascript_either() {
    let fleet = Fleet::start().await;
    let person = Person {
        javascript: false,
        ..Person::default()
    };
    let browser = fleet.signed_in("alice", Role::Operator, &person).await;
    browser.open("/gateways/new?preset=account").await;
    fill_account(&browser, "carrier1").await;
    browser.client.delete_cookie("trunkd_session").await.unwrap();
    browser.click("Check and continue").await;
    browser
        .wait_for_text("A password that you typed must be typed again")
        .await;
    assert_eq!(value(&browser, "Name").await, "carrier1");
    assert_eq!(value(&browser, "User (username)").await, "1001");
    assert!(!source(&browser).await.contains(SECRET), "a page holds the password");
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn a_viewer_is_offered_nothing_and_refused_all_the_same() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let browser = fleet.signed_in("bob", Role::Viewer, &Person::default()).await;
    browser.open(PAGE).await;
    browser.wait_for_text("REGED").await;
    let offered = browser.all("main form, main a.button, main button").await;
    assert!(offered.is_empty(), "{} controls", offered.len());
    browser.open(&format!("{PAGE}/edit")).await;
    browser.wait_for_text("Not allowed").await;
    for path in [
        "/gateways/new",
        "/domains/acme/gateways/carrier1/edit",
        "/domains/acme/gateways/carrier1/restart",
    ] {
        let status = browser
            .script(&format!(
                "const x = new XMLHttpRequest(); x.open('POST', '{path}', false); \
                 x.setRequestHeader('Content-Type', 'application/x-www-form-urlencoded'); \
                 x.send('name=x&domain=acme&param.realm=evil.example&step=save'); return x.status"
            ))
            .await;
        assert_eq!(status, 403, "{path}");
    }
    assert_eq!(
        stored(&fleet, "acme", "carrier1").await["param"]["realm"],
        "sip.example.net"
    );
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_and_the_form_speak_chinese() {
    let fleet = Fleet::start().await;
    let person = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Admin, &person).await;
    browser.open("/gateways/new").await;
    browser.click("IP 对接型中继").await;
    browser.fill("名称", "trunk1").await;
    browser.fill("主机（realm）", "sip.example.net").await;
    browser.click("检查并继续").await;
    browser.wait_for_text("各交换机将执行的操作").await;
    loaded(&browser).await;
    browser.click("保存").await;
    browser.wait_for_path(&saved("trunk1")).await;
    browser.wait_for_text("NOREG").await;
    let value = stored(&fleet, "default", "trunk1").await;
    let expected = serde_json::json!({"realm": "sip.example.net", "ping": "25", "register": "false"});
    assert_eq!(value["param"], expected);
    browser.close().await;
}

#[tokio::test]
async fn a_gateway_is_copied_disabled_deleted_and_brought_back() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let browser = fleet.admin().await;
    browser.open(PAGE).await;
    browser.click("Copy").await;
    browser.fill("Name of the copy", "carrier2").await;
    browser.click("Make the copy").await;
    browser.wait_for_path("/domains/acme/gateways/carrier2?done=copy").await;
    browser.wait_for_text("Disabled").await;
    browser.open(PAGE).await;
    browser.click("Disable").await;
    browser.wait_for_text("stops it.").await;
    browser.click("Disable").await;
    browser.wait_for_path(&format!("{PAGE}?done=disable")).await;
    browser.wait_for_text("Disabled").await;
    browser.click_on(".timeline form button").await;
    browser.wait_for_text("starts it.").await;
    browser.click("Undo").await;
    browser.wait_for_path(&format!("{PAGE}?done=undo")).await;
    browser.wait_for_text("REGED").await;
    browser.click("Delete").await;
    browser.wait_for_text("To delete it, type its name:").await;
    browser.find("#typed").await.send_keys("carrier").await.unwrap();
    browser.click("Delete").await;
    browser.wait_for_text("Nothing was deleted").await;
    browser.find("#typed").await.send_keys("carrier1").await.unwrap();
    browser.click("Delete").await;
    browser.wait_for_path("/gateways").await;
    assert_eq!(fleet.other.field("cti_gateway@acme", "carrier1").await, None);
    browser.errors().await;
    browser.close().await;
}
