//! The page with all gateways.

use trunkd::access::Role;

use crate::support::browser::Person;
use crate::support::fake_switch::FORBIDDEN;
use crate::visit::Fleet;

const ACCOUNT: &str =
    r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"},"carrier":"example","tags":["berlin"]}"#;
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

#[tokio::test]
async fn states_change_in_place_as_the_switch_reports_them() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.other.set_gateway("acme", "trunk", IP_TRUNK).await;
    let browser = fleet.admin().await;
    browser.wait_for_text("Up").await;
    browser.script("window.same = true").await;
    fleet.switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let refused = ACCOUNT.replace("\"p\"", "\"wrong\"");
    fleet.other.set_gateway("acme", "carrier1", &refused).await;
    browser.wait_for_text("403 Forbidden").await;
    browser
        .wait_for_text("The carrier refused user and password, or this address.")
        .await;
    assert_eq!(
        browser.script("return window.same").await,
        true,
        "the page was not loaded again"
    );
    browser.close().await;
}

#[tokio::test]
async fn filters_and_the_order_are_in_the_address() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.other.set_gateway("globex", "trunk", IP_TRUNK).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let browser = fleet.signed_in("bob", Role::Viewer, &Person::default()).await;
    browser.wait_for_text("2 gateways").await;
    browser.fill("Search", "berlin").await;
    browser.find("form.filters button").await.click().await.unwrap();
    browser.wait_for_text("1 gateway").await;
    assert!(browser.path().await.contains("q=berlin"));
    browser.click("Show all").await;
    browser.wait_for_text("2 gateways").await;
    browser.click("Name").await;
    browser.wait_for_path("/gateways?sort=-name").await;
    let names = browser
        .script("return [...document.querySelectorAll('tbody th a')].map(a => a.textContent)")
        .await;
    assert_eq!(names, serde_json::json!(["trunk", "carrier1"]));
    browser.labelled("Domain").await.select_by_value("acme").await.unwrap();
    browser.wait_for_text("1 gateway").await;
    assert!(!browser.text().await.contains("Add a trunk"), "a viewer may not");
    browser.close().await;
}
