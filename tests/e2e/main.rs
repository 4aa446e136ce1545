//! trunkd as its users meet it: real HTTP, a real Redis, and FakeSwitch for FreeSWITCH.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod api;
mod api_bulk;
mod api_document;
mod api_language;
mod api_promises;
mod attacks;
mod away;
mod boot;
mod bounds;
mod calls;
mod carriers;
mod chinese_pages;
mod commands;
mod files;
mod form_hosts;
mod gateway_command;
mod gateway_metrics;
mod health;
mod import;
mod import_page;
mod ingest;
mod jobs;
mod keys;
mod killed;
mod lease;
mod live;
mod liveness;
mod orders;
mod outages;
mod pace;
mod parking;
mod placement;
mod placement_commands;
mod program;
mod reconcile;
mod rescan;
mod rollback;
mod sentinel;
mod serving;
mod shell;
mod status;
mod status_json;
mod webhooks;
