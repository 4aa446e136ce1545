//! `trunkd status`: what each switch's gateways are doing, from Redis.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{Shared, catalog, print, store, templates, unreadable};
use crate::gateway::{Desired, Finding, Severity};
use crate::registration::{PingStatus, State};
use crate::settings::{Flags, Settings};
use crate::store::{Catalog, Row, Store, SwitchState};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Show it again every second, until Ctrl-C
    #[arg(long, conflicts_with = "json")]
    watch: bool,
}

/// In JSON as it stands.
#[derive(Serialize)]
struct Status {
    switches: Vec<Switch>,
    /// What is wrong with gateways in Redis.
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Switch {
    name: String,
    #[serde(flatten)]
    state: SwitchState,
    gateways: Vec<Gateway>,
}

#[derive(Serialize)]
struct Gateway {
    name: String,
    /// `null` when it is desired on this switch and the switch does not have it.
    #[serde(flatten)]
    row: Option<Row>,
    note: Option<String>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let templates = templates(&settings)?;
    let store = store(&settings)?;
    let catalog = catalog(&settings, &store, &templates)?;
    if !arguments.watch {
        let status = read(&settings, &store, &catalog).await?;
        let text = if arguments.json {
            serde_json::to_string_pretty(&status)?
        } else {
            status.table()
        };
        print(&format!("{}\n", text.trim_end()))?;
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        let text = match read(&settings, &store, &catalog).await {
            Ok(status) => status.table(),
            Err(error) => format!("{error:#}\n"),
        };
        // Home, the text, and nothing of what stood below: without blanking the screen first, so that it does not flicker.
        print(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn read(settings: &Settings, store: &Store, catalog: &Catalog) -> anyhow::Result<Status> {
    let switches = store
        .read_switches()
        .await
        .map_err(|error| unreadable(settings, error))?;
    let desired = catalog
        .all()
        .await
        .map_err(|error| unreadable(settings, error))?
        .desired;
    let switches = switches.into_iter().map(|(name, state, rows)| Switch {
        gateways: gateways(&name, rows.into_iter().collect(), &desired),
        name,
        state,
    });
    Ok(Status {
        switches: switches.collect(),
        findings: desired.findings().to_vec(),
    })
}

/// The gateways that the switch has, and those that it should have.
fn gateways(switch: &str, rows: BTreeMap<String, Row>, desired: &Desired) -> Vec<Gateway> {
    let wanted = desired
        .served()
        .values()
        .filter(|entry| entry.gateway.serves(Some(switch)));
    let wanted: BTreeSet<_> = wanted.map(|entry| entry.gateway.name.as_str()).collect();
    let refused = |name: &str| {
        desired
            .findings()
            .iter()
            .find(|finding| finding.severity == Severity::Error && finding.gateway.as_deref() == Some(name))
    };
    let mut gateways: Vec<_> = rows
        .into_iter()
        .map(|(name, row)| {
            let note = match refused(&name) {
                _ if row.stale => Some("switch out of reach: last known state".to_owned()),
                Some(finding) => Some(format!("kept: new value refused, {}", finding.reason)),
                None if !wanted.contains(name.as_str()) => Some("not among the desired gateways".to_owned()),
                None => None,
            };
            Gateway {
                name,
                row: Some(row),
                note,
            }
        })
        .collect();
    let missing: Vec<_> = wanted
        .into_iter()
        .filter(|name| !gateways.iter().any(|gateway| gateway.name == **name))
        .collect();
    gateways.extend(missing.into_iter().map(|name| Gateway {
        name: name.to_owned(),
        row: None,
        note: Some("desired, and not on this switch".to_owned()),
    }));
    gateways.sort_by(|a, b| a.name.cmp(&b.name));
    gateways
}

impl Status {
    fn table(&self) -> String {
        let mut text = String::new();
        if self.switches.is_empty() {
            text.push_str("No switch has been connected yet: name yours in [[switch]] of the settings.\n");
        }
        for switch in &self.switches {
            text.push_str(&switch.table());
            text.push('\n');
        }
        for finding in &self.findings {
            text.push_str(&format!("{finding}\n"));
        }
        text
    }
}

impl Switch {
    fn table(&self) -> String {
        let state = if self.state.connected {
            "connected"
        } else {
            "NOT CONNECTED"
        };
        let count = self.gateways.len();
        let title = format!(
            "{}  {state} since {}, gateways: {count}\n",
            self.name,
            when(self.state.since.parse().ok())
        );
        if self.gateways.is_empty() {
            return title;
        }
        let mut table = Table::new();
        table
            .load_preset(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["GATEWAY", "PROFILE", "STATE", "PING", "SINCE", "ANSWER", "NOTE"]);
        for gateway in &self.gateways {
            table.add_row(gateway.cells());
        }
        format!("{title}{table}\n")
    }
}

impl Gateway {
    fn cells(&self) -> Vec<Cell> {
        let note = Cell::new(self.note.as_deref().unwrap_or_default());
        let Some(row) = &self.row else {
            let absent = [
                Cell::new("-"),
                Cell::new("missing").fg(Color::Yellow),
                Cell::new("-"),
                Cell::new("-"),
                Cell::new(""),
            ];
            return [Cell::new(&self.name)]
                .into_iter()
                .chain(absent)
                .chain([note])
                .collect();
        };
        let answer = [row.status.as_deref(), row.phrase.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ");
        let state = row.state.as_ref().map_or("?", |state| state.as_str());
        let ping = row.ping.as_ref().map_or("?", |ping| ping.as_str());
        vec![
            Cell::new(&self.name),
            Cell::new(row.profile.as_deref().unwrap_or("?")),
            coloured(state, row.stale, state_colour(row)),
            coloured(
                ping,
                row.stale,
                if row.ping == Some(PingStatus::Up) {
                    Color::Green
                } else {
                    Color::Red
                },
            ),
            Cell::new(when(Some(row.since))),
            Cell::new(answer),
            note,
        ]
    }
}

fn coloured(word: &str, stale: bool, colour: Color) -> Cell {
    Cell::new(word).fg(if stale { Color::DarkGrey } else { colour })
}

fn state_colour(row: &Row) -> Color {
    match &row.state {
        Some(State::Reged) => Color::Green,
        Some(State::Noreg) if row.ping == Some(PingStatus::Up) => Color::Green,
        Some(State::Trying | State::Register | State::Unreged | State::Unregister) | None => Color::Yellow,
        Some(_) => Color::Red,
    }
}

/// The time of day, with the date when it was another one.
fn when(at: Option<Timestamp>) -> String {
    let Some(at) = at else { return "?".to_owned() };
    let (at, now) = (
        at.to_zoned(TimeZone::system()),
        Timestamp::now().to_zoned(TimeZone::system()),
    );
    let format = if at.date() == now.date() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    at.strftime(format).to_string()
}
