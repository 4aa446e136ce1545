//! Keeps the last good state on disk, for a trunkd that starts while Redis is away.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::source::LiveSource;
use crate::desired::LastGood;
use crate::gateway::Desired;
use crate::health::{Part, State};
use crate::operate::Noticed;
use crate::reconcile::Others;

/// The pause after a file was written. Edits come in bursts, and each writes a whole file.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(2);
/// How long a write waits for the history. What FreeSWITCH gets after a restart is more important.
const RECORD_LIMIT: Duration = Duration::from_secs(2);
/// Within [`PAUSE`], the pause is this many times as long as writing the file took.
const PAUSE_PER_WRITE: u32 = 20;

/// Keeps the last good state in `data_dir`, forever. A state does not count as good while any
/// of it is held from any switch: a trunkd that starts in the middle of a mistake must know what
/// was before it.
///
/// `others` knows what is held from switches that have no executor here. It is asked every
/// `interval` at the latest, since a hold can go with no edit.
pub(super) async fn keep(
    source: &LiveSource,
    mut others: Others,
    mut noticed: watch::Receiver<Noticed>,
    data_dir: &Path,
    interval: Duration,
) {
    let mut changes = source.changes.subscribe();
    let (mut stored, mut failure) = (None, None);
    let mut write_time = Duration::ZERO;
    // At a start the first answer has priority.
    sleep(*PAUSE.start()).await;
    loop {
        changes.mark_unchanged();
        let accepted = accepted(source, &mut others).await;
        let good = source.catalog.to_keep().filter(|(desired, _)| is(&accepted, desired));
        if let Some((desired, good)) = good.filter(|(desired, _)| !is(&stored, desired)) {
            wait_for_record(&mut noticed, &desired).await;
            let began = Instant::now();
            match write(good, data_dir).await {
                Ok(()) => {
                    write_time = began.elapsed();
                    source.health.set(Part::DataDir, State::Ok, None);
                    (stored, failure) = (Some(desired), None);
                }
                Err(error) => {
                    source.health.set(Part::DataDir, State::Degraded, Some(error.clone()));
                    if failure.as_ref() != Some(&error) {
                        tracing::error!("{error}; a trunkd that starts while Redis is away will have nothing to serve");
                        failure = Some(error);
                    }
                }
            }
        }
        // Two readers may read the same state into different values. Then the next round stores one
        // of them.
        if accepted.is_none_or(|desired| is(&stored, &desired)) || failure.is_some() {
            let _ = timeout(interval, changes.changed()).await;
        }
        sleep((write_time * PAUSE_PER_WRITE).clamp(*PAUSE.start(), *PAUSE.end())).await;
    }
}

/// Waits until the edits up to this state are in the history. The next trunkd compares Redis with the
/// file, so it would not notice what the file has already.
async fn wait_for_record(noticed: &mut watch::Receiver<Noticed>, desired: &Arc<Desired>) {
    // The look that goes on now may have read an earlier state, the one after it can't have.
    let later = noticed.borrow().looks + 2;
    let is_recorded = |noticed: &Noticed| is(&noticed.desired, desired) || noticed.looks >= later;
    let _ = timeout(RECORD_LIMIT, noticed.wait_for(is_recorded)).await;
}

/// The state in Redis, if nothing of it is held from any switch.
async fn accepted(source: &LiveSource, others: &mut Others) -> Option<Arc<Desired>> {
    let current = source.all().await.ok()?;
    others.look(&current.desired).await.then_some(current.desired)
}

async fn write(good: LastGood, data_dir: &Path) -> Result<(), String> {
    let folder = data_dir.to_owned();
    let written = tokio::task::spawn_blocking(move || good.store(&folder)).await;
    match written.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Cancelled: the runtime is shutting down, and trunkd with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Whether `known` is this very state.
fn is(known: &Option<Arc<Desired>>, desired: &Arc<Desired>) -> bool {
    known.as_ref().is_some_and(|known| Arc::ptr_eq(known, desired))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::gateway::{ProfileName, RawDomains, Rules};

    fn state() -> Arc<Desired> {
        let rules = Rules::new(ProfileName::parse("external").unwrap(), BTreeMap::new());
        Arc::new(Desired::build(&RawDomains::default(), &rules, None))
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_kept_when_its_edits_are_in_the_history_or_cannot_be_for_a_while() {
        let (desired, other) = (state(), state());
        let (noticed, receiver) = watch::channel(Noticed {
            desired: Some(other),
            looks: 7,
        });
        let mut later = receiver.clone();
        let mut waiting = std::pin::pin!(wait_for_record(&mut later, &desired));
        let nothing = Duration::from_millis(1);
        assert!(
            timeout(nothing, &mut waiting).await.is_err(),
            "another state is recorded"
        );
        noticed.send_modify(|noticed| noticed.looks += 1);
        assert!(
            timeout(nothing, &mut waiting).await.is_err(),
            "that look may have begun before"
        );
        noticed.send_modify(|noticed| noticed.looks += 1);
        assert!(timeout(nothing, waiting).await.is_ok(), "this one began after");

        noticed.send_modify(|noticed| noticed.desired = Some(desired.clone()));
        let mut receiver = receiver;
        assert!(timeout(nothing, wait_for_record(&mut receiver, &desired)).await.is_ok());
        let began = Instant::now();
        wait_for_record(&mut receiver, &state()).await;
        assert_eq!(began.elapsed(), RECORD_LIMIT);
    }
}
