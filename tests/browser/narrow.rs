//! Phones, 200 % zoom, people who want no motion, and paper.

use serde_json::json;
use trunkd::access::Role;

use crate::accessible::{fleet, on_each_page};
use crate::support::browser::Person;

/// What makes the page wider than its window.
pub(crate) const TOO_WIDE: &str = r#"
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1);
    return [document.documentElement.scrollWidth, ...wide.map((element) => element.outerHTML.slice(0, 120))];
"#;

/// Cells that don't say which column they are of, and controls that nobody sees.
pub(crate) const UNCLEAR: &str = r#"
    const unclear = [];
    for (const cell of document.querySelectorAll("tbody td:not(.choose)")) {
        if (!cell.checkVisibility() || !cell.textContent.trim()) continue;
        if (getComputedStyle(cell, "::before").content === "none") unclear.push(cell.outerHTML.slice(0, 120));
    }
    for (const control of document.querySelectorAll("a[href]:not(.skip), button, summary, select, textarea, input")) {
        if (!control.checkVisibility()) continue;
        const { left, right, width } = control.getBoundingClientRect();
        if (width === 0 || right <= 0 || left >= innerWidth) unclear.push(control.outerHTML.slice(0, 120));
    }
    return unclear;
"#;

/// Everything that moves.
const MOTION: &str = r#"
    return [...document.querySelectorAll("*")].filter((element) => {
        const style = getComputedStyle(element);
        return style.transitionDuration.split(", ").some((time) => time !== "0s") || style.animationName !== "none";
    }).map((element) => element.outerHTML.slice(0, 120));
"#;

/// What of a printed page is no use on paper.
const NO_USE_ON_PAPER: &str = r#"
    const controls = document.querySelectorAll("nav, button, .button, input, select, form.filters");
    return [...controls].filter((one) => one.checkVisibility()).map((one) => one.outerHTML.slice(0, 120));
"#;

#[tokio::test]
async fn no_page_scrolls_sideways_on_a_phone() {
    let fleet = fleet().await;
    for language in ["en-US,en", "zh-CN,zh"] {
        let person = Person {
            language,
            ..Person::default()
        };
        let browser = fleet.signed_in(&language[..2], Role::Admin, &person).await;
        browser.resize(360, 740).await;
        assert_eq!(browser.script("return document.documentElement.clientWidth").await, 360);
        on_each_page(&browser, TOO_WIDE, &json!([])).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn no_page_scrolls_sideways_at_200_percent() {
    let fleet = fleet().await;
    let browser = fleet.admin().await;
    browser.resize(640, 400).await;
    on_each_page(&browser, TOO_WIDE, &json!([])).await;
    browser.close().await;
}

#[tokio::test]
async fn on_a_phone_each_cell_says_its_column_and_each_control_can_be_seen() {
    let fleet = fleet().await;
    let browser = fleet.admin().await;
    browser.resize(360, 740).await;
    on_each_page(&browser, UNCLEAR, &json!([])).await;
    browser.close().await;
}

#[tokio::test]
async fn on_a_phone_the_list_is_sorted_by_a_choice() {
    let fleet = fleet().await;
    let browser = fleet.admin().await;
    browser.resize(360, 740).await;
    let sort = browser.labelled("Sort by").await;
    sort.select_by_label("Name, descending").await.unwrap();
    browser.wait_for_text("carrier1").await;
    browser.find("th[aria-sort=descending]").await;
    assert!(browser.path().await.contains("sort=-name"));
    browser.labelled("Choose all on this page").await.click().await.unwrap();
    browser.wait_for_text("Chosen: 2").await;
    browser.close().await;
}

#[tokio::test]
async fn nothing_moves_for_who_wants_no_motion() {
    let fleet = fleet().await;
    let browser = fleet.admin().await;
    assert_ne!(browser.script(MOTION).await, json!([]), "links fade for all others");
    browser.reduce_motion().await;
    on_each_page(&browser, MOTION, &json!([])).await;
    browser.close().await;
}

#[tokio::test]
async fn the_printed_list_is_a_table_without_controls() {
    let fleet = fleet().await;
    let dark = Person {
        dark: true,
        ..Person::default()
    };
    let browser = fleet.signed_in("alice", Role::Admin, &dark).await;
    browser.wait_for_text("carrier1").await;
    browser.print().await;
    assert_eq!(browser.script(NO_USE_ON_PAPER).await, json!([]));
    // A4 without its margins.
    browser.resize(718, 1000).await;
    assert_eq!(browser.script(TOO_WIDE).await, json!([]));
    browser.find("thead th[aria-sort=ascending]").await;
    let display = "return getComputedStyle(document.querySelector('tbody tr')).display";
    assert_eq!(browser.script(display).await, "table-row");
    let ink = "return getComputedStyle(document.body).color";
    assert_eq!(browser.script(ink).await, "rgb(27, 33, 41)", "dark on white");
    browser.close().await;
}
