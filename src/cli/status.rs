//! `trunkd status`: what each switch's gateways are doing, from Redis.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{Shared, catalog, is_watched, print, store, templates, unreadable};
use crate::gateway::{Desired, Finding};
use crate::reconcile::{Want, wants};
use crate::registration::{PingStatus, State};
use crate::settings::{Flags, Settings};
use crate::store::{Catalog, Report, Row, Store, StoreError, SwitchState};

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
    /// Whether a trunkd is connected to it now: else what follows is what was last known.
    watched: bool,
    paused: bool,
    /// `apply` or `observe`; `null` when no reconciler ever looked at it.
    mode: Option<String>,
    /// Why its plan waits, if it does.
    held: Option<String>,
    /// What an operator must mend.
    conflicts: Vec<String>,
    gateways: Vec<Gateway>,
}

/// The keys are always there. All but `name`, `desired_revision` and `note` are `null` when it is desired and the switch does not have it.
#[derive(Serialize)]
struct Gateway {
    name: String,
    profile: Option<String>,
    state: Option<State>,
    ping: Option<PingStatus>,
    status: Option<String>,
    phrase: Option<String>,
    since: Option<Timestamp>,
    seen: Option<Timestamp>,
    stale: Option<bool>,
    /// Of what Redis holds now; `null` when it is not desired, or refused.
    desired_revision: Option<String>,
    /// What trunkd brings onto the switch: older than the desired one while that is refused or not noticed yet.
    applied_revision: Option<String>,
    /// What the switch runs.
    observed_revision: Option<String>,
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
            Err(error) => format!("{error}\n"),
        };
        // Home, the text, and nothing of what stood below: without blanking the screen first, so that it does not flicker.
        print(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")))?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn read(settings: &Settings, store: &Store, catalog: &Arc<Catalog>) -> anyhow::Result<Status> {
    let away = |error: StoreError| unreadable(settings, error);
    let switches = store.read_switches().await.map_err(away)?;
    let current = catalog.all().await.map_err(|error| unreadable(settings, error))?;
    let has_key = store.has_key().await.map_err(away)?;
    let control = store.read_control().await.map_err(away)?;
    let mut reports = store.read_reports().await.map_err(away)?;
    let now = Timestamp::now();
    let switches = switches.into_iter().map(|(name, state, rows)| {
        let wants = wants(&current.desired, &current.key, &name);
        let revision = |want: Want| has_key.then_some(want.revision);
        let view = View {
            watched: is_watched(&state, now),
            paused: control.is_paused(&name),
            report: reports.remove(&name),
            wants: wants
                .into_iter()
                .map(|(name, want)| (name.to_string(), revision(want)))
                .collect(),
            desired: &current.desired,
        };
        view.switch(name, state, rows)
    });
    Ok(Status {
        switches: switches.collect(),
        findings: current.desired.findings().to_vec(),
    })
}

/// What the rows of one switch are compared with.
struct View<'a> {
    watched: bool,
    paused: bool,
    report: Option<Report>,
    /// The desired gateways, with their revisions where those can be known.
    wants: BTreeMap<String, Option<String>>,
    desired: &'a Desired,
}

impl View<'_> {
    /// The gateways that the switch has, and those that it should have.
    fn switch(self, name: String, state: SwitchState, rows: HashMap<String, Row>) -> Switch {
        let names: BTreeSet<_> = rows.keys().chain(self.wants.keys()).cloned().collect();
        let gateways = names
            .into_iter()
            .map(|gateway| {
                let row = rows.get(&gateway);
                let note = self.note(&gateway, row, state.connected);
                self.gateway(gateway, row.cloned(), note)
            })
            .collect();
        let report = self.report.as_ref();
        Switch {
            name,
            state,
            watched: self.watched,
            paused: self.paused,
            mode: report.map(|report| report.mode.clone()),
            held: report.and_then(|report| report.held.clone()),
            conflicts: report.map(|report| report.conflicts.clone()).unwrap_or_default(),
            gateways,
        }
    }

    fn gateway(&self, name: String, row: Option<Row>, note: Option<String>) -> Gateway {
        let observed = row.as_ref().and_then(|row| row.revision.clone());
        let applied = self
            .report
            .as_ref()
            .and_then(|report| report.pending.get(&name).or(observed.as_ref()));
        Gateway {
            profile: row.as_ref().and_then(|row| row.profile.clone()),
            state: row.as_ref().and_then(|row| row.state.clone()),
            ping: row.as_ref().and_then(|row| row.ping.clone()),
            status: row.as_ref().and_then(|row| row.status.clone()),
            phrase: row.as_ref().and_then(|row| row.phrase.clone()),
            since: row.as_ref().map(|row| row.since),
            seen: row.as_ref().map(|row| row.seen),
            stale: row.as_ref().map(|row| row.stale),
            desired_revision: self.wants.get(&name).cloned().flatten(),
            applied_revision: applied.cloned(),
            observed_revision: observed,
            name,
            note,
        }
    }

    /// Why the gateway is not as it should be, if so.
    fn note(&self, name: &str, row: Option<&Row>, connected: bool) -> Option<String> {
        if row.is_some_and(|row| row.stale) {
            return Some("switch out of reach: last known state".to_owned());
        }
        let runs = row.and_then(|row| row.revision.as_ref());
        let report = self.report.as_ref();
        if let (Some(_), Some(refused)) = (runs, self.desired.refused().get(name)) {
            return Some(format!("kept: new value refused, {}", refused.reason));
        }
        if let Some(reason) = report.and_then(|report| report.troubles.get(name)) {
            return Some(reason.clone());
        }
        let about = format!("gateway {name} ");
        if let Some(conflict) = report.and_then(|report| report.conflicts.iter().find(|text| text.starts_with(&about)))
        {
            return Some(conflict.clone());
        }
        match (self.wants.get(name), row) {
            (Some(_), None) if !connected => Some("switch not connected".to_owned()),
            (Some(_), None) => Some(format!("desired, and not on this switch: {}", self.waits())),
            (Some(Some(wanted)), Some(_)) if runs.is_some_and(|runs| runs != wanted) => {
                Some(format!("the edit is not on this switch: {}", self.waits()))
            }
            (None, Some(_)) if runs.is_some() => Some(format!("no longer desired: {}", self.waits())),
            (None, Some(_)) => Some("not ours, and not among the desired gateways".to_owned()),
            (Some(_), Some(row)) => answer(row),
            (None, None) => None,
        }
    }

    /// Why what differs has not been done.
    fn waits(&self) -> String {
        let report = self.report.as_ref();
        match report {
            _ if !self.watched => "no trunkd is connected to it".to_owned(),
            Some(Report { held: Some(held), .. }) => held.clone(),
            _ if self.paused => "paused".to_owned(),
            Some(report) if report.mode != "apply" => format!("reconcile.mode is {:?}", report.mode),
            Some(_) => "under way".to_owned(),
            None => "no reconciler looks at it".to_owned(),
        }
    }
}

/// `401 Unauthorized since 14:02:15`.
fn answer(row: &Row) -> Option<String> {
    let status = row.status.as_ref()?;
    let phrase = row.phrase.as_deref().unwrap_or_default();
    let is_well = matches!(row.state, Some(State::Reged | State::Noreg));
    (!is_well).then(|| {
        format!(
            "{} since {}",
            format!("{status} {phrase}").trim_end(),
            when(Some(row.since))
        )
    })
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
        let mut title = format!("{}  {}, gateways: {}", self.name, self.standing(), self.gateways.len());
        if let Some(mode) = self.mode.as_deref().filter(|mode| *mode != "apply") {
            title.push_str(&format!(", reconcile.mode: {mode}"));
        }
        if self.paused {
            title.push_str(", PAUSED");
        }
        if let Some(held) = &self.held {
            title.push_str(&format!(", {held}"));
        }
        title.push('\n');
        let of_gateway = |conflict: &&String| conflict.starts_with("gateway ");
        for conflict in self.conflicts.iter().filter(|conflict| !of_gateway(conflict)) {
            title.push_str(&format!("  ! {conflict}\n"));
        }
        if self.gateways.is_empty() {
            return title;
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header([
            "GATEWAY", "PROFILE", "STATE", "PING", "SINCE", "DESIRED", "APPLIED", "OBSERVED", "NOTE",
        ]);
        for gateway in &self.gateways {
            table.add_row(gateway.cells(self));
        }
        format!("{title}{table}\n")
    }

    fn standing(&self) -> String {
        let since = |text: &str| when(text.parse().ok());
        match (self.state.connected, self.watched) {
            (true, true) => format!("connected since {}", since(&self.state.since)),
            (true, false) => format!("NOT WATCHED since {}: no trunkd writes", since(&self.state.last_seen)),
            (false, _) => format!("NOT CONNECTED since {}", since(&self.state.since)),
        }
    }
}

impl Gateway {
    fn cells(&self, switch: &Switch) -> Vec<Cell> {
        let grey = !switch.watched || self.stale == Some(true);
        let (state, ping) = match self.since {
            Some(_) => (
                self.state.as_ref().map_or("?", State::as_str),
                self.ping.as_ref().map_or("?", PingStatus::as_str),
            ),
            None if switch.state.connected => ("missing", "-"),
            None => ("?", "-"),
        };
        let ping_colour = match self.ping {
            Some(PingStatus::Up) => Color::Green,
            Some(_) => Color::Red,
            None => Color::Reset,
        };
        let revision = |revision: &Option<String>| match revision {
            Some(revision) => Cell::new(revision.chars().take(8).collect::<String>()),
            None => Cell::new("-"),
        };
        vec![
            coloured(&self.name, grey, Color::Reset),
            Cell::new(
                self.profile
                    .as_deref()
                    .unwrap_or(if self.since.is_some() { "?" } else { "-" }),
            ),
            coloured(state, grey, self.state_colour()),
            coloured(ping, grey, ping_colour),
            Cell::new(if self.since.is_some() {
                when(self.since)
            } else {
                "-".to_owned()
            }),
            revision(&self.desired_revision),
            revision(&self.applied_revision),
            revision(&self.observed_revision),
            Cell::new(self.note.as_deref().unwrap_or_default()),
        ]
    }

    fn state_colour(&self) -> Color {
        match &self.state {
            Some(State::Reged) => Color::Green,
            Some(State::Noreg) if self.ping == Some(PingStatus::Up) => Color::Green,
            Some(State::Trying | State::Register | State::Unreged | State::Unregister) | None => Color::Yellow,
            Some(_) => Color::Red,
        }
    }
}

fn coloured(word: &str, grey: bool, colour: Color) -> Cell {
    Cell::new(word).fg(if grey { Color::DarkGrey } else { colour })
}

/// The time of day, with the date when it was another one.
fn when(at: Option<Timestamp>) -> String {
    let Some(at) = at else { return "?".to_owned() };
    let (at, now) = (
        at.to_zoned_datetime(TimeZone::system()),
        Timestamp::now().to_zoned_datetime(TimeZone::system()),
    );
    let format = if at.date() == now.date() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    at.strftime(format).to_string()
}
