//! Signing in and out.

use trunkd::access::Role;

use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::{FORBIDDEN, Outcome};
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

#[tokio::test]
async fn a_whole_task_is_done_in_chinese_from_the_sign_in_on() {
    let fleet = Fleet::start().await;
    fleet.add_user("li", Role::Operator, "*").await;
    fleet.switch.registrar(|registrar| registrar.set("beijing", FORBIDDEN));
    let chinese = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = Browser::of(&fleet.app, &chinese).await;
    browser.open("/gateways/new?preset=account").await;
    browser.fill("用户名", "li").await;
    browser.fill("密码", "不是这个密码").await;
    browser.click("登录").await;
    browser.wait_for_text("用户名或密码错误").await;
    browser.fill("密码", PASSWORD).await;
    browser.click("登录").await;
    browser.wait_for_path("/gateways/new?preset=account").await;
    browser.fill("名称", "bei jing").await;
    browser.fill("主机（realm）", "sip.example.net").await;
    browser.fill("账号（username）", "1001").await;
    browser.fill("密码（password）", "s3cret").await;
    browser.click("检查并继续").await;
    browser.wait_for_text("FreeSWITCH 会拒绝此配置").await;
    browser.fill("名称", "beijing").await;
    browser.click("检查并继续").await;
    browser.wait_for_text("将启动该网关").await;
    browser.click("保存").await;
    // In the carrier's words, with what they mean.
    browser.wait_for_text("403 Forbidden").await;
    browser.wait_for_text("新配置已下发，但不可用：").await;
    fleet
        .switch
        .registrar(|registrar| registrar.set("beijing", Outcome::Ok));
    browser.click("重启").await;
    browser.wait_for_text("将重启该网关").await;
    browser.click("重启").await;
    browser.wait_for_text("已请求重启").await;
    browser.wait_for_text("REGED").await;
    browser.open("/history").await;
    browser.wait_for_text("beijing").await;
    // What was refused is an error to the console.
    browser.errors().await;
    browser.close().await;
}
