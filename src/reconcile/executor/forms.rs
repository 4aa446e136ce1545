//! Keeps the fields behind each revision in Redis, so that a plan can say what differs.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::Executor;
use super::switch::{DesiredSource, Switch, Wanted};
use crate::reconcile::plan::{Actual, form};

/// How often within [`Timing::forms_kept`](super::Timing::forms_kept) an executor tells Redis which forms
/// it needs.
const NEEDED_PER_PERIOD: u32 = 24;

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Keeps the forms of what runs and of what is wanted in Redis.
    pub(super) async fn keep_forms(&mut self, Wanted { desired, key }: &Wanted, actual: &Actual) {
        self.need_forms(actual).await;
        let memory = &mut self.memory;
        let unwritten = memory.unwritten.iter().filter_map(|name| {
            let revision = &memory.wants.get(name)?.revision;
            let entry = desired.served().get(name)?;
            (!memory.forms.contains(revision)).then(|| (revision.clone(), form(&entry.gateway, key)))
        });
        let forms: BTreeMap<_, _> = unwritten.collect();
        if !forms.is_empty() && self.store.write_forms(&forms).await.is_err() {
            return;
        }
        memory.unwritten.clear();
        memory.forms.extend(forms.into_keys());
    }

    /// Tells Redis at intervals which forms this switch needs, and writes lost ones again. Forms that no
    /// switch of any trunkd has needed for `forms_kept` are dropped.
    async fn need_forms(&mut self, actual: &Actual) {
        let (now, kept) = (Instant::now(), self.timing.forms_kept);
        let memory = &mut self.memory;
        if memory
            .forms_needed_at
            .is_some_and(|at| now < at + kept / NEEDED_PER_PERIOD)
        {
            return;
        }
        let wanted = memory.wants.values().map(|want| want.revision.clone());
        let runs = actual.gateways.values().filter_map(|have| have.revision.clone());
        let needed: BTreeSet<_> = wanted.chain(runs).collect();
        let Ok(missing) = self.store.need_forms(&needed).await else {
            return;
        };
        let lost = memory.wants.iter().filter(|(_, want)| missing.contains(&want.revision));
        memory.unwritten.extend(lost.map(|(name, _)| name.clone()));
        memory.forms = &needed - &missing;
        memory.forms_needed_at = Some(now);
        // By then every running executor has said what it needs.
        if now.duration_since(self.started) > kept {
            let _ = self.store.drop_old_forms(kept).await;
        }
    }
}
