//! The page with what would change on each switch.

use trunkd::access::Role;

use crate::support::app::eventually;
use crate::support::browser::Person;
use crate::visit::Fleet;

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

async fn with_trunks(names: &[&str]) -> Fleet {
    let fleet = Fleet::start().await;
    for name in names {
        fleet.other.set_gateway("acme", name, IP_TRUNK).await;
    }
    for name in names {
        fleet.switch.wait_for_state(name, "NOREG").await;
    }
    fleet
}

#[tokio::test]
async fn an_operator_releases_exactly_what_is_held() {
    let fleet = with_trunks(&["one", "two"]).await;
    let browser = fleet.signed_in("bob", Role::Operator, &Person::default()).await;
    browser.click("Plan").await;
    browser.wait_for_text("Nothing to do.").await;
    fleet.other.delete_gateway("acme", "one").await;
    fleet.other.delete_gateway("acme", "two").await;
    // It comes by itself.
    browser.wait_for_text("2 to kill").await;
    browser.wait_for_text("because every domain is gone from Redis").await;
    // What is served to other switches is held too, and that is part of the plan.
    let opened = || async {
        browser.open("/plan").await;
        browser.text().await
    };
    eventually("all of it is held", opened, |text| {
        text.contains("2 to kill") && text.contains("Switches that trunkd only serves")
    })
    .await;
    browser.click("Release exactly this").await;
    browser.wait_for_text("fs1: done").await;
    browser.wait_for_text("Nothing to do.").await;
    fleet.switch.wait_for_gone("one").await;
    fleet.switch.wait_for_gone("two").await;
    browser.close().await;
}

#[tokio::test]
async fn a_plan_that_changed_meanwhile_is_shown_again_also_without_scripts() {
    let fleet = with_trunks(&["one", "two"]).await;
    let plain = Person {
        javascript: false,
        ..Person::default()
    };
    let browser = fleet.signed_in("bob", Role::Operator, &plain).await;
    fleet.pause("fs1").await;
    let changed = IP_TRUNK.replace("sip.example.net", "b.example.net");
    fleet.other.set_gateway("acme", "one", &changed).await;
    let opened = || async {
        browser.open("/plan").await;
        browser.text().await
    };
    eventually("trunkd sees the edit", opened, |text| text.contains("1 to restart")).await;
    browser
        .wait_for_text("param.realm: sip.example.net → b.example.net")
        .await;
    browser
        .wait_for_text("Calls stay up; new ones fail for less than a second.")
        .await;
    browser.wait_for_text("The switch is paused").await;
    fleet.other.set_gateway("acme", "two", &changed).await;
    browser.click("Release exactly this").await;
    browser
        .wait_for_text("The plan changed meanwhile, so nothing was done.")
        .await;
    browser.wait_for_text("2 to restart").await;
    browser.click("Release exactly this").await;
    browser.wait_for_text("fs1: done").await;
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn a_viewer_reads_the_plan_and_may_not_release_it() {
    let fleet = with_trunks(&["one"]).await;
    fleet.pause("fs1").await;
    fleet.other.set_gateway("acme", "new", IP_TRUNK).await;
    let chinese = Person {
        language: "zh-CN,zh",
        width: 400,
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Viewer, &chinese).await;
    browser.open("/plan").await;
    browser.wait_for_text("启动 1 个").await;
    browser.wait_for_text("该交换机已暂停").await;
    assert!(!browser.text().await.contains("放行以上内容"));
    browser.close().await;
}

#[tokio::test]
async fn gateways_that_trunkd_did_not_start_are_taken_over() {
    let fleet = Fleet::start().await;
    let theirs = concat!(
        r#"<gateway name="theirs"><param name="realm" value="a.example.net"/>"#,
        r#"<param name="register" value="false"/></gateway>"#
    );
    fleet.switch.add_gateways("external", theirs);
    fleet.other.set_gateway("acme", "theirs", IP_TRUNK).await;
    let before = fleet.switch.view(|view| view.gateway("theirs").unwrap().instance);
    let browser = fleet.admin().await;
    browser.open("/plan").await;
    browser
        .wait_for_text("gateway theirs of domain acme is left alone")
        .await;
    assert!(!browser.text().await.contains("Release exactly this"));
    browser.click("See the plan that takes them over").await;
    browser.wait_for_text("1 to restart").await;
    browser.click("Release exactly this").await;
    browser.wait_for_text("fs1: done").await;
    let after = fleet.switch.view(|view| view.gateway("theirs").unwrap().instance);
    assert_ne!(after, before);
    browser.open("/plan").await;
    browser.wait_for_text("Nothing to do.").await;
    browser.close().await;
}

#[tokio::test]
async fn a_plan_of_more_changes_than_a_page_names_is_counted_and_carried_out_as_a_whole() {
    const ALL: usize = 230;
    let fleet = Fleet::start().await;
    fleet.pause("fs1").await;
    for number in 0..ALL {
        fleet
            .other
            .set_gateway("acme", &format!("t{number:03}"), IP_TRUNK)
            .await;
    }
    let browser = fleet.signed_in("bob", Role::Operator, &Person::default()).await;
    let opened = || async {
        browser.open("/plan").await;
        browser.text().await
    };
    eventually("trunkd sees all of them", opened, |text| text.contains("230 to start")).await;
    browser.wait_for_text("and 30 more").await;
    assert_eq!(browser.all("main tbody tr").await.len(), 200);
    browser.click("Release exactly this").await;
    // It takes longer than the answer waits for, and the page follows it.
    fleet
        .switch
        .wait_until("all are started", |view| view.gateways().len() == ALL)
        .await;
    browser.wait_for_text("Nothing to do.").await;
    browser.close().await;
}
