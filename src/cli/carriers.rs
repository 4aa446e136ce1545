//! `trunkd carriers`: what happens at each carrier, over all switches. Changes nothing.

use std::process::ExitCode;

use jiff::Timestamp;

use super::status::states_text;
use super::terminal::{self, Size, age, fitted_table};
use super::{Shared, json_text, print};
use crate::operate::carriers::{CarrierList, CarrierQuery, CarrierStatus, MOST_CARRIERS};
use crate::operate::{Caller, Service};
use crate::settings::Flags;
use crate::shown::{shown, shown_line};

const HEADINGS: [&str; COLUMNS] = ["CARRIER", "GATEWAYS", "REG/S", "REFUSED 1H", "CALLS 1H", "NOTE"];
const COLUMNS: usize = 6;
/// The greatest widths on a terminal. The note gets what is left of the line.
const WIDEST: [usize; COLUMNS - 1] = [24, 22, 9, 14, 10];

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this carrier
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// At most this many carriers; the others are one sum
    #[arg(long, value_name = "N", default_value_t = MOST_CARRIERS)]
    limit: usize,
    /// Print one JSON object, as the API answers
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let service = Service::open_with_last_good(&settings)?;
    let query = CarrierQuery {
        name: arguments.name.clone(),
        limit: arguments.limit,
    };
    let carriers = service.carriers(&Caller::cli(), &query).await;
    let carriers = carriers.map_err(|error| error.naming_server(&settings))?;
    if let Some(since) = carriers.stale_since {
        let since = terminal::moment(since, Timestamp::now());
        eprintln!(
            "trunkd: Redis can't be read: these are the carriers of {}",
            shown_line(&since)
        );
    }
    print(&match arguments.json {
        true => json_text(&carriers)?,
        false => text(&carriers.list, terminal::size(), Timestamp::now()),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A line for each carrier. On a terminal, lines are cut to its width; elsewhere nothing is cut.
fn text(list: &CarrierList, size: Option<Size>, now: Timestamp) -> String {
    if list.total == 0 {
        return "No gateway of a carrier is served.\n".to_owned();
    }
    let rows = list.all().map(|carrier| row(carrier, now)).collect();
    let mut text = fitted_table(HEADINGS, &WIDEST, rows, size);
    if list.others.is_some() {
        let others = list.total - list.items.len();
        text.push_str(&format!(
            "\"other\" is the sum of {others} more: name one, or raise --limit\n"
        ));
    }
    text
}

fn row(carrier: &CarrierStatus, now: Timestamp) -> [String; COLUMNS] {
    [
        shown(&carrier.name).to_string(),
        states_text(carrier),
        rate(carrier),
        refused(carrier).unwrap_or_else(|| "-".to_owned()),
        calls(carrier),
        shown_line(&notes(carrier, now).join("; ")).to_string(),
    ]
}

/// `0.5/5`: what it gets, and its limit.
fn rate(carrier: &CarrierStatus) -> String {
    let registers = carrier.registers;
    match registers.limit_per_second {
        Some(limit) => format!("{}/{limit}", registers.per_second),
        None => registers.per_second.to_string(),
    }
}

/// `403: 12, 503: 1`.
fn refused(carrier: &CarrierStatus) -> Option<String> {
    let codes: Vec<_> = carrier
        .refused
        .iter()
        .map(|(code, count)| format!("{code}: {count}"))
        .collect();
    (!codes.is_empty()).then(|| codes.join(", "))
}

/// Answered ones of all.
fn calls(carrier: &CarrierStatus) -> String {
    carrier.call_stats.as_ref().map_or_else(
        || "-".to_owned(),
        |stats| {
            let hour = &stats.last_1h;
            format!("{}/{}", hour.answered, hour.answered + hour.failed)
        },
    )
}

/// What needs attention: out, parked, waiting.
fn notes(carrier: &CarrierStatus, now: Timestamp) -> Vec<String> {
    let mut notes: Vec<_> = carrier
        .outs()
        .map(|(switch, out)| {
            let since = age(now.duration_since(out.since));
            let failing = match (out.failing, out.of) {
                (Some(failing), Some(of)) => format!("{failing} of {of} fail"),
                _ => "most fail".to_owned(),
            };
            format!("OUT on {} for {since}: {failing}", shown(switch))
        })
        .collect();
    notes.extend((carrier.parked > 0).then(|| format!("{} parked", carrier.parked)));
    notes.extend((carrier.waiting > 0).then(|| format!("{} wait for its pace", carrier.waiting)));
    notes
}

/// `sip.example.net: 10 up, 2 down; 0.5/5 REGISTERs a second; refused within the hour: 403: 12; 1 parked`.
pub(super) fn line(carrier: &CarrierStatus, now: Timestamp) -> String {
    let mut parts = vec![states_text(carrier)];
    let registers = carrier.registers.per_second > 0.0 || carrier.registers.limit_per_second.is_some();
    parts.extend(registers.then(|| format!("{} REGISTERs a second", rate(carrier))));
    parts.extend(refused(carrier).map(|codes| format!("refused within the hour: {codes}")));
    parts.extend(notes(carrier, now));
    format!("{}: {}", shown(&carrier.name), parts.join("; "))
}

#[cfg(test)]
mod tests;
