//! Everything works by keyboard alone, and shows where the focus is.

use serde_json::{Value, json};
use trunkd::access::Role;

use crate::accessible::{PAGES, fleet};
use crate::support::app::eventually;
use crate::support::browser::{Browser, Person};
use crate::visit::Fleet;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const SPACE: &str = " ";

/// More than any page has, so that a test ends.
const MOST_STOPS: usize = 250;

/// Opens what is folded, and remembers all that can be focused with its look while it is not.
const PREPARE: &str = r#"
    document.querySelectorAll("details").forEach((details) => (details.open = true));
    document.activeElement?.blur();
    window.look = (element) => {
        const style = getComputedStyle(element);
        return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow].join();
    };
    const all = "a[href], button, summary, select, textarea, input:not([type=hidden]), [tabindex='0']";
    // What scrolls by itself has the focus too, so that keys can scroll it.
    const scrolls = (element) =>
        /auto|scroll/.test(getComputedStyle(element).overflow) &&
        (element.scrollHeight > element.clientHeight || element.scrollWidth > element.clientWidth) &&
        !element.querySelector(all);
    const isStop = (element) => element.checkVisibility() && (element.matches(all) || scrolls(element));
    window.stops = () => [...document.querySelectorAll("body *")].filter(isStop);
    window.quiet = stops().map(look);
    return quiet.length;
"#;

/// The place of what has the focus among all stops, whether one sees that, and whether it is on the screen.
const FOCUSED: &str = r#"
    const element = document.activeElement;
    const at = stops().indexOf(element);
    const box = element.getBoundingClientRect();
    const isShown = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return { at, differs: at >= 0 && look(element) !== quiet[at], isShown, what: element.outerHTML.slice(0, 160) };
"#;

/// Tabs through the page.
pub(crate) async fn walk(browser: &Browser, page: &str) {
    let stops = browser.script(PREPARE).await;
    let stops = usize::try_from(stops.as_u64().unwrap()).unwrap();
    assert!(stops < MOST_STOPS, "{page} has {stops} stops");
    for expected in 0..stops {
        browser.press(TAB).await;
        let found = browser.script(FOCUSED).await;
        assert_eq!(found["at"], expected, "{page}: the order of {found}");
        assert_eq!(found["differs"], true, "{page}: nobody sees the focus of {found}");
        assert_eq!(found["isShown"], true, "{page}: not on the screen: {found}");
    }
}

/// What the focus is on: its label or its text.
async fn focused(browser: &Browser) -> Value {
    let script = "const at = document.activeElement; \
                  return at.getAttribute('aria-label') ?? (at.labels?.[0] ?? at).textContent.trim()";
    browser.script(script).await
}

/// Tabs on to the control with this name.
async fn tab_to(browser: &Browser, name: &str) {
    for _ in 0..MOST_STOPS {
        if focused(browser).await == name {
            return;
        }
        browser.press(TAB).await;
    }
    panic!("nothing is called {name:?} on\n{}", browser.text().await);
}

async fn loaded(browser: &Browser, path: &str) {
    browser.wait_for_path(path).await;
    let state = || browser.script("return document.readyState");
    eventually("the page is loaded", state, |state| state == "complete").await;
}

#[tokio::test]
async fn the_focus_goes_through_each_page_in_reading_order_and_is_seen() {
    let fleet = fleet().await;
    let browser = fleet.admin().await;
    for page in PAGES {
        // What is replaced meanwhile would lose its place.
        browser.open(page).await;
        browser.find("h1").await;
        walk(&browser, page).await;
    }
    browser.close().await;
}

#[tokio::test]
async fn the_focus_is_seen_on_a_phone_in_the_dark() {
    let fleet = fleet().await;
    let dark = Person {
        dark: true,
        ..Person::default()
    };
    let browser = fleet.signed_in("alice", Role::Admin, &dark).await;
    browser.resize(360, 740).await;
    for page in ["/gateways", "/domains/acme/gateways/carrier1", "/plan"] {
        browser.open(page).await;
        browser.find("h1").await;
        walk(&browser, page).await;
    }
    browser.close().await;
}

#[tokio::test]
async fn a_gateway_is_created_and_restarted_by_keyboard_alone() {
    let fleet = Fleet::start().await;
    let browser = fleet.admin().await;
    browser.wait_for_text("No trunks yet").await;
    tab_to(&browser, "Skip to the content").await;
    browser.press(ENTER).await;
    tab_to(&browser, "Add a trunk").await;
    browser.press(ENTER).await;
    loaded(&browser, "/gateways/new").await;
    tab_to(&browser, "Account trunk").await;
    browser.press(ENTER).await;
    loaded(&browser, "/gateways/new?preset=account").await;
    for (field, text) in [
        ("Name", "carrier1"),
        ("Host (realm)", "sip.example.net"),
        ("User (username)", "1001"),
        ("Password (password)", "tr0ub4dor"),
    ] {
        tab_to(&browser, field).await;
        browser.press(text).await;
    }
    tab_to(&browser, "More: profile, switches, carrier, tags").await;
    browser.press(SPACE).await;
    tab_to(&browser, "Carrier").await;
    browser.press("Example").await;
    tab_to(&browser, "fs1").await;
    browser.press(SPACE).await;
    tab_to(&browser, "Check and continue").await;
    browser.press(ENTER).await;
    browser.wait_for_text("starts it.").await;
    loaded(&browser, "/gateways/new").await;
    tab_to(&browser, "Save").await;
    browser.press(SPACE).await;
    loaded(&browser, "/domains/default/gateways/carrier1?done=saved").await;
    browser.wait_for_text("REGED").await;
    let stored = fleet.other.field("cti_gateway@default", "carrier1").await.unwrap();
    let expected = json!({
        "param": {"realm": "sip.example.net", "username": "1001", "password": "tr0ub4dor"},
        "carrier": "Example", "nodes": ["fs1"],
    });
    assert_eq!(stored, expected);
    for next in ["/restart", "?done=restart"] {
        tab_to(&browser, "Restart").await;
        browser.press(SPACE).await;
        loaded(&browser, &format!("/domains/default/gateways/carrier1{next}")).await;
    }
    browser.close().await;
}
