//! What the page says of gateways that run on exactly one switch.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::operate::placement::{DrainProgress, PlacementOverview, Stuck, SwitchPlacement};
use crate::operate::status::DrainedSince;
use crate::web::address::gateway_url;
use crate::web::sentence::who;
use crate::web::texts::Texts;
use crate::web::words;

/// Those of one switch.
pub(super) struct Placement {
    /// `12 gateways`, `3 leave`.
    pub(super) counts: Vec<String>,
    pub(super) weight: u32,
    pub(super) drain: Option<Drain>,
    /// A change that fires no event is under way.
    pub(super) is_pending: bool,
}

/// How far a drain is.
pub(super) struct Drain {
    pub(super) since: String,
    /// `12 left`, `3 on their way`, `7 calls up`.
    pub(super) left: Vec<String>,
    /// Whether the switch can be stopped. `None` if its calls are not known, or not to this person.
    pub(super) is_over: Option<bool>,
    pub(super) stuck: Option<StuckList>,
}

/// Gateways that can't leave.
pub(super) struct StuckList {
    pub(super) count: usize,
    pub(super) gateways: Vec<StuckRow>,
}

pub(super) struct StuckRow {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) reason: String,
}

/// By switch.
pub(super) fn by_switch(t: Texts, overview: &PlacementOverview, now: Timestamp) -> BTreeMap<String, Placement> {
    let switches = overview.switches.iter().map(|switch| {
        let progress = overview.drains.get(&switch.switch);
        (switch.switch.clone(), Placement::new(t, switch, progress, now))
    });
    switches.collect()
}

impl Placement {
    fn new(t: Texts, switch: &SwitchPlacement, progress: Option<&DrainProgress>, now: Timestamp) -> Self {
        let more = [("placed-leaving", switch.leaving), ("placed-arriving", switch.arriving)];
        let more = more.into_iter().filter(|(_, count)| *count > 0);
        let drained = switch.drained.as_ref();
        let is_waited_for = progress.is_some_and(|progress| progress.calls.is_some() && !progress.is_over());
        Self {
            counts: std::iter::once(("placed-here", switch.gateways))
                .chain(more)
                .map(|(id, count)| t.count(id, count).into_owned())
                .collect(),
            weight: switch.weight,
            drain: drained.map(|since| Drain::new(t, switch, since, progress, now)),
            is_pending: is_waited_for || switch.leaving + switch.arriving > 0,
        }
    }
}

impl Drain {
    fn new(
        t: Texts,
        switch: &SwitchPlacement,
        drained: &DrainedSince,
        progress: Option<&DrainProgress>,
        now: Timestamp,
    ) -> Self {
        let (since, by) = (words::ago(t, drained.at, now), who(t, &drained.by));
        let mut left = vec![
            t.count("drain-left", switch.gateways).into_owned(),
            t.count("drain-leaving", switch.leaving).into_owned(),
        ];
        left.extend(progress.map(|progress| calls(t, progress.calls)));
        Self {
            since: t.fill("drained-since", &[("since", &since), ("by", &by)]),
            left,
            is_over: progress
                .filter(|progress| progress.calls.is_some())
                .map(DrainProgress::is_over),
            stuck: progress.and_then(|progress| StuckList::of(t, progress)),
        }
    }
}

impl StuckList {
    /// `None` if there are none.
    pub(super) fn of(t: Texts, progress: &DrainProgress) -> Option<Self> {
        let row = |stuck: &Stuck| StuckRow {
            name: stuck.gateway.clone(),
            url: gateway_url(&stuck.domain, &stuck.gateway),
            reason: stuck.reason.in_language(t.0).to_owned(),
        };
        (progress.stuck > 0).then(|| Self {
            count: progress.stuck,
            gateways: progress.stuck_gateways.iter().map(row).collect(),
        })
    }

    /// How many are not named.
    pub(super) fn more(&self) -> usize {
        self.count - self.gateways.len()
    }
}

/// `7 calls up`.
pub(super) fn calls(t: Texts, up: Option<u64>) -> String {
    match up.map(usize::try_from) {
        Some(Ok(up)) => t.count("drain-calls", up).into_owned(),
        Some(Err(_)) | None => t.get("drain-calls-unknown").into_owned(),
    }
}
