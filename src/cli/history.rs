//! `trunkd history`: what happened, newest last.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::terminal::moment;
use super::{Shared, json_text, print};
use crate::gateway::ValueChange;
use crate::history::{Entry, Event, HistoryQuery};
use crate::operate::{Caller, Service};
use crate::settings::{Flags, Settings};
use crate::shown::{shown, shown_line};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this gateway; with --domain its last 200 entries are always there
    gateway: Option<String>,
    /// Only this domain
    #[arg(long)]
    domain: Option<String>,
    /// Only this switch
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
    /// Only the last 2h, 3d, …
    #[arg(long, value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// At most this many entries
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// JSON, newest first, as the API answers
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Items {
    items: Vec<Entry>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open(&settings)?;
    let query = HistoryQuery {
        domain: arguments.domain.clone(),
        gateway: arguments.gateway.clone(),
        switch: arguments.node.clone(),
        limit: arguments.limit.into(),
        ..HistoryQuery::default()
    };
    show(&settings, &service, query, arguments.since, arguments.json).await
}

/// Prints what happened within the last `since`.
pub(super) async fn show(
    settings: &Settings,
    service: &Service,
    query: HistoryQuery,
    since: Option<Duration>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let query = HistoryQuery {
        since: since.and_then(|since| now.checked_sub(since).ok()),
        ..query
    };
    let page = service.history(&Caller::cli(), &query).await;
    let mut items = page.map_err(|error| error.naming_server(settings))?.entries;
    if json {
        print(&json_text(&Items { items })?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if items.is_empty() {
        print("Nothing is recorded.\n")?;
    }
    items.reverse();
    for entry in &items {
        print(&format!("{}\n", shown_line(&line(entry, now))))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `10:31:07 user:alice acme/carrier1: changed param.realm from "a" to "b"`.
fn line(entry: &Entry, now: Timestamp) -> String {
    let mut place = String::new();
    match (&entry.domain, &entry.gateway) {
        (Some(domain), Some(gateway)) => place = format!(" {domain}/{gateway}"),
        (None, Some(gateway)) => place = format!(" {gateway}"),
        _ => {}
    }
    if let Some(switch) = &entry.switch {
        place.push_str(&format!(" on {switch}"));
    }
    format!("{} {}{place}: {}", moment(entry.at, now), entry.who, what(&entry.event))
}

fn what(event: &Event) -> String {
    match event {
        Event::Edit { edit, changes, .. } => {
            let word = serde_json::to_value(edit).unwrap_or_default();
            let changes: Vec<_> = changes.iter().map(change_text).collect();
            format!("{}: {}", word.as_str().unwrap_or("edit"), changes.join(", "))
        }
        event => {
            // What the entry has, as it is: `outage: reason "403 Forbidden", since "…"`.
            let json = serde_json::to_value(event).unwrap_or_default();
            let fields = json
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| *name != "kind");
            let fields: Vec<_> = fields.map(|(name, value)| format!("{name} {value}")).collect();
            match fields.is_empty() {
                true => event.kind().as_str().to_owned(),
                false => format!("{}: {}", event.kind().as_str(), fields.join(", ")),
            }
        }
    }
}

pub(super) fn change_text(change: &ValueChange) -> String {
    let field = shown(&change.field);
    match (&change.before, &change.after) {
        _ if change.secret => format!("{field} (secret)"),
        (Some(before), Some(after)) => format!("{field} {before} -> {after}"),
        (None, Some(after)) => format!("{field} {after}"),
        (Some(before), None) => format!("{field} {before} removed"),
        (None, None) => field.to_string(),
    }
}
