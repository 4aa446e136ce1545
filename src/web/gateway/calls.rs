//! The calls over a gateway, as a table.

use jiff::Timestamp;

use crate::operate::calls::{CallFigures, CallStats, FailedCall};
use crate::web::texts::Texts;
use crate::web::words;

/// Causes that are named; the rest is in the API.
const CAUSES: usize = 5;
const NONE: &str = "–";

pub(super) struct CallsTable {
    /// The spans of time.
    pub(super) headings: Vec<String>,
    pub(super) rows: Vec<CallsRow>,
    /// `USER_BUSY 12, NO_ANSWER 3`; empty if none failed.
    pub(super) causes: String,
    pub(super) last_failure: String,
    /// What the figures go back to.
    pub(super) since: String,
}

pub(super) struct CallsRow {
    pub(super) label: String,
    /// Each with its heading.
    pub(super) cells: Vec<(String, String)>,
}

impl CallsTable {
    pub(super) fn new(t: Texts, stats: &CallStats, now: Timestamp) -> Self {
        let spans = [&stats.last_5m, &stats.last_1h, &stats.last_24h];
        let headings = ["calls-5m", "calls-1h", "calls-24h"].map(|id| t.get(id).into_owned());
        let row = |id: &str, cell: fn(&CallFigures) -> String| CallsRow {
            label: t.get(id).into_owned(),
            cells: headings
                .iter()
                .cloned()
                .zip(spans.iter().map(|figures| cell(figures)))
                .collect(),
        };
        Self {
            rows: vec![
                row("calls-answered", |figures| figures.answered.to_string()),
                row("calls-failed", |figures| figures.failed.to_string()),
                row("calls-asr", |figures| {
                    figures
                        .asr_percent
                        .map_or_else(|| NONE.to_owned(), |asr| format!("{asr} %"))
                }),
                row("calls-acd", |figures| {
                    figures
                        .acd_seconds
                        .map_or_else(|| NONE.to_owned(), |acd| format!("{acd} s"))
                }),
            ],
            headings: headings.to_vec(),
            causes: causes(&stats.last_24h),
            last_failure: stats
                .last_failure
                .as_ref()
                .map_or_else(String::new, |failed| failure(t, failed, now)),
            since: since(t, stats),
        }
    }
}

/// The most frequent ones first.
fn causes(figures: &CallFigures) -> String {
    let mut causes: Vec<_> = figures.causes.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let named = causes
        .iter()
        .take(CAUSES)
        .map(|(cause, count)| format!("{cause} {count}"));
    let mut named: Vec<_> = named.collect();
    if causes.len() > CAUSES {
        named.push("…".to_owned());
    }
    named.join(", ")
}

fn failure(t: Texts, failed: &FailedCall, now: Timestamp) -> String {
    let sip = failed
        .sip_status
        .map_or_else(String::new, |status| format!(" ({status})"));
    let ago = words::ago(t, failed.at, now);
    t.fill(
        "calls-last-failure",
        &[
            ("cause", &format!("{}{sip}", failed.cause)),
            ("switch", &failed.switch),
            ("ago", &ago),
        ],
    )
}

fn since(t: Texts, stats: &CallStats) -> String {
    let exact = |at: Option<Timestamp>| at.map_or_else(String::new, words::exact);
    match (stats.since, stats.complete_since) {
        (None, _) => t.get("calls-not-counted").into_owned(),
        (since, None) => t.with("calls-not-heard", &exact(since)).into_owned(),
        (since, complete) if since == complete => t.with("calls-since", &exact(since)).into_owned(),
        (since, complete) => t.fill(
            "calls-since-with-gaps",
            &[("since", &exact(since)), ("complete", &exact(complete))],
        ),
    }
}
