//! One change to many gateways, from the list.

use trunkd::access::Role;

use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::FORBIDDEN;
use crate::visit::{Fleet, PASSWORD};

const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#;
const DISABLED: &str = r#"{"enabled":false,"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#;

async fn choose(browser: &Browser, gateway: &str) {
    let checkbox = browser.labelled(&format!("Choose {gateway}")).await;
    checkbox.click().await.unwrap();
}

async fn fleet(gateways: &[&str]) -> Fleet {
    let fleet = Fleet::start().await;
    for gateway in gateways {
        fleet.other.set_gateway("acme", gateway, ACCOUNT).await;
        fleet.switch.wait_for_state(gateway, "REGED").await;
    }
    fleet
}

#[tokio::test]
async fn chosen_gateways_are_disabled_after_the_effect_was_shown() {
    let fleet = fleet(&["carrier1", "carrier2", "carrier3"]).await;
    let browser = fleet.admin().await;
    browser.wait_for_text("3 gateways").await;
    assert!(!browser.text().await.contains("Add tags"), "nothing is chosen");
    choose(&browser, "carrier1").await;
    choose(&browser, "carrier2").await;
    browser.wait_for_text("Chosen: 2").await;
    browser.click("Disable").await;
    browser.wait_for_text("What each switch would do").await;
    let row = browser.find("main tbody tr").await.text().await.unwrap();
    assert_eq!(row, "fs1 0 0 2");
    assert_eq!(fleet.switch.view(|view| view.state("carrier1")), Some("REGED"));
    browser.click("Disable 2 gateways").await;
    browser.wait_for_text("Done: 2 gateways changed.").await;
    fleet.switch.wait_for_gone("carrier1").await;
    assert_eq!(fleet.switch.view(|view| view.state("carrier3")), Some("REGED"));
    browser.click("Back to the list").await;
    browser.wait_for_path("/gateways").await;
    browser.close().await;
}

#[tokio::test]
async fn all_that_match_are_tagged_without_javascript() {
    let fleet = fleet(&["carrier1"]).await;
    for gateway in ["other1", "other2", "other3"] {
        fleet.other.set_gateway("acme", gateway, DISABLED).await;
    }
    let plain = Person {
        javascript: false,
        ..Person::default()
    };
    let browser = fleet.signed_in("bob", Role::Operator, &plain).await;
    browser.open("/gateways?q=other&limit=2").await;
    browser.wait_for_text("All 3 that match").await;
    browser.find("input[name=all]").await.click().await.unwrap();
    browser.click("Add tags").await;
    browser.fill("Tags, separated by commas", "berlin, spare").await;
    browser.click("Continue").await;
    browser
        .wait_for_text("No switch has to start, restart or stop a gateway.")
        .await;
    browser.click("Add tags to 3 gateways").await;
    browser.wait_for_text("Done: 3 gateways changed.").await;
    browser.open("/gateways?tag=spare").await;
    browser.wait_for_text("3 gateways").await;
    browser.close().await;
}

#[tokio::test]
async fn who_deletes_types_how_many() {
    let fleet = Fleet::start().await;
    for gateway in ["spare1", "spare2"] {
        fleet.other.set_gateway("acme", gateway, DISABLED).await;
    }
    let browser = fleet.admin().await;
    browser.wait_for_text("2 gateways").await;
    browser.labelled("Choose all on this page").await.click().await.unwrap();
    browser.click("Delete").await;
    browser.fill("To confirm, type the number of gateways: 2", "3").await;
    browser.click("Delete 2 gateways").await;
    browser
        .wait_for_text("That is not the number of gateways. It is 2.")
        .await;
    browser.fill("To confirm, type the number of gateways: 2", "2").await;
    browser.click("Delete 2 gateways").await;
    browser.wait_for_text("Done: 2 gateways changed.").await;
    browser.open("/gateways").await;
    browser.wait_for_text("No trunks yet").await;
    browser.close().await;
}

#[tokio::test]
async fn chosen_gateways_are_restarted_and_the_page_shows_how_far_it_is() {
    let fleet = fleet(&["carrier1", "carrier2"]).await;
    fleet.other.set_gateway("acme", "off", DISABLED).await;
    let browser = fleet.admin().await;
    browser.wait_for_text("3 gateways").await;
    let instance = |gateway: &'static str| fleet.switch.view(|view| view.gateway(gateway).map(|on| on.instance));
    let before = (instance("carrier1"), instance("carrier2"));
    choose(&browser, "carrier1").await;
    choose(&browser, "off").await;
    browser.click("Restart").await;
    browser.wait_for_text("the gateway \"off\" is not served").await;
    browser.click("Restart 1 gateway").await;
    browser.wait_for_text("All restarts are finished.").await;
    let row = browser.find("main tbody tr").await.text().await.unwrap();
    assert_eq!(row, "fs1 Finished 1 0 0");
    assert_ne!(instance("carrier1"), before.0);
    assert_eq!(instance("carrier2"), before.1);
    browser.close().await;
}

#[tokio::test]
async fn what_is_chosen_stays_chosen_while_states_change() {
    let fleet = fleet(&["carrier1", "carrier2"]).await;
    let browser = fleet.admin().await;
    browser.wait_for_text("2 gateways").await;
    choose(&browser, "carrier1").await;
    let state = "td[data-live='state acme/carrier1']";
    browser
        .script(&format!("window.before = document.querySelector(\"{state}\")"))
        .await;
    fleet.switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let edited = ACCOUNT.replace("\"p\"", "\"wrong\"");
    fleet.other.set_gateway("acme", "carrier1", &edited).await;
    browser.wait_for_text("403 Forbidden").await;
    let is_replaced = format!("return window.before !== document.querySelector(\"{state}\")");
    assert_eq!(browser.script(&is_replaced).await, true);
    browser.wait_for_text("Chosen: 1").await;
    browser.click("Disable").await;
    browser.click("Disable 1 gateway").await;
    browser.wait_for_text("Done: 1 gateway changed.").await;
    fleet.switch.wait_for_gone("carrier1").await;
    assert_eq!(fleet.switch.view(|view| view.state("carrier2")), Some("REGED"));
    browser.close().await;
}

#[tokio::test]
async fn a_held_change_leads_to_the_plan_that_releases_it() {
    let names: Vec<_> = (0..12).map(|number| format!("carrier{number}")).collect();
    let fleet = fleet(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let browser = fleet.admin().await;
    browser.wait_for_text("12 gateways").await;
    browser.labelled("Choose all on this page").await.click().await.unwrap();
    browser.click("Disable").await;
    browser
        .wait_for_text("Nothing happens until somebody approves it:")
        .await;
    browser.click("Disable 12 gateways").await;
    browser.wait_for_text("Done: 12 gateways changed.").await;
    browser.click_on("main tbody a[href='/plan']").await;
    browser.wait_for_path("/plan").await;
    browser.wait_for_text("12 to kill").await;
    assert_eq!(fleet.switch.view(|view| view.state("carrier0")), Some("REGED"));
    browser.close().await;
}

#[tokio::test]
async fn a_restart_says_for_how_long_calls_fail() {
    let fleet = fleet(&["carrier1"]).await;
    let trunk = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
    fleet.other.set_gateway("acme", "trunk", trunk).await;
    fleet.switch.wait_for_state("trunk", "NOREG").await;
    let chinese = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Operator, &chinese).await;
    browser.wait_for_text("共 2 个网关").await;
    browser.labelled("选择 trunk").await.click().await.unwrap();
    browser.click("重启").await;
    browser.wait_for_text("不到 1 秒内无法接受新呼叫").await;
    browser.click("取消").await;
    browser.wait_for_text("共 2 个网关").await;
    browser.labelled("全选本页").await.click().await.unwrap();
    browser.click("重启").await;
    browser.wait_for_text("约 4 秒内无法接受新呼叫").await;
    browser.close().await;
}

#[tokio::test]
async fn roles_and_domains_bound_what_is_offered_and_changed() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "ours", DISABLED).await;
    fleet.other.set_gateway("globex", "theirs", DISABLED).await;
    let viewer = fleet.signed_in("vera", Role::Viewer, &Person::default()).await;
    viewer.wait_for_text("2 gateways").await;
    assert_eq!(viewer.all("main input[type=checkbox]").await.len(), 0);
    viewer.close().await;

    fleet.add_user("otto", Role::Operator, "acme").await;
    let browser = Browser::start(&fleet.app).await;
    browser.open("/sign-in").await;
    browser.fill("Name", "otto").await;
    browser.fill("Password", PASSWORD).await;
    browser.find("main button.primary").await.click().await.unwrap();
    browser.wait_for_text("1 gateway").await;
    choose(&browser, "ours").await;
    // As if the form had named a gateway of somebody else.
    browser
        .script("document.querySelector('input[name=gateway]').value = 'globex/theirs'")
        .await;
    browser.click("Delete").await;
    browser.wait_for_text("the domain globex is not one of yours").await;
    // The refusal is an error to the console.
    browser.errors().await;
    browser.close().await;
}
