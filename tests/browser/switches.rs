//! The page with all switches.

use trunkd::access::Role;

use crate::support::browser::Person;
use crate::visit::Fleet;

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#;

#[tokio::test]
async fn an_admin_sees_each_switch_and_pauses_and_resumes_it() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let browser = fleet.admin().await;
    browser.click("Switches").await;
    browser.wait_for_text("fs1").await;
    browser.wait_for_text("Connected since").await;
    browser.wait_for_text("apply: changes are made at once").await;
    browser.click("Pause changes").await;
    browser.wait_for_text("Paused: nothing is changed on it.").await;
    fleet.other.set_gateway("acme", "trunk", IP_TRUNK).await;
    browser.wait_for_text("Missing").await;
    browser.click("Resume changes").await;
    browser.wait_for_text("Pause changes").await;
    fleet.switch.wait_for_state("trunk", "NOREG").await;
    browser.click("Up 1").await;
    browser.wait_for_path("/gateways?state=up&switch=fs1").await;
    browser.wait_for_text("1 gateway").await;
    browser.close().await;
}

#[tokio::test]
async fn a_viewer_sees_what_is_wrong_with_a_switch_and_may_not_pause_it() {
    let fleet = Fleet::start().await;
    let theirs = r#"<gateway name="theirs"><param name="realm" value="a.example.net"/><param name="register" value="false"/></gateway>"#;
    fleet.switch.add_gateways("external", theirs);
    fleet.other.set_gateway("acme", "theirs", IP_TRUNK).await;
    let chinese = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Viewer, &chinese).await;
    browser.open("/switches").await;
    browser.wait_for_text("已连接").await;
    browser.wait_for_text("theirs").await;
    assert!(!browser.text().await.contains("暂停变更"));
    browser.close().await;
}
