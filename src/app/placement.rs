//! Starts what watches the switches and what places gateways on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::build::Parts;
use super::source::LiveSource;
use super::tasks::Tasks;
use crate::carriers::Carriers;
use crate::gateway::{Desired, GatewayName};
use crate::history::History;
use crate::ingest::Ingest;
use crate::liveness::{self, Judgement, Liveness, Why};
use crate::placement::{Fleet, Life, Placer, PlacerContext, Runs, Seen};
use crate::settings::{ReconcileMode, SwitchSettings};

/// After `failover_after`: by then every switch that lives was seen.
const SETTLE: Duration = Duration::from_secs(4);

impl Parts {
    pub(super) fn spawn_placement(
        &self,
        tasks: &mut Tasks,
        switches: &[(&SwitchSettings, Arc<Ingest>)],
        holder: &Arc<str>,
    ) {
        let (settings, timing) = (&self.settings, &self.timing);
        let mut liveness = Liveness::new(
            settings,
            self.store.clone(),
            holder.clone(),
            self.health.clone(),
            timing.liveness.clone(),
        );
        for (switch, ingest) in switches {
            liveness.add(switch, ingest.clone());
        }
        let wanted = watch::Sender::new(false);
        let fleet = LiveFleet {
            source: self.source.clone(),
            switches: switches
                .iter()
                .map(|(switch, ingest)| (switch.name.clone(), ingest.clone()))
                .collect(),
            judgement: liveness.judgement(),
        };
        tasks.spawn_cut("liveness of the switches", liveness.run(wanted.subscribe()));
        let is_ours = settings.reconcile.mode == ReconcileMode::Apply;
        let ours = settings.switches.iter().filter(|_| is_ours);
        let placer = Placer::new(PlacerContext {
            fleet,
            wanted,
            store: self.store.clone(),
            history: History::new(self.store.clone(), &settings.history),
            health: self.health.clone(),
            carriers: Carriers::new(&settings.carriers),
            weights: ours.map(|switch| (switch.name.clone(), switch.weight)).collect(),
            holder: holder.clone(),
            patience: timing.patience,
            lease: timing.reconcile.lease,
            settle: settings.placement.failover_after + SETTLE,
        });
        tasks.spawn("placement", |stop| placer.run(stop));
    }
}

/// The fleet, as the placer needs it.
struct LiveFleet {
    source: Arc<LiveSource>,
    /// By name.
    switches: BTreeMap<String, Arc<Ingest>>,
    judgement: watch::Receiver<Judgement>,
}

impl Fleet for LiveFleet {
    async fn desired(&self) -> Option<Arc<Desired>> {
        let current = self.source.all().await.ok()?;
        // A stale state is good enough to be served, but not to move gateways by.
        current.stale.is_none().then_some(current.desired)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.source.changes.subscribe()
    }

    fn lives(&self) -> BTreeMap<String, Seen> {
        let judgement = self.judgement.borrow();
        let seen = |verdict: &liveness::Verdict| Seen {
            life: match verdict.life {
                liveness::Life::Live => Life::Live,
                liveness::Life::Degraded { .. } => Life::Degraded,
                liveness::Life::Dead { .. } => Life::Dead,
                liveness::Life::Unknown => Life::Unknown,
            },
            is_silent: matches!(verdict.why, Why::Silent | Why::CutOff(_)),
        };
        let switches = judgement.switches.iter();
        switches.map(|(name, verdict)| (name.clone(), seen(verdict))).collect()
    }

    fn sees_fewer(&self) -> bool {
        self.judgement.borrow().sees_fewer
    }

    fn runs(&self, switch: &str, gateway: &GatewayName) -> Runs {
        let Some(switch) = self.switches.get(switch) else {
            return Runs::Unknown;
        };
        match switch.running(gateway.as_str()) {
            None => Runs::Unknown,
            Some(None) => Runs::No,
            Some(Some(running)) => Runs::Yes {
                usable: running.usable,
                is_refused: running.is_refused_for_good,
            },
        }
    }
}
