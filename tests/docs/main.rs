//! The pages of this repository: links, commands, languages, and the reference pages against the code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod expected;
mod languages;
mod links;
mod page;
mod reference;
mod scene;
mod walks;
