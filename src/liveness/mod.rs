//! Which switches are alive. Each trunkd watches each switch in two ways, the event socket and SIP
//! OPTIONS, and shares what it sees through Redis; from what all see, each comes to the same
//! verdict.
//!
//! Changes no switch and moves no gateway. Watches only while a gateway runs on exactly one switch.

mod options;
mod probe;
mod report;
mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::control::{Sight, Sights, Signal, TrunkdSights};
use crate::event_socket::Commands;
use crate::health::Health;
use crate::redis::Store;
use crate::settings::{ReconcileMode, Settings, SwitchSettings};
use probe::Probe;
use report::Reporter;
pub use verdict::{CutOff, Judge, Judgement, Life, Rules, Verdict, Why};

/// The event socket of a switch, as the owner of the connection sees it.
pub trait EventSocket: Send + Sync {
    /// Its name in the settings.
    fn switch(&self) -> &str;

    /// Never [`Signal::Unknown`].
    fn signal(&self) -> Signal;

    /// SIP does not answer: asks for a sign of life, if it is connected.
    fn doubt(&self);

    /// While it is connected.
    fn commands(&self) -> Option<Commands>;
}

/// How often to look.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Between two OPTIONS to a switch, and between two judgements, which come four times as often while a switch
    /// may be dying. Well below [`SIGHT_LASTS`](crate::control::SIGHT_LASTS).
    pub interval: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
        }
    }
}

/// Watches all switches.
pub struct Liveness {
    /// The name of this trunkd.
    holder: Arc<str>,
    /// Whether it changes switches.
    places: bool,
    store: Store,
    health: Arc<Health>,
    rules: Rules,
    /// The profile that is asked.
    profile: String,
    timing: Timing,
    probes: Vec<Probe>,
    judgement: watch::Sender<Judgement>,
}

impl Liveness {
    pub fn new(settings: &Settings, store: Store, holder: Arc<str>, health: Arc<Health>, timing: Timing) -> Self {
        Self {
            holder,
            places: settings.reconcile.mode == ReconcileMode::Apply,
            store,
            health,
            rules: Rules::from(&settings.placement),
            profile: settings.templates.default_profile.clone(),
            timing,
            probes: Vec::new(),
            judgement: watch::Sender::default(),
        }
    }

    /// Watches this switch too.
    pub fn add(&mut self, switch: &SwitchSettings, event_socket: Arc<dyn EventSocket>) {
        self.probes.push(Probe::new(
            (switch.sip.clone(), switch.address.clone()),
            &self.profile,
            event_socket,
            self.store.clone(),
            self.timing.interval,
        ));
    }

    /// The latest one: renewed each second, and empty while nobody watches or Redis is away.
    pub fn judgement(&self) -> watch::Receiver<Judgement> {
        self.judgement.subscribe()
    }

    /// Watches while `wanted` is true, forever.
    pub async fn run(self, mut wanted: watch::Receiver<bool>) {
        let mut reporter = Reporter::new(self.health.clone());
        loop {
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return std::future::pending().await;
            }
            tokio::select! {
                () = self.watch(&mut reporter) => {}
                _ = wanted.wait_for(|wanted| !*wanted) => {}
            }
            self.probes.iter().for_each(Probe::pause);
            self.judgement.send_replace(Judgement::default());
            reporter.clear();
        }
    }

    async fn watch(&self, reporter: &mut Reporter) {
        let probes = join_all(self.probes.iter().map(Probe::run));
        futures_util::future::join(probes, self.judge(reporter)).await;
    }

    async fn judge(&self, reporter: &mut Reporter) {
        let mut judge = Judge::new(self.rules);
        loop {
            let seen = self.look();
            let exchanged = self.store.exchange_sights((&self.holder, self.places), &seen).await;
            let judgement = match exchanged {
                Ok(sights) => Judgement {
                    sees_fewer: sees_fewer(&self.holder, &sights),
                    ..judge.judge(&sights, Instant::now())
                },
                // The store has logged it.
                Err(_) => Judgement::default(),
            };
            reporter.report(&seen, &judgement);
            // One that may be dying is not to wait for the next round.
            let is_in_doubt = judgement.switches.values().any(|verdict| verdict.life == Life::Unknown);
            let pause = if is_in_doubt {
                self.timing.interval / 4
            } else {
                self.timing.interval
            };
            self.judgement.send_replace(judgement);
            sleep(pause).await;
        }
    }

    /// What this trunkd sees.
    fn look(&self) -> BTreeMap<String, Sight> {
        let sight = |probe: &Probe| {
            let sip = probe.signal();
            if sip.silence().is_some() {
                // A machine that lost its power closes no connection.
                probe.event_socket().doubt();
            }
            Sight {
                event_socket: probe.event_socket().signal(),
                sip,
            }
        };
        let probes = self.probes.iter();
        probes
            .map(|probe| (probe.event_socket().switch().to_owned(), sight(probe)))
            .collect()
    }
}

fn sees_fewer(holder: &str, all: &Sights) -> bool {
    let ours = all.by_trunkd.get(holder).map_or(0, TrunkdSights::connected);
    all.fresh()
        .any(|(sights, _)| sights.places && sights.connected() > ours)
}
