//! Users, tokens, and one's own password.

use trunkd::access::Role;

use crate::support::app::eventually;
use crate::support::browser::{Browser, Person};
use crate::visit::{Fleet, PASSWORD};

async fn wait_for_gone(browser: &Browser, text: &str) {
    eventually(
        "the text is gone",
        || browser.text(),
        |shown| !shown.is_empty() && !shown.contains(text),
    )
    .await;
}

#[tokio::test]
async fn an_admin_adds_a_user_who_signs_in_and_removes_him_again() {
    let fleet = Fleet::start().await;
    let browser = fleet.admin().await;
    browser.click("Users and tokens").await;
    browser.wait_for_text("The last admin can't be removed").await;
    browser.fill("User name", "bob smith").await;
    browser
        .labelled("Role of the user")
        .await
        .select_by_value("operator")
        .await
        .unwrap();
    browser
        .fill("Domains of the user, with commas between; empty for all", "acme,globex")
        .await;
    browser
        .fill("Password of the user, at least 8 characters", PASSWORD)
        .await;
    browser.click("Add the user").await;
    browser.wait_for_text("bob smith is not a name").await;
    // Chromium reports the status 422 of the page itself.
    browser.errors().await;
    let typed = browser.labelled("User name").await.prop("value").await.unwrap();
    assert_eq!(typed.as_deref(), Some("bob smith"), "nothing is lost but the password");
    browser.fill("User name", "bob").await;
    browser
        .fill("Password of the user, at least 8 characters", PASSWORD)
        .await;
    browser.click("Add the user").await;
    browser.wait_for_text("acme, globex").await;

    let other = Browser::start(&fleet.app).await;
    other.open("/sign-in").await;
    other.fill("Name", "bob").await;
    other.fill("Password", PASSWORD).await;
    other.click("Sign in").await;
    other.wait_for_path("/gateways").await;
    other.open("/users").await;
    other.wait_for_text("this needs the role admin").await;
    other.errors().await;
    other.close().await;

    browser.click("Remove bob").await;
    browser.click("Remove").await;
    browser.wait_for_path("/users").await;
    wait_for_gone(&browser, "acme, globex").await;
    browser.close().await;
}

#[tokio::test]
async fn a_token_is_shown_once_and_revoked_also_without_scripts_and_in_chinese() {
    let fleet = Fleet::start().await;
    let person = Person {
        language: "zh-CN,zh",
        javascript: false,
        width: 400,
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Admin, &person).await;
    browser.open("/users").await;
    browser.fill("令牌名称", "ci").await;
    browser.fill("有效天数，留空表示永不过期", "90").await;
    browser.click("创建该令牌").await;
    browser.wait_for_text("已创建令牌 ci").await;
    let secret = browser.find("#secret").await.prop("value").await.unwrap().unwrap();
    assert!(fleet.access().by_token(&secret).await.unwrap().is_some());
    assert_eq!(browser.path().await, "/tokens", "the secret is in no address");
    browser.open("/users").await;
    browser.wait_for_text("吊销 ci").await;
    assert!(!browser.client.source().await.unwrap().contains(&secret), "never again");
    browser.click("吊销 ci").await;
    browser.click("吊销").await;
    wait_for_gone(&browser, "吊销 ci").await;
    assert!(fleet.access().by_token(&secret).await.unwrap().is_none());
    browser.close().await;
}

#[tokio::test]
async fn a_person_changes_his_own_password_with_the_present_one() {
    let fleet = Fleet::start().await;
    let browser = fleet.signed_in("vera", Role::Viewer, &Person::default()).await;
    browser.click("vera").await;
    browser.fill("Present password", "not the one").await;
    browser
        .fill("New password, at least 8 characters", "a new battery")
        .await;
    browser.click("Set the password").await;
    browser.wait_for_text("The present password is wrong.").await;
    browser.errors().await;
    browser.fill("Present password", PASSWORD).await;
    browser
        .fill("New password, at least 8 characters", "a new battery")
        .await;
    browser.click("Set the password").await;
    browser.wait_for_text("Your password is changed.").await;
    browser.click("Sign out").await;
    browser.wait_for_path("/sign-in").await;
    browser.fill("Name", "vera").await;
    browser.fill("Password", "a new battery").await;
    browser.click("Sign in").await;
    browser.wait_for_path("/gateways").await;
    browser.close().await;
}
