//! Compares the revisions of the live gateways after each snapshot. A gateway can be replaced by
//! another one of its name without an event reaching us, and neither its state nor its profile need
//! show that.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Ingest;
use crate::event_socket::{Commands, QueryError};
use crate::gateway::GatewayName;

/// Gateways in one question. FreeSWITCH takes about 25 ms for this many (FACTS 26), and the executor's commands wait no
/// longer than that.
const CHUNK: usize = 250;
/// After each question the switch is left alone for this many times as long as it took to answer.
const PAUSE_FACTOR: u32 = 10;

/// A gateway, and which one of its name it is.
type Instance = (GatewayName, u64);

/// What an answer without a revision means: a gateway that is being deleted answers the same as one that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoRevision {
    IsDoubtful,
    IsTrue,
}

impl Ingest {
    pub(super) async fn run_reviser(&self) {
        loop {
            self.snapshot_applied.notified().await;
            if let Err(error) = self.compare_revisions().await
                // Otherwise the connector reports that the switch is gone.
                && self.is_known()
            {
                tracing::warn!(
                    switch = self.switch(),
                    "could not compare the gateways' revisions, retrying after the next snapshot: {error}"
                );
            }
        }
    }

    /// Spread over the time until the next snapshot.
    async fn compare_revisions(&self) -> Result<(), QueryError> {
        let (Some((commands, _)), known) = (self.commands(), self.with_known_revisions()) else {
            return Ok(());
        };
        let chunks = known.chunks(CHUNK);
        let pause = self.timing.resync_interval / u32::try_from(chunks.len() + 1).unwrap_or(u32::MAX);
        let (mut took, mut doubtful) = (Duration::ZERO, Vec::new());
        for (index, chunk) in chunks.enumerate() {
            if index > 0 {
                sleep(pause.max(took * PAUSE_FACTOR)).await;
            }
            let began = Instant::now();
            doubtful.extend(self.compare(&commands, chunk, NoRevision::IsDoubtful).await?);
            took = began.elapsed();
        }
        if !doubtful.is_empty() {
            // A gateway that was being deleted is gone by then.
            sleep(self.timing.settle).await;
            for chunk in doubtful.chunks(CHUNK) {
                self.compare(&commands, chunk, NoRevision::IsTrue).await?;
            }
        }
        Ok(())
    }

    /// Asks for the revisions of these gateways and records the ones that differ. Returns those that had a revision and
    /// answered with none, if that is doubtful.
    async fn compare(
        &self,
        commands: &Commands,
        asked: &[Instance],
        no_revision: NoRevision,
    ) -> Result<Vec<Instance>, QueryError> {
        let names: Vec<_> = asked.iter().map(|(name, _)| name.clone()).collect();
        let answers = commands.revisions(&names).await?;
        let (mut doubtful, mut replaced, mut is_unstored) = (Vec::new(), Vec::new(), false);
        let mut state = self.lock();
        for ((name, instance), revision) in asked.iter().zip(answers) {
            if !state
                .view
                .has_other_revision(name.as_str(), *instance, revision.as_deref())
            {
                continue;
            }
            if revision.is_none() && no_revision == NoRevision::IsDoubtful {
                doubtful.push((name.clone(), *instance));
                continue;
            }
            is_unstored |= state.view.set_revision(name.as_str(), *instance, revision);
            replaced.push(name);
        }
        drop(state);
        if let Some(first) = replaced.first() {
            tracing::warn!(
                switch = self.switch(),
                gateway = %first,
                gateways = replaced.len(),
                "a gateway was replaced on the switch by another one of its name, without an event"
            );
            self.notify_readers();
        }
        if is_unstored {
            self.lookup_within(self.timing.settle);
        }
        Ok(doubtful)
    }

    /// Other names than ours can have no revision.
    fn with_known_revisions(&self) -> Vec<Instance> {
        let state = self.lock();
        if !state.is_known() {
            return Vec::new();
        }
        let known = state.view.with_revision_known(true);
        known
            .filter_map(|(name, instance)| Some((GatewayName::parse(name).ok()?, instance)))
            .collect()
    }
}
