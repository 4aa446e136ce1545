//! What keyboards, screen readers and small screens need, on every page.

use serde_json::{Value, json};
use trunkd::access::Role;

use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::Outcome;
use crate::visit::Fleet;

const ACCOUNT: &str =
    r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"},"carrier":"example","tags":["berlin"]}"#;

/// Pages for people who are signed in.
pub(crate) const PAGES: [&str; 15] = [
    "/gateways",
    "/gateways/new",
    "/gateways/new?preset=ims",
    "/domains/acme/gateways/carrier1",
    "/domains/acme/gateways/carrier1/edit",
    "/domains/acme/gateways/long-name.long-name.long-name.long-name.long-name.long-name.long-name.long-name.",
    "/domains/acme/gateways/long-name.long-name.long-name.long-name.long-name.long-name.long-name.long-name./edit",
    "/carriers",
    "/switches",
    "/plan",
    "/history",
    "/import",
    "/users",
    "/password",
    "/runbooks",
];

/// Controls without a name, headings that skip a level, and more than one first heading.
pub(crate) const PROBLEMS: &str = r#"
    const problems = [];
    const named = (control) =>
        control.getAttribute("aria-label")?.trim() ||
        [...(control.labels ?? [])].some((label) => label.textContent.trim()) ||
        (control.matches("a, button, summary") && (control.textContent.trim() || control.querySelector("img[alt]:not([alt=''])")));
    for (const control of document.querySelectorAll("a[href], button, summary, select, textarea, input:not([type=hidden])")) {
        if (!named(control)) problems.push("no name: " + control.outerHTML.slice(0, 200));
    }
    let level = 0;
    for (const heading of document.querySelectorAll("h1, h2, h3, h4")) {
        const now = Number(heading.tagName[1]);
        if (now > level + 1) problems.push(`h${now} after h${level}: ${heading.textContent}`);
        level = now;
    }
    if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
    for (const cell of document.querySelectorAll("thead th")) {
        if (!cell.scope) problems.push("no scope: " + cell.outerHTML);
    }
    for (const place of document.querySelectorAll("[aria-describedby]")) {
        for (const id of place.getAttribute("aria-describedby").split(" ")) {
            if (!document.getElementById(id)) problems.push("describes nothing: " + id);
        }
    }
    return problems;
"#;

/// Text whose contrast with what is behind it is below 4.5.
pub(crate) const CONTRAST: &str = r#"
    const rgb = (color) => color.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => {
        const part = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const color = rgb(getComputedStyle(at).backgroundColor);
            if (color.length === 3 || color[3] > 0) return color;
        }
        return [255, 255, 255];
    };
    const poor = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!text || !element.checkVisibility()) continue;
        const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) poor.push(`${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 120)}`);
    }
    return poor;
"#;

/// A fleet with something to see on each page, and with texts that are as bad as may be.
pub(crate) async fn fleet() -> Fleet {
    let fleet = Fleet::start().await;
    let bad = json!({
        "param": {"realm": "sip.example.net", "username": "u", "password": "p"},
        "description": "\u{202e}gnp.exe ".repeat(250),
        "carrier": "W".repeat(200),
        "tags": ["x".repeat(120), "\u{202e}right to left"],
    });
    let phrase: &'static str = Box::leak("Forbidden ".repeat(300).into_boxed_str());
    fleet
        .switch
        .registrar(|registrar| registrar.set(&bad_name(), Outcome::Reject(403, phrase)));
    fleet.other.set_gateway("acme", &bad_name(), &bad.to_string()).await;
    fleet.switch.wait_for_state(&bad_name(), "FAIL_WAIT").await;
    fleet.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    fleet.pause("fs1").await;
    let edited = ACCOUNT.replace("sip.example.net", "b.example.net");
    fleet.other.set_gateway("acme", "carrier1", &edited).await;
    fleet.other.wait_for("trunkd:reconcile", "fs1", "/restart", 1).await;
    fleet
}

fn bad_name() -> String {
    "long-name.".repeat(8)
}

async fn each_page(person: &Person, script: &str, expected: &Value) {
    let mut fleet = fleet().await;
    let browser = fleet.signed_in("alice", Role::Admin, person).await;
    for page in PAGES {
        check(&browser, page, script, expected).await;
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
    // And what they show while Redis is away.
    fleet.redis.kill();
    on_each_page(&browser, script, expected).await;
    // The console has what could not be loaded.
    browser.errors().await;
    browser.close().await;
}

/// Ends signed out.
pub(crate) async fn on_each_page(browser: &Browser, script: &str, expected: &Value) {
    for page in PAGES {
        check(browser, page, script, expected).await;
    }
    // The last page has no live events, which would be refused now.
    browser.click_on("form[action='/sign-out'] button").await;
    browser.wait_for_path("/sign-in").await;
    check(browser, "/sign-in", script, expected).await;
}

async fn check(browser: &Browser, page: &str, script: &str, expected: &Value) {
    browser.open(page).await;
    browser.find("h1").await;
    assert_eq!(&browser.script(script).await, expected, "{page}");
}

#[tokio::test]
async fn every_control_has_a_name_and_headings_are_in_order() {
    each_page(&Person::default(), PROBLEMS, &json!([])).await;
}

#[tokio::test]
async fn text_can_be_read_in_light_and_dark() {
    for dark in [false, true] {
        let person = Person {
            dark,
            ..Person::default()
        };
        each_page(&person, CONTRAST, &json!([])).await;
    }
}
