//! What is wrong leads to what to do about it.

use trunkd::access::Role;

use crate::support::browser::{Browser, Person};
use crate::visit::Fleet;

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const THEIRS: &str = r#"<gateway name="theirs"><param name="realm" value="a.example.net"/><param name="register" value="false"/></gateway>"#;

#[tokio::test]
async fn everybody_reads_the_runbooks_also_while_nobody_can_sign_in() {
    let mut fleet = Fleet::start().await;
    fleet.redis.kill();
    let browser = Browser::of(&fleet.app, &Person::default()).await;
    browser.open("/runbooks#trunkdredisaway").await;
    let section = browser.find("#trunkdredisaway:target").await;
    assert_eq!(section.text().await.unwrap(), "TrunkdRedisAway");
    assert!(!browser.text().await.contains("Gateways\nSwitches"), "no navigation");
    browser.click("中文").await;
    browser.wait_for_text("处理手册").await;
    browser.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_switch_and_its_plan_leads_to_the_runbook() {
    let fleet = Fleet::start().await;
    fleet.switch.add_gateways("external", THEIRS);
    fleet.other.set_gateway("acme", "theirs", IP_TRUNK).await;
    let browser = fleet.signed_in("vera", Role::Viewer, &Person::default()).await;
    for page in ["/switches", "/plan", "/domains/acme/gateways/theirs"] {
        browser.open(page).await;
        browser.wait_for_text("What to do").await;
        browser.click("What to do").await;
        let section = browser.find("#trunkdconflict:target").await;
        assert_eq!(section.text().await.unwrap(), "TrunkdConflict", "{page}");
        assert!(browser.text().await.contains("Gateways"), "the navigation is there");
    }
    browser.close().await;
}
