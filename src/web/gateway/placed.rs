//! Where a gateway is that runs on exactly one switch.

use jiff::Timestamp;

use crate::gateway::{Move, PlacedFor};
use crate::operate::placement::Where;
use crate::web::sentence::who;
use crate::web::texts::Texts;
use crate::web::words;

pub(super) struct PlacedView {
    /// Empty while it moves, or if it has none.
    pub(super) switch: String,
    pub(super) since: String,
    pub(super) since_exact: String,
    /// Why it is there, or why it moves.
    pub(super) reason: String,
    /// Who asked for it.
    pub(super) by: String,
    /// The move that is under way.
    pub(super) step: Option<String>,
    /// Why it has no switch.
    pub(super) note: String,
    /// The switches that it may move to.
    pub(super) targets: Vec<String>,
}

impl PlacedView {
    pub(super) fn new(t: Texts, place: &Where, targets: Vec<String>, now: Timestamp) -> Self {
        let placed = place.placed.as_ref();
        let step = placed.and_then(|placed| placed.step.as_ref());
        let note = place.note.as_ref();
        Self {
            switch: place.switch.clone().unwrap_or_default(),
            since: placed.map_or_else(String::new, |placed| words::ago(t, placed.since, now)),
            since_exact: placed.map_or_else(String::new, |placed| words::exact(placed.since)),
            reason: placed.map_or_else(String::new, |placed| t.get(reason(placed.reason)).into_owned()),
            by: placed.map_or_else(String::new, |placed| who(t, &placed.by)),
            step: step.map(|step| move_text(t, step)),
            note: note.map_or_else(String::new, |note| note.in_language(t.0).to_owned()),
            targets,
        }
    }
}

fn reason(reason: PlacedFor) -> &'static str {
    match reason {
        PlacedFor::First => "placed-first",
        PlacedFor::Failover => "placed-failover",
        PlacedFor::Drain => "placed-drain",
        PlacedFor::Edit => "placed-edit",
        PlacedFor::Failback => "placed-failback",
        PlacedFor::Asked => "placed-asked",
        PlacedFor::Rebalance => "placed-rebalance",
        PlacedFor::Returned => "placed-returned",
    }
}

fn move_text(t: Texts, step: &Move) -> String {
    let text = match step {
        Move::Waiting { to } => t.with("move-waiting", to),
        Move::Leaving { to } => t.with("move-leaving", to),
        Move::Arriving { from } => t.with("move-arriving", from),
    };
    text.into_owned()
}
