//! What the tests rely on: a FreeSWITCH, its XML rules, a Redis. Nothing here calls trunkd's own parsing or escaping:
//! a mistake shared by both sides would prove itself right.
//!
//! A bench takes it in with `#[path = "../tests/support/mod.rs"] mod support;`.
#![allow(dead_code, unused_imports, unreachable_pub)] // several test binaries include this, and each uses a part

pub mod api;
pub mod app;
pub mod bilingual;
pub mod browser;
pub mod fake_switch;
pub mod fs_xml;
pub mod pages;
pub mod port;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod relay;
