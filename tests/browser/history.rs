//! The page with what happened, and undo.

use trunkd::access::Role;

use crate::support::api::Client;
use crate::support::browser::Person;
use crate::visit::Fleet;

const FIRST: &str = r#"{"param":{"realm":"sip.example.net","register":"false","username":"u","password":"first"}}"#;
const GATEWAY: &str = "/domains/acme/gateways/carrier1";

/// A gateway that was edited once: its realm and its password.
async fn edited() -> (Fleet, Client) {
    let fleet = Fleet::start().await;
    let client = Client::named(&fleet.redis, &fleet.app, "ci", Role::Operator, "*").await;
    put(&client, FIRST).await;
    put(
        &client,
        &FIRST
            .replace("first", "second")
            .replace("sip.example.net", "b.example.net"),
    )
    .await;
    (fleet, client)
}

async fn put(client: &Client, value: &str) {
    let answer = client.put(GATEWAY, &serde_json::from_str(value).unwrap()).await;
    assert!([200, 201].contains(&answer.status), "{answer:?}");
}

#[tokio::test]
async fn an_operator_finds_an_edit_and_undoes_it() {
    let (fleet, _) = edited().await;
    let browser = fleet.signed_in("bob", Role::Operator, &Person::default()).await;
    browser.click("History").await;
    browser.wait_for_text("Changed the gateway").await;
    browser.wait_for_text("token ci").await;
    browser
        .wait_for_text("param.realm: sip.example.net → b.example.net")
        .await;
    browser.wait_for_text("param.password: changed (secret)").await;
    browser.labelled("Kind").await.select_by_value("edit").await.unwrap();
    browser
        .wait_for_path("/history?domain=&gateway=&who=&switch=&kind=edit&since=")
        .await;
    browser.click("Undo…").await;
    browser.wait_for_text("What undoing it changes").await;
    browser
        .wait_for_text("param.realm: b.example.net → sip.example.net")
        .await;
    browser.click("Undo the edit").await;
    browser.wait_for_path("/history").await;
    browser.wait_for_text("Undid an edit").await;
    let value = fleet.other.field("cti_gateway@acme", "carrier1").await.unwrap();
    assert_eq!(value["param"]["password"], "first");
    assert!(!browser.text().await.contains("second"), "no secret is in the page");
    browser.close().await;
}

#[tokio::test]
async fn an_edit_with_a_later_one_is_undone_only_after_both_are_seen_also_without_scripts() {
    let (fleet, client) = edited().await;
    let plain = Person {
        javascript: false,
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Operator, &plain).await;
    let filter = "/history?domain=acme&gateway=carrier1&kind=edit&since=1h";
    browser.open(filter).await;
    browser.wait_for_text("修改网关").await;
    let undo = browser.all("td a[href$='/undo']").await[0]
        .attr("href")
        .await
        .unwrap()
        .unwrap();
    put(&client, &FIRST.replace("sip.example.net", "c.example.net")).await;
    browser.open(&undo).await;
    browser.wait_for_text("该网关此后又被修改过").await;
    browser
        .wait_for_text("param.realm: b.example.net → c.example.net")
        .await;
    browser
        .wait_for_text("param.realm: c.example.net → sip.example.net")
        .await;
    // Chromium reports the status 409 of the page itself.
    browser.errors().await;
    browser.click("仍然撤销").await;
    browser.wait_for_path("/history").await;
    browser.wait_for_text("撤销了一次修改").await;
    let value = fleet.other.field("cti_gateway@acme", "carrier1").await.unwrap();
    assert_eq!(value["param"]["realm"], "sip.example.net");
    browser.close().await;
}

#[tokio::test]
async fn long_and_reversed_values_leave_a_phone_page_as_it_is() {
    let (fleet, client) = edited().await;
    let long = "x".repeat(3000);
    put(
        &client,
        &FIRST
            .replace("sip.example.net", "a.example.net")
            .replace("\"u\"", &format!("\"{long}\"")),
    )
    .await;
    put(&client, &FIRST.replace("\"u\"", "\"u\u{202e}v\"")).await;
    let phone = Person {
        width: 500,
        ..Person::default()
    };
    let browser = fleet.signed_in("bob", Role::Viewer, &phone).await;
    browser.open("/history?kind=edit").await;
    browser.wait_for_text("u\\u{202e}v").await;
    let is_wider = browser
        .script("return document.documentElement.scrollWidth > innerWidth")
        .await;
    assert_eq!(is_wider, false);
    browser.close().await;
}

#[tokio::test]
async fn a_viewer_reads_the_history_and_is_offered_no_undo() {
    let (fleet, _) = edited().await;
    let browser = fleet.signed_in("vera", Role::Viewer, &Person::default()).await;
    browser.open("/history?kind=edit").await;
    browser.wait_for_text("Changed the gateway").await;
    let text = browser.text().await;
    assert!(!text.contains("Undo") && !text.contains("Signed in"), "{text}");
    browser.close().await;
}
