//! A list of gateways, and one gateway, as text.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::status::note;
use super::super::terminal::{Size, fitted_table, moment, width_of, wrap};
use super::place::where_text;
use crate::gateway::Severity;
use crate::operate::calls::{CallFigures, CallStats};
use crate::operate::gateways::{GatewayDetail, ProblemField, Validity};
use crate::operate::listing::{ListedGateway, Page};
use crate::operate::placement::PlacementMode;
use crate::operate::status::{Condition, Gateway};
use crate::shown::{shown, shown_line};

const HEADINGS: [&str; COLUMNS] = ["GATEWAY", "DOMAIN", "PROFILE", "STATE", "UP", "NOTE"];
const COLUMNS: usize = 6;
/// The greatest widths on a terminal. The note gets what is left of the line: in 80 columns at least 13.
const WIDEST: [usize; COLUMNS - 1] = [24, 14, 8, 7, 4];
/// What stands in the place of a secret.
const MASK: &str = "********";

/// A line for each gateway. On a terminal, lines are cut to its width; elsewhere nothing is cut.
pub(super) fn list(page: &Page, size: Option<Size>, now: Timestamp) -> String {
    if page.items.is_empty() {
        return "No gateway is selected.\n".to_owned();
    }
    let rows = page.items.iter().map(|gateway| row(gateway, now)).collect();
    let mut text = fitted_table(HEADINGS, &WIDEST, rows, size);
    let more = page.total - page.items.len().min(page.total);
    if page.next.is_some() {
        text.push_str(&format!("… and {more} more: name fewer, or raise --limit\n"));
    }
    text
}

fn row(gateway: &ListedGateway, now: Timestamp) -> [String; COLUMNS] {
    let up = gateway.switches.iter().filter(|on| on.condition == Condition::Up);
    let up = match gateway.switches.len() {
        0 => "-".to_owned(),
        all => format!("{}/{all}", up.count()),
    };
    [
        shown(&gateway.name).to_string(),
        gateway
            .domain
            .as_ref()
            .map_or_else(|| "-".to_owned(), |domain| shown(domain).to_string()),
        shown(&gateway.profile).to_string(),
        gateway.state.as_str().to_owned(),
        up,
        shown_line(&list_note(gateway, now)).to_string(),
    ]
}

/// Why it isn't served, or what is wrong where it is worst.
fn list_note(gateway: &ListedGateway, now: Timestamp) -> String {
    let worst = gateway.switches.iter().min_by_key(|on| on.rank());
    let of_worst = worst.map(|on| note(on, now)).unwrap_or_default();
    match gateway.validity {
        Some(validity @ (Validity::Disabled | Validity::Invalid | Validity::Shadowed)) if of_worst.is_empty() => {
            validity.as_str().to_owned()
        }
        Some(validity @ (Validity::Disabled | Validity::Invalid | Validity::Shadowed)) => {
            format!("{}; {of_worst}", validity.as_str())
        }
        Some(Validity::Valid | Validity::Kept) | None if of_worst.is_empty() => on_one(gateway),
        Some(Validity::Valid | Validity::Kept) | None => of_worst,
    }
}

/// The switch that has it, if it runs on exactly one.
fn on_one(gateway: &ListedGateway) -> String {
    match (gateway.placement, &gateway.switch) {
        (Some(PlacementMode::One), Some(switch)) => format!("on {} alone", shown(switch)),
        (Some(PlacementMode::One), None) => "on no switch".to_owned(),
        (Some(PlacementMode::All) | None, _) => String::new(),
    }
}

/// Everything about one gateway.
pub(super) fn detail(gateway: &GatewayDetail, size: Option<Size>, now: Timestamp) -> String {
    let validity = gateway.validity.as_str();
    let mut lines = vec![format!("{} in {}: {validity}", gateway.name, shown(&gateway.domain))];
    match &gateway.value {
        Some(value) => {
            let value: Map<String, Value> = serde_json::from_str(value.get()).unwrap_or_default();
            lines.extend(value_lines(value, &gateway.secrets));
        }
        None => lines.push("  its value is no JSON object".to_owned()),
    }
    let placement = gateway.placement.iter();
    let on_one = placement.filter(|placement| placement.placement == PlacementMode::One);
    lines.extend(on_one.map(|placement| where_text("it", placement, now)));
    lines.extend(gateway.switches.iter().map(|on| switch_line(on, now)));
    lines.extend(gateway.call_stats.iter().flat_map(|stats| call_lines(stats, now)));
    lines.extend(gateway.findings.iter().map(problem_line));
    let lines = lines.iter().flat_map(|line| {
        let line = shown_line(line).to_string();
        size.map_or_else(|| vec![line.clone()], |size| wrap(&line, size.columns))
    });
    lines.map(|line| line + "\n").collect()
}

/// `  profile   internal`, and objects with a line for each of their keys.
fn value_lines(mut value: Map<String, Value>, secrets: &[String]) -> Vec<String> {
    for secret in secrets {
        if let Some((key, name)) = secret.split_once('.') {
            let members = value.entry(key).or_insert_with(|| Map::new().into());
            if let Some(members) = members.as_object_mut() {
                members.insert(name.to_owned(), MASK.into());
            }
        }
    }
    let pairs: Vec<(String, String)> = value.iter().flat_map(|(key, value)| pairs(key, value)).collect();
    let width = pairs.iter().map(|(name, _)| width_of(name)).max().unwrap_or(0);
    let line = |(name, value): &(String, String)| {
        let gap = " ".repeat(width - width_of(name));
        format!("  {name}{gap}  {value}")
    };
    pairs.iter().map(line).collect()
}

/// `param.realm` and its value, as they are assigned.
fn pairs(key: &str, value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => shown(text).to_string(),
        other => shown(&other.to_string()).to_string(),
    };
    match value {
        Value::Object(members) if matches!(key, "param" | "params" | "variables" | "variable") => members
            .iter()
            .map(|(name, value)| (format!("{key}.{}", shown(name)), text(value)))
            .collect(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(text).collect();
            vec![(shown(key).to_string(), items.join(", "))]
        }
        value => vec![(shown(key).to_string(), text(value))],
    }
}

/// `fs1: up, REGED since 2026-11-24T14:02:11+01:00, ping 12 ms`.
fn switch_line(gateway: &Gateway, now: Timestamp) -> String {
    let mut parts = vec![gateway.condition.as_str().to_owned()];
    if let Some(state) = &gateway.state {
        let since = gateway.usable_since.or(gateway.since);
        let since = since.map_or_else(String::new, |since| format!(" since {}", moment(since, now)));
        parts.push(format!("{state}{since}"));
    }
    parts.extend(gateway.ping_ms.map(|ms| format!("ping {ms:.0} ms")));
    let note = note(gateway, now);
    parts.extend((!note.is_empty()).then_some(note));
    if !gateway.watched {
        parts.push("no trunkd is connected to the switch".to_owned());
    }
    format!("{}: {}", shown(&gateway.switch), parts.join(", "))
}

/// `calls of the last 1h: 3 answered, 1 failed, ASR 75 %, ACD 61.5 s`. Nothing unless some trunkd saved them.
fn call_lines(stats: &CallStats, now: Timestamp) -> Vec<String> {
    if stats.since.is_none() {
        return Vec::new();
    }
    let spans = [("5m", &stats.last_5m), ("1h", &stats.last_1h), ("24h", &stats.last_24h)];
    let mut lines: Vec<_> = spans
        .into_iter()
        .map(|(span, figures)| format!("calls of the last {span}: {}", call_figures(figures)))
        .collect();
    lines.extend(stats.last_failure.as_ref().map(|failed| {
        let sip = failed
            .sip_status
            .map_or_else(String::new, |status| format!(" (SIP {status})"));
        let (cause, switch, at) = (failed.cause, shown(&failed.switch), moment(failed.at, now));
        format!("last failed call: {cause}{sip} on {switch}, {at}")
    }));
    lines
}

fn call_figures(figures: &CallFigures) -> String {
    if figures.answered + figures.failed == 0 {
        return "none".to_owned();
    }
    let mut parts = vec![
        format!("{} answered", figures.answered),
        format!("{} failed", figures.failed),
    ];
    parts.extend(figures.asr_percent.map(|asr| format!("ASR {asr} %")));
    parts.extend(figures.acd_seconds.map(|acd| format!("ACD {acd} s")));
    parts.join(", ")
}

/// `error: param.password: is not set; set it`.
pub(in crate::cli) fn problem_line(problem: &ProblemField) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = problem.pointer.trim_start_matches('/').replace('/', ".");
    let place = place.replace("~1", "/").replace("~0", "~");
    let place = match place.is_empty() {
        true => String::new(),
        false => format!("{place} "),
    };
    let line = format!("{severity}: {place}{}; {}", problem.reason.en(), problem.fix.en());
    shown_line(&line).to_string()
}

#[cfg(test)]
mod tests;
