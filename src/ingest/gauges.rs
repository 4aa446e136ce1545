//! What metrics and health say about the gateways of a switch.

use std::collections::BTreeMap;

use super::Ingest;
use crate::health::GatewayCounts;
use crate::metrics;

impl Ingest {
    pub(super) fn publish_gauges(&self) {
        let state = self.lock();
        let mut by_state = BTreeMap::<_, u32>::new();
        let (mut counts, mut challenges) = (GatewayCounts::default(), 0_u32);
        for (_, row) in state.view.rows() {
            let word = row.state.as_ref().map_or("", |state| state.as_str());
            *by_state.entry(metrics::state_label(word)).or_default() += 1;
            *match row.usable {
                Some(true) => &mut counts.usable,
                Some(false) => &mut counts.not_usable,
                None => &mut counts.unknown,
            } += 1;
            counts.ping_stuck += u32::from(row.ping_stuck);
            challenges += u32::from(row.challenge.is_some());
        }
        let (waiting, is_known) = (state.backlog.len(), state.is_known());
        drop(state);
        self.health.set_gateways(&self.part(), is_known.then_some(counts));
        for state in metrics::STATE_LABELS {
            let count = by_state.get(state).copied().unwrap_or_default();
            ::metrics::gauge!(metrics::SWITCH_GATEWAYS, "switch" => self.label(), "state" => state).set(count);
        }
        let usable = [counts.usable, counts.not_usable, counts.unknown];
        for (word, count) in metrics::USABLE_LABELS.into_iter().zip(usable) {
            ::metrics::gauge!(metrics::SWITCH_USABLE, "switch" => self.label(), "usable" => word).set(count);
        }
        ::metrics::gauge!(metrics::SWITCH_PINGS_STUCK, "switch" => self.label()).set(counts.ping_stuck);
        ::metrics::gauge!(metrics::SWITCH_CHALLENGES, "switch" => self.label()).set(challenges);
        #[allow(clippy::cast_precision_loss, reason = "a queue's length is far below 2^52")]
        ::metrics::gauge!(metrics::INGEST_BACKLOG, "switch" => self.label()).set(waiting as f64);
    }
}
