//! The status as text: a line for each switch, then a line for each gateway, worst first.
//!
//! On a terminal, lines are cut to its width. Elsewhere nothing is cut.

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use jiff::Timestamp;

use super::super::carriers;
use super::super::terminal::{Size, age, clip, clock, stamp, width_of, wrap};
use super::note::{counts_text, note};
use crate::gateway::{Finding, Severity};
use crate::operate::carriers::{CarrierList, CarrierStatus};
use crate::operate::status::{Condition, Gateway, Note, NoteCode, Status, Switch, Unplaced};
use crate::registration::{PingStatus, State};
use crate::shown::{shown, shown_line};

/// How many carriers are listed.
const MAX_CARRIERS: usize = 10;
/// How many findings are listed one by one.
const MAX_FINDINGS: usize = 20;
/// Spaces between two columns.
const GAP: usize = 2;
/// Columns are dropped until the notes have this much room, if they need it: enough for `403
/// Forbidden, down for 2 h 10 min, next try in 3 min`.
const NOTE_WIDTH: usize = 54;
/// The beginning of a revision is enough to tell it from another.
const REVISION_CHARS: usize = 8;

/// The columns in their order: heading, and the greatest width on a terminal.
const COLUMNS: [(&str, usize); 10] = [
    ("SWITCH", 16),
    ("GATEWAY", 28),
    ("PROFILE", 16),
    ("STATE", 12),
    ("PING", 10),
    ("SINCE", 24),
    ("DESIRED", 8),
    ("APPLIED", 8),
    ("OBSERVED", 8),
    ("NOTE", usize::MAX),
];
const SWITCH: usize = 0;
const GATEWAY: usize = 1;
const STATE: usize = 3;
const PING: usize = 4;
const NOTE: usize = 9;
/// Dropped in this order if there is no room: APPLIED, OBSERVED, DESIRED, PROFILE, SINCE, PING.
const DROPPED: [usize; 6] = [7, 8, 6, 2, 5, PING];

/// One gateway's line.
struct Line {
    rank: (bool, Condition),
    cells: [String; COLUMNS.len()],
    state_colour: Color,
    ping_colour: Color,
    is_grey: bool,
}

/// The whole status.
pub(super) fn whole(status: &Status, size: Option<Size>, now: Timestamp) -> String {
    let mut out = head(status, size, now);
    out.extend(carriers(&status.carriers, size, now));
    let lines = lines(status, size.is_some(), now);
    out.extend(table(&lines, size));
    for finding in errors(status).take(MAX_FINDINGS) {
        out.extend(paragraph(&finding.to_string(), size));
    }
    if errors(status).count() > MAX_FINDINGS || warnings(status) > 0 {
        out.extend(paragraph(&findings_line(status), size));
    }
    joined(&out)
}

/// As much of the status as fits on the screen, worst first.
pub(super) fn screen(status: &Status, size: Size, now: Timestamp) -> String {
    let mut out = head(status, Some(size), now);
    if errors(status).next().is_some() {
        out.extend(paragraph(&findings_line(status), Some(size)));
    }
    out.truncate(size.lines.saturating_sub(4).max(1));
    let mut lines = lines(status, true, now);
    // One line for the table's heading, one for the cursor.
    let room = size.lines.saturating_sub(out.len() + 2);
    let hidden = match lines.len() > room {
        true => lines.len() - room.saturating_sub(1),
        false => 0,
    };
    lines.truncate(lines.len() - hidden);
    out.extend(table(&lines, Some(size)));
    if hidden > 0 {
        out.push(format!("… and {hidden} more"));
    }
    joined(&out)
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn paragraph(text: &str, size: Option<Size>) -> Vec<String> {
    let text = shown_line(text).to_string();
    match size {
        Some(size) => wrap(&text, size.columns),
        None => vec![text],
    }
}

/// The lines about Redis and about each switch.
fn head(status: &Status, size: Option<Size>, now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(away) = &status.redis_down {
        let text = format!(
            "{}; the desired gateways are those of {} ({} ago)",
            away.reason.en(),
            clock(away.last_good, now),
            age(now.duration_since(away.last_good))
        );
        out.extend(paragraph(&text, size));
    }
    if status.switches.is_empty() {
        let text = "No switch has been connected yet: name yours in [[switch]] of the settings.";
        out.extend(paragraph(text, size));
    }
    let mut switches: Vec<_> = status.switches.iter().collect();
    switches.sort_by_key(|switch| !switch.needs_attention());
    for switch in switches {
        out.extend(paragraph(&summary(switch, now), size));
        // Conflicts of gateways are in their notes.
        let is_of_profile = |note: &&Note| note.code == NoteCode::ProfileNotRunning;
        for conflict in switch.conflicts.iter().filter(is_of_profile) {
            out.extend(paragraph(&format!("  ! {}", conflict.text.en()), size));
        }
    }
    out
}

/// A line for each carrier, if there are several and they say more than the lines of gateways, or if
/// something is wrong with one.
fn carriers(list: &CarrierList, size: Option<Size>, now: Timestamp) -> Vec<String> {
    let mut used: Vec<_> = list.items.iter().filter(|carrier| carrier.gateways > 0).collect();
    let are_sums = used.len() > 1 && used.iter().any(|carrier| carrier.gateways > 1);
    let is_wrong = |carrier: &&CarrierStatus| carrier.parked + carrier.waiting > 0 || carrier.out_since.is_some();
    if !are_sums && !used.iter().any(is_wrong) {
        return Vec::new();
    }
    used.sort_by_key(|carrier| !carrier.needs_attention());
    let more = list.total.saturating_sub(used.len().min(MAX_CARRIERS));
    let lines = used.into_iter().take(MAX_CARRIERS);
    let lines = lines.map(|carrier| format!("carrier {}", carriers::line(carrier, now)));
    let mut out: Vec<_> = lines.flat_map(|line| paragraph(&line, size)).collect();
    out.extend((more > 0).then(|| format!("… and {more} more carriers; `trunkd carriers` lists them")));
    out
}

/// `fs1: 480 up, 12 down, 3 trying; held: removes 40 of 50 (more than 10)`.
fn summary(switch: &Switch, now: Timestamp) -> String {
    let counts = counts_text(&switch.counts);
    let mut parts = match (switch.state.connected, switch.watched) {
        (true, _) if switch.asked => vec![counts, "read from the switch itself".to_owned()],
        (true, true) => vec![counts],
        (true, false) => {
            let since = moment(&switch.state.last_seen, now);
            vec![format!("NOT WATCHED{since}: no trunkd writes"), last_known(switch)]
        }
        (false, _) => {
            let since = moment(&switch.state.since, now);
            let reason = match &switch.state.reason {
                Some(reason) => format!(": {reason}"),
                None if since.is_empty() => ": no trunkd has connected to it yet".to_owned(),
                None => String::new(),
            };
            vec![format!("NOT CONNECTED{since}{reason}"), last_known(switch)]
        }
    };
    let mode = switch.mode.as_deref().filter(|mode| *mode != "apply");
    parts.extend(mode.map(|mode| format!("reconcile.mode: {mode}")));
    parts.extend(switch.paused.then(|| "PAUSED".to_owned()));
    parts.extend(
        switch
            .drained
            .as_ref()
            .map(|drained| format!("DRAINED since {}", clock(drained.at, now))),
    );
    parts.extend((switch.placed > 0).then(|| format!("{} on this switch alone", switch.placed)));
    parts.extend(switch.removals_left.map(|left| format!("removals left: {left}")));
    parts.extend(switch.held.as_ref().map(|held| held.en().to_owned()));
    if switch.held.is_some() && switch.is_store_empty {
        parts.push("`trunkd restore` puts the domains back".to_owned());
    }
    format!("{}: {}", shown(&switch.name), parts.join("; "))
}

fn last_known(switch: &Switch) -> String {
    let counts = counts_text(&switch.counts);
    match switch.gateways.iter().any(|gateway| gateway.since.is_some()) {
        true => format!("last known: {counts}"),
        false => counts,
    }
}

/// ` since 14:02:11 CET (2 h 10 min)`, or nothing if `since` is unknown.
fn moment(since: &str, now: Timestamp) -> String {
    since.parse::<Timestamp>().map_or_else(
        |_| String::new(),
        |since| format!(" since {} ({})", clock(since, now), age(now.duration_since(since))),
    )
}

fn errors(status: &Status) -> impl Iterator<Item = &Finding> {
    let findings = status.findings.iter();
    findings.filter(|finding| finding.severity == Severity::Error)
}

fn warnings(status: &Status) -> usize {
    status.findings.len() - errors(status).count()
}

fn findings_line(status: &Status) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    format!(
        "gateways in Redis: {}, {}; `trunkd check` lists them",
        count(errors(status).count(), "error"),
        count(warnings(status), "warning")
    )
}

fn lines(status: &Status, is_terminal: bool, now: Timestamp) -> Vec<Line> {
    let time = |at| match is_terminal {
        true => clock(at, now),
        false => stamp(at),
    };
    let of_switch = |switch| gateways(switch).map(move |gateway| gateway_line(switch, gateway, now, &time));
    let mut lines: Vec<_> = status.on_no_switch.iter().map(unplaced_line).collect();
    lines.extend(status.switches.iter().flat_map(of_switch));
    // The sort is stable: equal ranks stay ordered by switch and name.
    lines.sort_by_key(|line| line.rank);
    lines
}

fn gateways(switch: &Switch) -> impl Iterator<Item = &Gateway> {
    switch.gateways.iter()
}

fn unplaced_line(gateway: &Unplaced) -> Line {
    let mut cells = std::array::from_fn(|_| "-".to_owned());
    cells[GATEWAY] = shown(&gateway.name).to_string();
    cells[2] = shown(&gateway.profile).to_string();
    cells[STATE] = "on no switch".to_owned();
    cells[NOTE] = shown_line(gateway.note.en()).to_string();
    Line {
        rank: (false, Condition::Missing),
        cells,
        state_colour: Color::Yellow,
        ping_colour: Color::Reset,
        is_grey: false,
    }
}

fn gateway_line(switch: &Switch, gateway: &Gateway, now: Timestamp, time: &impl Fn(Timestamp) -> String) -> Line {
    let has_row = gateway.seen.is_some();
    let or_unknown = |known: Option<&str>| match known {
        Some(known) => shown(known).to_string(),
        None if has_row => "?".to_owned(),
        None => "-".to_owned(),
    };
    let state = match (has_row, gateway.condition) {
        (true, _) => or_unknown(gateway.state.as_ref().map(State::as_str)),
        (false, Condition::Missing) => "missing".to_owned(),
        (false, _) => "?".to_owned(),
    };
    let revision = |revision: &Option<String>| match revision {
        Some(revision) => shown(&revision.chars().take(REVISION_CHARS).collect::<String>()).to_string(),
        None => "-".to_owned(),
    };
    let since = gateway.usable_since.or(gateway.since);
    Line {
        rank: gateway.rank(),
        cells: [
            shown(&switch.name).to_string(),
            shown(&gateway.name).to_string(),
            or_unknown(gateway.profile.as_deref()),
            state,
            ping(gateway, or_unknown(gateway.ping.as_ref().map(PingStatus::as_str))),
            since.map_or_else(|| "-".to_owned(), time),
            revision(&gateway.desired_revision),
            revision(&gateway.applied_revision),
            revision(&gateway.observed_revision),
            shown_line(&note(gateway, now)).to_string(),
        ],
        state_colour: match gateway.condition {
            Condition::Up => Color::Green,
            Condition::Down => Color::Red,
            Condition::Missing | Condition::Trying => Color::Yellow,
            Condition::Unknown => Color::Reset,
        },
        ping_colour: match gateway.ping {
            Some(PingStatus::Up) if !gateway.ping_stuck => Color::Green,
            Some(_) => Color::Red,
            None => Color::Reset,
        },
        is_grey: !(switch.watched || switch.asked) || gateway.stale == Some(true),
    }
}

/// `UP 12 ms`, or `-` if no ping is set.
fn ping(gateway: &Gateway, word: String) -> String {
    match (gateway.ping_every, gateway.ping_stuck, gateway.ping_ms) {
        (Some(0), ..) => "-".to_owned(),
        (_, true, _) => "stuck".to_owned(),
        (_, _, Some(ms)) if gateway.ping == Some(PingStatus::Up) => format!("{word} {ms:.0} ms"),
        _ => word,
    }
}

/// The table's lines, heading first. Empty if there are no gateways.
fn table(lines: &[Line], size: Option<Size>) -> Vec<String> {
    if lines.is_empty() {
        return Vec::new();
    }
    let columns = match size {
        Some(size) => fitted(lines, size.columns),
        None => (0..COLUMNS.len()).map(|column| (column, usize::MAX)).collect(),
    };
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|(column, width)| clip(COLUMNS[*column].0, *width)));
    for line in lines {
        table.add_row(columns.iter().map(|(column, width)| {
            let cell = Cell::new(clip(&line.cells[*column], *width));
            match *column {
                _ if line.is_grey => cell.fg(Color::DarkGrey),
                STATE => cell.fg(line.state_colour),
                PING => cell.fg(line.ping_colour),
                _ => cell,
            }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
    }
    table.lines().collect()
}

/// The columns that fit, with the greatest width of each.
fn fitted(lines: &[Line], width: usize) -> Vec<(usize, usize)> {
    let natural: Vec<usize> = (0..COLUMNS.len())
        .map(|column| {
            let (heading, most) = COLUMNS[column];
            let cells = lines.iter().map(|line| width_of(&line.cells[column]));
            cells.max().unwrap_or(0).max(heading.len()).min(most)
        })
        .collect();
    let has_notes = lines.iter().any(|line| !line.cells[NOTE].is_empty());
    let is_one_switch = lines.iter().all(|line| line.cells[SWITCH] == lines[0].cells[SWITCH]);
    let mut columns: Vec<usize> = (0..COLUMNS.len())
        .filter(|column| match *column {
            SWITCH => !is_one_switch,
            NOTE => has_notes,
            _ => true,
        })
        .collect();
    let before_notes = |columns: &[usize]| -> usize {
        let columns = columns.iter().filter(|column| **column != NOTE);
        columns.map(|column| natural[*column] + GAP).sum()
    };
    let note = if has_notes { natural[NOTE].min(NOTE_WIDTH) } else { 0 };
    for dropped in DROPPED {
        if before_notes(&columns) + note <= width {
            break;
        }
        columns.retain(|column| *column != dropped);
    }
    // They may still be too wide: the rightmost columns get what the others leave.
    let mut left = width;
    columns
        .into_iter()
        .map_while(|column| {
            let most = if column == NOTE {
                left
            } else {
                natural[column].min(left)
            };
            left = left.saturating_sub(most + GAP);
            (most > 0).then_some((column, most))
        })
        .collect()
}
