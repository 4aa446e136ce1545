//! The page with all carriers.

use serde_json::json;
use trunkd::access::Role;

use crate::narrow::{TOO_WIDE, UNCLEAR};
use crate::support::browser::Person;
use crate::support::fake_switch::FORBIDDEN;
use crate::visit::Fleet;

const PAGE: &str = "/carriers";

fn account(realm: &str) -> String {
    let params = json!({"realm": realm, "username": "u", "password": "p", "retry-seconds": "1"});
    json!({ "param": params }).to_string()
}

/// `carrier1` is up at one carrier, and `refused` is refused by another one.
async fn fleet() -> Fleet {
    let fleet = Fleet::counting_calls().await;
    fleet.switch.registrar(|registrar| registrar.set("refused", FORBIDDEN));
    fleet
        .other
        .set_gateway("acme", "carrier1", &account("sip.example.net"))
        .await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    fleet
}

#[tokio::test]
async fn each_carrier_has_a_row_that_changes_by_itself_and_leads_to_its_gateways() {
    let fleet = fleet().await;
    let browser = fleet.signed_in("vera", Role::Viewer, &Person::default()).await;
    browser.click("Carriers").await;
    browser.wait_for_path(PAGE).await;
    browser.wait_for_text("sip.example.net").await;
    browser.wait_for_text("1 gateway").await;
    fleet
        .other
        .set_gateway("acme", "refused", &account("sip.example.org"))
        .await;
    browser.wait_for_text("sip.example.org").await;
    browser.wait_for_text("Parked").await;
    browser.wait_for_text("403 × 5").await;
    browser.click("sip.example.org").await;
    browser.wait_for_path("/gateways?carrier=sip.example.org").await;
    browser.wait_for_text("1 gateway").await;
    browser.close().await;
}

#[tokio::test]
async fn the_page_is_chinese_and_fits_a_phone() {
    let fleet = fleet().await;
    let chinese = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Viewer, &chinese).await;
    browser.resize(360, 740).await;
    browser.open(PAGE).await;
    browser.wait_for_text("共 1 个网关").await;
    assert_eq!(browser.script(TOO_WIDE).await, json!([]));
    assert_eq!(browser.script(UNCLEAR).await, json!([]));
    browser.close().await;
}
