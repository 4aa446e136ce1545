//! Signing in and out.

use trunkd::access::Role;

use crate::support::browser::{Browser, Person};
use crate::visit::{Fleet, PASSWORD};

#[tokio::test]
async fn the_link_that_serve_prints_makes_the_first_admin_and_signs_in() {
    let fleet = Fleet::start().await;
    let browser = Browser::start(&fleet.app).await;
    browser.open("/").await;
    browser.wait_for_path("/sign-in?next=%2F").await;
    browser.wait_for_text("Nobody can sign in yet").await;
    browser.open(&fleet.setup_link().await).await;
    browser.fill("Name", "alice").await;
    browser.fill("Password, at least 8 characters", PASSWORD).await;
    browser.click("Make the account").await;
    browser.wait_for_path("/gateways").await;
    browser.wait_for_text("No trunks yet").await;
    browser.wait_for_text("alice").await;
    browser.close().await;
}

#[tokio::test]
async fn a_person_goes_on_where_he_wanted_and_signs_out_again() {
    let fleet = Fleet::start().await;
    fleet.add_user("alice", Role::Viewer, "*").await;
    let browser = Browser::start(&fleet.app).await;
    browser.open("/gateways?q=berlin").await;
    browser.fill("Name", "alice").await;
    browser.fill("Password", "wrong password").await;
    browser.click("Sign in").await;
    browser.wait_for_text("the name or the password is wrong").await;
    browser.fill("Password", PASSWORD).await;
    browser.click("Sign in").await;
    browser.wait_for_path("/gateways?q=berlin").await;
    browser.click("Sign out").await;
    browser.wait_for_path("/sign-in").await;
    browser.open("/gateways").await;
    browser.wait_for_path("/sign-in?next=%2Fgateways").await;
    browser.errors().await;
}

#[tokio::test]
async fn pages_speak_the_language_of_the_browser_or_the_chosen_one() {
    let fleet = Fleet::start().await;
    let chinese = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Viewer, &chinese).await;
    browser.wait_for_text("还没有网关").await;
    browser.click("English").await;
    browser.wait_for_text("No trunks yet").await;
    browser.click("中文").await;
    browser.wait_for_text("还没有网关").await;
    browser.close().await;
}
