//! A gateway that is renamed, or deleted by somebody else, and what its form offers and finds.

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::fake_switch::{FORBIDDEN, Outcome, View};
use crate::visit::Fleet;

const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"},"carrier":"Example Telecom","tags":["berlin","spare"]}"#;
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const PAGE: &str = "/domains/acme/gateways/carrier1";
/// Nobody's password in these tests is this, so it may be in no page.
const SECRET: &str = "tr0ub4dor";

async fn with_account() -> (Fleet, Browser) {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let browser = fleet.admin().await;
    (fleet, browser)
}

async fn value(browser: &Browser, label: &str) -> String {
    let field = browser.labelled(label).await;
    field.prop("value").await.unwrap().unwrap_or_default()
}

/// What the control offers while one types.
async fn offers(browser: &Browser, id: &str) -> Value {
    let script = format!("return [...document.getElementById('{id}').list.options].map((option) => option.value)");
    browser.script(&script).await
}

/// Opens every group of the form.
async fn unfold(browser: &Browser) {
    browser
        .script("document.querySelectorAll('details').forEach((details) => (details.open = true))")
        .await;
}

#[tokio::test]
async fn a_gateway_is_renamed() {
    let (fleet, browser) = with_account().await;
    browser.open(PAGE).await;
    browser.click("Rename").await;
    assert_eq!(value(&browser, "New name").await, "carrier1");
    browser.fill("New name", "two words").await;
    browser.click("Rename it").await;
    browser.wait_for_text("character 4 of the name is not one of").await;
    assert_eq!(value(&browser, "New name").await, "two words", "it is still there");
    browser.fill("New name", "main").await;
    browser.click("Rename it").await;
    browser.wait_for_text("Rename: carrier1").await;
    browser.wait_for_text("What the switches will do").await;
    assert_eq!(
        fleet.switch.view(|view| view.state("carrier1")),
        Some("REGED"),
        "not yet"
    );
    browser.click("Rename").await;
    browser.wait_for_path("/domains/acme/gateways/main?done=rename").await;
    browser.wait_for_text("Renamed.").await;
    browser.wait_for_text("REGED").await;
    fleet.switch.wait_for_gone("carrier1").await;
    assert_eq!(fleet.other.field("cti_gateway@acme", "carrier1").await, None);
    // The console has the 422.
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn a_restart_says_for_how_long_calls_fail_before_it_is_made() {
    let (fleet, browser) = with_account().await;
    browser.open(PAGE).await;
    browser.click("Restart").await;
    browser.wait_for_text("Restart: carrier1").await;
    browser.wait_for_text("restarts it. New calls fail for about 4 s").await;
    browser.click("Cancel").await;
    browser.wait_for_path(PAGE).await;
    let is_killed = |view: &View| view.commands().iter().any(|line| line.contains("killgw carrier1"));
    assert!(!fleet.switch.view(is_killed), "nothing was done");
    browser.click("Restart").await;
    browser.wait_for_text("Restart: carrier1").await;
    browser.click("Restart").await;
    browser.wait_for_path(&format!("{PAGE}?done=restart")).await;
    fleet.switch.wait_until("it was restarted", is_killed).await;
    browser.close().await;
}

#[tokio::test]
async fn a_gateway_is_parked_and_unparked() {
    let (fleet, browser) = with_account().await;
    browser.open(PAGE).await;
    browser.click("Park").await;
    browser.wait_for_path(&format!("{PAGE}?done=park")).await;
    let report = ("trunkd:reconcile", "fs1", "/parked/carrier1/phase");
    fleet.other.wait_for(report.0, report.1, report.2, "waiting").await;
    browser.open(PAGE).await;
    browser.wait_for_text("parked by user:").await;
    browser.wait_for_text("DOWN").await;
    browser.click("Unpark").await;
    browser.wait_for_path(&format!("{PAGE}?done=unpark")).await;
    browser.wait_for_text("REGED").await;
    fleet.other.wait_for_gone("trunkd:parked:fs1", "carrier1").await;
    browser.close().await;
}

#[tokio::test]
async fn an_edit_that_the_carrier_refused_is_tried_again() {
    let (fleet, browser) = with_account().await;
    fleet
        .other
        .wait_for("trunkd:status:fs1", "carrier1", "/usable", true)
        .await;
    fleet
        .switch
        .registrar(|registrar| registrar.set_for_username("mine", FORBIDDEN));
    let edited = ACCOUNT.replace(r#""u""#, r#""mine""#);
    fleet.other.set_gateway("acme", "carrier1", &edited).await;
    let record = ("trunkd:rollbacks", "carrier1", "/phase");
    fleet.other.wait_for(record.0, record.1, record.2, "rolled_back").await;
    browser.open(PAGE).await;
    browser.wait_for_text("rolled back").await;
    fleet
        .switch
        .registrar(|registrar| registrar.set_for_username("mine", Outcome::Ok));
    browser.click("Try the edit again").await;
    browser.wait_for_path(&format!("{PAGE}?done=again")).await;
    browser.wait_for_text("No longer held").await;
    fleet.other.wait_for(record.0, record.1, record.2, "released").await;
    fleet
        .switch
        .wait_until("the edit runs", |view| {
            let runs = view
                .gateway("carrier1")
                .is_some_and(|gateway| gateway.username == "mine");
            runs && view.state("carrier1") == Some("REGED")
        })
        .await;
    browser.close().await;
}

#[tokio::test]
async fn who_edits_a_gateway_that_somebody_deletes_loses_nothing() {
    let (fleet, browser) = with_account().await;
    browser.open(&format!("{PAGE}/edit")).await;
    browser.fill("User (username)", "mine").await;
    browser.fill("Password (password)", SECRET).await;
    fleet.other.delete_gateway("acme", "carrier1").await;
    browser.click("Check and continue").await;
    browser.wait_for_text("somebody else deleted this gateway").await;
    let page = browser.client.source().await.unwrap();
    assert!(!page.contains(SECRET), "a page holds the password");
    browser.click("Make it again").await;
    browser.wait_for_path("/gateways/new").await;
    browser.find("#name").await;
    for (label, typed) in [
        ("Name", "carrier1"),
        ("Domain", "acme"),
        ("Host (realm)", "sip.example.net"),
        ("User (username)", "mine"),
    ] {
        assert_eq!(value(&browser, label).await, typed, "{label}");
    }
    browser.wait_for_text("What you typed is kept, encrypted").await;
    browser.click("Check and continue").await;
    browser.wait_for_text("starts it.").await;
    browser.click("Save").await;
    browser.wait_for_path(&format!("{PAGE}?done=saved")).await;
    let stored = fleet.other.field("cti_gateway@acme", "carrier1").await.unwrap();
    let expected = json!({
        "param": {"realm": "sip.example.net", "username": "mine", "password": SECRET},
        "carrier": "Example Telecom", "tags": ["berlin", "spare"],
    });
    assert_eq!(stored, expected);
    // The console has the 404 and the 409.
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn who_keeps_the_stored_password_of_a_deleted_gateway_is_told_to_type_it() {
    let (fleet, browser) = with_account().await;
    browser.open(&format!("{PAGE}/edit")).await;
    browser.fill("User (username)", "mine").await;
    fleet.other.delete_gateway("acme", "carrier1").await;
    browser.click("Check and continue").await;
    browser.wait_for_text("The stored password is gone with it").await;
    browser.click("Make it again").await;
    browser.find("#name").await;
    browser.click("Check and continue").await;
    browser.find("#param_password[aria-invalid='true']").await;
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn the_form_offers_what_others_have() {
    let (fleet, browser) = with_account().await;
    browser.open("/gateways/new?preset=account").await;
    unfold(&browser).await;
    assert_eq!(offers(&browser, "domain").await, json!(["acme"]));
    assert_eq!(offers(&browser, "profile").await, json!(["external", "internal"]));
    assert_eq!(offers(&browser, "carrier").await, json!(["Example Telecom"]));
    assert_eq!(offers(&browser, "tags").await, json!(["berlin", "spare"]));
    browser.fill("Tags, with commas between", "new, b").await;
    assert_eq!(offers(&browser, "tags").await, json!(["new, berlin", "new, spare"]));
    browser.find("input[name=nodes][value=fs1]").await;
    browser.fill("Profile", "external2").await;
    browser.find("#carrier").await.click().await.unwrap();
    browser.find("#profile[aria-invalid='true']").await;
    drop(fleet);
    browser.close().await;
}

#[tokio::test]
async fn every_field_says_what_it_is_for_and_its_default() {
    let (_fleet, browser) = with_account().await;
    for page in ["/gateways/new?preset=ims", &format!("{PAGE}/edit")] {
        browser.open(page).await;
        browser.find("#param_realm").await;
        let silent = r#"
            const fields = [...document.querySelectorAll(".field")];
            return fields.filter((field) => {
                const hint = field.querySelector(".hint").textContent;
                const choice = field.querySelector("select[id] option")?.textContent ?? "";
                const secret = field.querySelector("input[type=password]");
                const isNamed = field.querySelector("[id=name], [id=domain]");
                const says = /default|None ticked/i.test(hint + choice) || /^not set$/.test(choice);
                return hint.trim().length < 12 || (!says && !secret && !isNamed);
            }).map((field) => field.textContent.trim());
        "#;
        assert_eq!(browser.script(silent).await, json!([]), "{page}");
    }
    browser.close().await;
}

#[tokio::test]
async fn a_variables_finding_stands_at_its_own_row() {
    let fleet = Fleet::start().await;
    fleet.other.set_gateway("acme", "trunk", IP_TRUNK).await;
    fleet.switch.wait_for_state("trunk", "NOREG").await;
    let browser = fleet.admin().await;
    browser.open("/domains/acme/gateways/trunk/edit").await;
    unfold(&browser).await;
    // The first row stays empty.
    let rows = browser.all(".variable").await;
    let name = rows[1]
        .find(fantoccini::Locator::Css("input[name='variable.name']"))
        .await
        .unwrap();
    name.send_keys("trunkd_revision").await.unwrap();
    browser.find("#profile").await.click().await.unwrap();
    browser
        .find("#variable-2-findings .problem, #variable-2-findings .note")
        .await;
    assert!(browser.all("#variable-1-findings *").await.is_empty());
    browser.close().await;
}

#[tokio::test]
async fn each_group_shows_its_finding_as_soon_as_a_field_is_left() {
    let (_fleet, browser) = with_account().await;
    browser.open("/gateways/new?preset=ip").await;
    unfold(&browser).await;
    for (field, bad) in [
        ("name", "two words"),
        ("param_realm", "http://sip.example.net"),
        ("profile", "nowhere"),
        ("param_auth-username", "a:b"),
        ("param_register-proxy", "host name"),
        ("param_contact-params", "transport=tls"),
        ("param_expire-seconds", "3"),
        ("param_ping", "2"),
    ] {
        let control = browser.find(&format!("[id='{field}']")).await;
        control.clear().await.unwrap();
        control.send_keys(bad).await.unwrap();
        browser.press("\u{e004}").await;
        browser.find(&format!("[id='{field}-findings'] p")).await;
    }
    browser.close().await;
}
