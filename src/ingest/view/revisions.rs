//! What the switch answered when it was asked for the gateways' revisions.

use std::sync::Arc;

use super::View;

impl View {
    /// Records the switch's answer for this instance of a gateway. True when Redis lacks it.
    pub(in crate::ingest) fn set_revision(&mut self, name: &str, instance: u64, revision: Option<String>) -> bool {
        let Some((name, _)) = self.live.get_key_value(name) else {
            return false;
        };
        let name = name.clone();
        let Some(live) = self.live.get_mut(&name).filter(|live| live.instance == instance) else {
            return false;
        };
        let was_known = std::mem::replace(&mut live.is_revision_known, true);
        let is_other = live.row.revision != revision;
        if is_other {
            let row = Arc::make_mut(&mut live.row);
            if row.revision.is_some() {
                // It was restarted with another configuration while nobody listened.
                row.refused = None;
            }
            row.revision = revision;
            live.is_revision_unstored = true;
        }
        if is_other || !was_known {
            self.change_log.record(&name);
        }
        live.is_revision_unstored
    }

    /// Whether this instance of a gateway was known to carry another revision.
    pub(in crate::ingest) fn has_other_revision(&self, name: &str, instance: u64, revision: Option<&str>) -> bool {
        let live = self.live.get(name).filter(|live| live.instance == instance);
        live.is_some_and(|live| live.is_revision_known && live.row.revision.as_deref() != revision)
    }

    pub(in crate::ingest) fn is_revision_known(&self, name: &str) -> bool {
        self.live.get(name).is_some_and(|live| live.is_revision_known)
    }

    /// The gateways whose revision is known, or is not, each with its instance.
    pub(in crate::ingest) fn with_revision_known(&self, is_known: bool) -> impl Iterator<Item = (&Arc<str>, u64)> {
        let found = self
            .live
            .iter()
            .filter(move |(_, live)| live.is_revision_known == is_known);
        found.map(|(name, live)| (name, live.instance))
    }

    /// A snapshot carries the rows of all gateways without a newer event to Redis.
    pub(in crate::ingest) fn mark_snapshot_stored(&mut self) {
        for (_, live) in self.live.iter_mut().filter(|(name, _)| !self.marks.contains_key(*name)) {
            live.is_revision_unstored = false;
        }
    }

    /// The rows of these gateways are on their way to Redis.
    pub(in crate::ingest) fn mark_stored(&mut self, names: &[Arc<str>]) {
        for name in names {
            if let Some(live) = self.live.get_mut(name) {
                live.is_revision_unstored = false;
            }
        }
    }
}
