//! Small tasks that run as long as trunkd does: reading at intervals, reloading on SIGHUP, removing
//! switches that are gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::source::LiveSource;
use crate::backoff::Backoff;
use crate::http::Tls;
use crate::keys::StatusKeys;
use crate::observed::Observed;
use crate::redis::Store;
use crate::shown::shown;

/// Reads the desired gateways every `interval`, so that invalid ones are reported and counted even
/// if nobody asks. In between, pings Redis, so that `/health` notices when it goes and comes back.
pub(super) async fn refresh(source: Arc<LiveSource>, store: Store, interval: Duration) {
    const PING_INTERVAL: Duration = Duration::from_secs(5);
    let mut backoff = Backoff::new(Duration::from_millis(200), PING_INTERVAL);
    loop {
        source.report_unknown_switches();
        let next_read = match source.read_again().await {
            Ok(current) if current.stale.is_none() => {
                backoff.reset();
                Instant::now() + interval
            }
            Ok(_) | Err(_) => Instant::now() + backoff.delay(),
        };
        while Instant::now() < next_read {
            sleep_until(next_read.min(Instant::now() + PING_INTERVAL)).await;
            if store.ping().await.is_ok() && !source.is_fresh() {
                break;
            }
        }
    }
}

/// Reloads the templates and the TLS files at each SIGHUP.
pub(super) async fn reload_on_sighup(source: Arc<LiveSource>, tls: Vec<Arc<Tls>>, stop: CancellationToken) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::error!("cannot listen for SIGHUP, so a reload takes a restart: {error}");
            return stop.cancelled().await;
        }
    };
    while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
        source.reload_templates();
        for tls in &tls {
            match tls.reload() {
                Ok(()) => tracing::info!(section = tls.section(), "TLS files reloaded"),
                Err(error) => tracing::error!("TLS files refused, those loaded before stay in use: {error}"),
            }
        }
    }
}

/// A switch is gone once no settings have named it for a day, in units of the time after which a
/// switch is stale (60 s).
const GONE_AFTER: u32 = 1440;
/// The pause between two searches for such switches, in the same unit: 10 minutes.
const GONE_INTERVAL: u32 = 10;

/// Removes what Redis has of switches that the settings no longer name.
///
/// A switch that another trunkd sees stays: its settings may still name it. At the start, a switch
/// that is not named was just taken out of the settings, and is removed as soon as it is stale; a
/// trunkd without any switch removes nothing then. Later, a switch is removed a day after the last
/// trunkd that watched it went away.
pub(super) async fn remove_gone_switches(
    store: Store,
    names: Vec<String>,
    keys: Arc<StatusKeys>,
    instance: Arc<str>,
    stale_after: Duration,
) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    let gone_after = stale_after * GONE_AFTER;
    let mut is_start = !names.is_empty();
    loop {
        let limits = match is_start {
            true => (stale_after, Duration::ZERO),
            false => (gone_after, gone_after),
        };
        let known = store.switch_names().await;
        let unnamed = known.iter().flatten().filter(|known| !names.contains(known));
        let (mut remaining, mut failed) = (0, known.is_err());
        for name in unnamed {
            let observed = Observed::new(store.clone(), keys.clone(), name, instance.clone());
            match observed.forget(limits.0, limits.1).await {
                Ok(true) => {
                    let switch = shown(name);
                    tracing::info!(%switch, "not in the settings any more: its states were removed from Redis");
                    failed |= store.forget_sip_address(name).await.is_err();
                }
                Ok(false) => remaining += 1,
                Err(_) => failed = true,
            }
        }
        match (failed, remaining) {
            (true, _) => sleep(backoff.delay()).await,
            (false, 1..) if is_start => sleep(stale_after).await,
            (false, _) => {
                is_start = false;
                sleep(stale_after * GONE_INTERVAL).await;
            }
        }
    }
}
