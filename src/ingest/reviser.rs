//! The revisions of live gateways, compared again after each snapshot: a gateway can be replaced by another one of its
//! name without an event that we hear, and neither its state nor its profile need tell of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Ingest;
use crate::event_socket::{Commands, QueryError};
use crate::gateway::GatewayName;

/// Gateways in one question. FreeSWITCH takes some 25 ms for so many (FACTS 26), and the reconciler's commands wait no
/// longer than that.
const AT_ONCE: usize = 250;
/// The switch is kept busy with these questions for at most one part in so many of the time.
const BUSY_SHARE: u32 = 10;

/// A gateway, and which one of its name it is.
type Instance = (GatewayName, u64);

impl Ingest {
    /// Compares all revisions once for each snapshot.
    pub(super) async fn reviser(&self) {
        loop {
            self.listed.notified().await;
            if let Err(error) = self.compare_revisions().await
                // That it went away is told elsewhere.
                && self.is_known()
            {
                tracing::warn!(
                    switch = self.name(),
                    "the gateways' revisions could not be compared, trying again after the next list: {error}"
                );
            }
        }
    }

    /// On a large switch spread over the time until the next snapshot.
    async fn compare_revisions(&self) -> Result<(), QueryError> {
        let (Some((commands, _)), known) = (self.commands(), self.with_known_revisions()) else {
            return Ok(());
        };
        let chunks = known.chunks(AT_ONCE);
        let pause = self.timing.resync_interval / u32::try_from(chunks.len() + 1).unwrap_or(u32::MAX);
        let (mut took, mut empty) = (Duration::ZERO, Vec::new());
        for (index, chunk) in chunks.enumerate() {
            if index > 0 {
                sleep(pause.max(took * BUSY_SHARE)).await;
            }
            let began = Instant::now();
            empty.extend(self.compare(&commands, chunk, Empty::IsDoubted).await?);
            took = began.elapsed();
        }
        if !empty.is_empty() {
            // By then one that is being deleted is gone.
            sleep(self.timing.settle).await;
            for chunk in empty.chunks(AT_ONCE) {
                self.compare(&commands, chunk, Empty::IsTrue).await?;
            }
        }
        Ok(())
    }

    /// Asks for the revisions of these, and takes over what differs. Those that had one and answer with none are left
    /// as they are and returned, unless that is to be believed.
    async fn compare(
        &self,
        commands: &Commands,
        asked: &[Instance],
        no_revision: Empty,
    ) -> Result<Vec<Instance>, QueryError> {
        let names: Vec<_> = asked.iter().map(|(name, _)| name.clone()).collect();
        let answers = commands.revisions(&names).await?;
        let (mut doubted, mut differing, mut is_untold) = (Vec::new(), Vec::new(), false);
        let mut shared = self.lock();
        for ((name, instance), revision) in asked.iter().zip(answers) {
            if !shared.view.differs(name.as_str(), *instance, revision.as_deref()) {
                continue;
            }
            if revision.is_none() && no_revision == Empty::IsDoubted {
                doubted.push((name.clone(), *instance));
                continue;
            }
            is_untold |= shared.view.set_revision(name.as_str(), *instance, revision);
            differing.push(name);
        }
        drop(shared);
        if let Some(first) = differing.first() {
            tracing::warn!(
                switch = self.name(),
                gateway = %first,
                gateways = differing.len(),
                "replaced on the switch by another of its name, and no event told of it"
            );
            self.bump();
        }
        if is_untold {
            self.look_within(self.timing.settle);
        }
        Ok(doubted)
    }

    /// The live gateways of which the revision is known. Other names than ours can have no revision.
    fn with_known_revisions(&self) -> Vec<Instance> {
        let shared = self.lock();
        if !shared.is_known() {
            return Vec::new();
        }
        let known = shared.view.asked();
        known
            .filter_map(|(name, instance)| Some((GatewayName::parse(name).ok()?, instance)))
            .collect()
    }
}

/// What an answer without a revision means: a gateway that is being deleted gives the same as one that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Empty {
    IsDoubted,
    IsTrue,
}
