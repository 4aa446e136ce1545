//! The calls of a gateway, on its page and in the list.

use serde_json::json;
use trunkd::access::Role;

use crate::narrow::{TOO_WIDE, UNCLEAR};
use crate::support::app::eventually;
use crate::support::browser::{Browser, Person};
use crate::visit::Fleet;

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"},"profile":"external"}"#;
const PAGE: &str = "/domains/acme/gateways/trunk";
/// The rows of the table, cell by cell.
const TABLE: &str = r#"
    const rows = [...document.querySelectorAll("[data-live=calls] tbody tr")];
    return rows.map((row) => [...row.children].map((cell) => cell.textContent));
"#;

/// A gateway with one answered call and one that the carrier refused.
async fn fleet_with_calls() -> Fleet {
    let fleet = Fleet::counting_calls().await;
    fleet.other.set_gateway("acme", "trunk", IP_TRUNK).await;
    fleet.switch.wait_for_state("trunk", "NOREG").await;
    fleet
        .switch
        .wait_until("calls are counted", |view| view.listeners() == 2)
        .await;
    let call = fleet.switch.dial("trunk").unwrap();
    fleet.switch.pick_up(&call);
    fleet.switch.hang_up(call, "NORMAL_CLEARING");
    fleet.switch.refuse(fleet.switch.dial("trunk").unwrap(), 486);
    fleet
}

/// Opens the page again until the calls are counted.
async fn open_counted(browser: &Browser) {
    let opened = async || {
        browser.open(PAGE).await;
        browser.script(TABLE).await
    };
    eventually("the calls are counted", opened, |table| {
        table[0][3] == "1" && table[1][3] == "1"
    })
    .await;
}

#[tokio::test]
async fn a_gateway_shows_its_calls_why_they_fail_and_since_when_they_count() {
    let fleet = fleet_with_calls().await;
    let browser = fleet.signed_in("vera", Role::Viewer, &Person::default()).await;
    open_counted(&browser).await;
    let table = browser.script(TABLE).await;
    assert_eq!(table[0], json!(["Answered", "1", "1", "1"]));
    assert_eq!(table[1], json!(["Failed", "1", "1", "1"]));
    assert_eq!(table[2], json!(["ASR", "50 %", "50 %", "50 %"]));
    let text = browser.text().await;
    assert!(
        text.contains("Why calls failed in the last 24 h: USER_BUSY 1"),
        "{text}"
    );
    assert!(text.contains("Last failed call: USER_BUSY (486), "), "{text}");
    assert!(text.contains("Counted since 20"), "{text}");

    // No event tells of a call, and the page shows it.
    let call = fleet.switch.dial("trunk").unwrap();
    fleet.switch.pick_up(&call);
    fleet.switch.hang_up(call, "NORMAL_CLEARING");
    let shown = async || browser.script(TABLE).await;
    eventually("the third call is shown", shown, |table| table[0][3] == "2").await;

    browser.open("/gateways").await;
    let text = browser.text().await;
    assert!(text.contains("3 · 66.7 %"), "{text}");
    browser.close().await;
}

#[tokio::test]
async fn the_calls_of_a_gateway_fit_a_phone_in_chinese() {
    let fleet = fleet_with_calls().await;
    let person = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("vera", Role::Viewer, &person).await;
    browser.resize(360, 740).await;
    open_counted(&browser).await;
    assert_eq!(
        browser.script(TABLE).await[2],
        json!(["接通率（ASR）", "50 %", "50 %", "50 %"])
    );
    let text = browser.text().await;
    assert!(text.contains("最近一次失败的呼叫：USER_BUSY (486)"), "{text}");
    assert_eq!(browser.script(TOO_WIDE).await, json!([]));
    assert_eq!(browser.script(UNCLEAR).await, json!([]));
    browser.close().await;
}
