//! The pages as people meet them: a real browser, a real Redis, and FakeSwitch for FreeSWITCH.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod accessible;
mod away;
mod bulk;
mod calls;
mod carriers;
mod gateway_changes;
mod gateway_form;
mod gateways;
mod history;
mod import;
mod keyboard;
mod narrow;
mod people;
mod placement;
mod plan;
mod runbooks;
mod screenshots;
mod sign_in;
mod switches;
mod visit;
