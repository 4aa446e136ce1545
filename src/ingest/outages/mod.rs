//! Records outages in the history: of gateways, and of the switch itself.
//!
//! The writer notes the gateways whose events may begin or end one (`Tracker::concerns`), after the
//! rows are in Redis. This task judges them by their rows and asks Redis to open or close an outage,
//! which takes effect once. After each snapshot it compares all rows with what is open, which makes
//! up for everything that was missed.

mod tracker;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};

use super::Ingest;
use super::backlog::Entry as Waiting;
use super::bounded;
use super::state::Connection;
use crate::backoff::Backoff;
use crate::history::{Entry, Event, History};
use crate::metrics;
use crate::observed::{Change, GatewayOutages, LostSwitch, OutageOp, OutageStep, Row, Stored, Touched};
use crate::redis::StoreError;
use tracker::{Step, Tracker};

/// Gateways that are noted one by one. If there are more, all are compared.
const MAX_NOTED: usize = 16_384;
/// How often gateways are judged that are out if their state lasts.
const SETTLING_INTERVAL: Duration = Duration::from_secs(1);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const MAX_RETRY: Duration = Duration::from_secs(10);
/// Bytes of a reason: the carrier chooses its length.
const MAX_REASON: usize = 256;

/// In which domains gateways are.
pub trait Domains: Send + Sync {
    /// Whether the gateways in Redis were read.
    fn is_known(&self) -> bool;
    /// The domain of the gateway that this switch is served under that name. `None`: it is not ours.
    fn domain(&self, switch: &str, gateway: &str) -> Option<String>;
}

/// Where outages are recorded.
#[derive(Clone)]
pub struct Recorder {
    pub history: History,
    pub domains: Arc<dyn Domains>,
}

/// What the task works on.
#[derive(Default)]
pub(super) struct Outages {
    tracker: Tracker,
    noted: HashSet<Arc<str>>,
    /// All rows are to be compared.
    compare: bool,
}

/// How many gateways a switch has, and how many of them are usable.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    gateways: usize,
    usable: usize,
}

impl Outages {
    fn note(&mut self, written: &[Waiting]) -> bool {
        for entry in written {
            let Change::Set(row) = &entry.observation.change else {
                continue;
            };
            let gateway = &entry.observation.gateway;
            if self.tracker.concerns(gateway, row) {
                self.noted.insert(gateway.clone());
            }
        }
        if self.noted.len() > MAX_NOTED {
            self.noted.clear();
            self.compare = true;
        }
        self.compare || !self.noted.is_empty()
    }
}

impl Counts {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut counts = Self::default();
        for row in rows {
            counts.gateways += 1;
            counts.usable += usize::from(row.usable == Some(true));
        }
        counts
    }
}

impl Ingest {
    /// Rows were written.
    pub(super) fn note_outages(&self, written: &[Waiting]) {
        if self.lock_outages().note(written) {
            self.outages_changed.notify_one();
        }
    }

    /// A snapshot was taken, and Redis has its rows.
    pub(super) fn compare_outages(&self) {
        self.lock_outages().compare = true;
        self.outages_changed.notify_one();
    }

    pub(super) async fn run_outages(&self) {
        let mut backoff = Backoff::new(FIRST_RETRY, MAX_RETRY);
        loop {
            let is_settling = self.lock_outages().tracker.is_settling();
            match is_settling {
                true => drop(timeout(SETTLING_INTERVAL, self.outages_changed.notified()).await),
                false => self.outages_changed.notified().await,
            }
            while !self.recorder.domains.is_known() {
                sleep(SETTLING_INTERVAL).await;
            }
            while self.record_outages().await.is_err() {
                self.lock_outages().compare = true;
                sleep(backoff.delay()).await;
            }
            backoff.reset();
        }
    }

    async fn record_outages(&self) -> Result<(), StoreError> {
        let is_comparison = self.lock_outages().compare;
        let (mut lost, mut over) = (None, Vec::new());
        if is_comparison {
            let known = self.observed.read_outages().await?;
            over = long_over(&known.gateways);
            let open = known.gateways.into_iter();
            let open: BTreeMap<_, _> = open.filter_map(|(name, known)| Some((name, known.open?))).collect();
            self.lock_outages().tracker.load(open);
            lost = known.lost;
        }
        let Some((mut steps, counts)) = self.outage_steps(is_comparison) else {
            return Ok(());
        };
        steps.extend(over);
        if let Some(lost) = lost {
            self.record_back(&lost, counts).await?;
        }
        let recorded = self.observed.record_outages(&self.recorder.history, &steps).await?;
        let mut began = 0;
        let mut outages = self.lock_outages();
        for (step, recorded) in steps.iter().zip(recorded) {
            began += u64::from(recorded.is_new && matches!(step.op, OutageOp::Open { .. }));
            outages.tracker.set(&step.gateway, recorded.open);
        }
        drop(outages);
        ::metrics::counter!(metrics::GATEWAY_OUTAGES, "switch" => self.label()).increment(began);
        Ok(())
    }

    /// Judges what is due. `None` while it is not known what runs: the next snapshot makes up for it.
    fn outage_steps(&self, is_comparison: bool) -> Option<(Vec<OutageStep>, Counts)> {
        let now = Instant::now();
        let (mut judged, mut counts) = (Vec::new(), Counts::default());
        let state = self.lock();
        let mut outages = self.lock_outages();
        let outages = &mut *outages;
        let noted = std::mem::take(&mut outages.noted);
        outages.compare &= !is_comparison;
        if !state.is_known() {
            outages.tracker.forget_settling();
            return None;
        }
        let view = &state.view;
        let tracker = &mut outages.tracker;
        let names: Vec<_> = if is_comparison {
            counts = Counts::of(view.rows().map(|(_, row)| row));
            let gone = tracker.open().filter(|name| view.row(name).is_none());
            view.rows().map(|(name, _)| name).chain(gone).cloned().collect()
        } else {
            noted.iter().chain(tracker.settling()).cloned().collect()
        };
        for name in names {
            if let Some(step) = tracker.judge(&name, view.row(&name), now) {
                judged.push((name, step));
            }
        }
        drop(state);
        let steps = judged.into_iter().map(|(name, step)| self.outage_step(&name, step));
        Some((steps.collect(), counts))
    }

    fn outage_step(&self, gateway: &str, step: Step) -> OutageStep {
        let entry = |event| {
            let domain = self.recorder.domains.domain(self.switch(), gateway);
            Entry::of_switch(self.switch(), event).with_gateway(gateway, domain)
        };
        let op = match step {
            Step::Open { since, reason } => {
                let reason = crate::shown::shown_within(&reason, MAX_REASON).to_string();
                OutageOp::Open {
                    since_ms: since.as_millisecond(),
                    entry: entry(Event::Outage {
                        reason: reason.clone(),
                        since,
                    }),
                    reason,
                }
            }
            Step::Close { outage, up_since } => OutageOp::Close {
                entry: entry(Event::Recovered {
                    outage: outage.id.clone(),
                    seconds: seconds_between(outage.since_ms, up_since),
                    reason: outage.reason,
                }),
                outage: outage.id,
            },
            Step::Drop { outage } => OutageOp::Drop { outage },
        };
        let gateway = gateway.to_owned();
        OutageStep { gateway, op }
    }

    /// The rows of the switch were marked stale.
    pub(super) async fn record_lost(&self, stored: &Stored, touched: &Touched) -> Result<(), StoreError> {
        let reason = match &self.lock().connection {
            Connection::Up { .. } => return Ok(()),
            Connection::Down { reason, .. } => reason.as_ref().map_or_else(|| "out of reach".to_owned(), bounded),
        };
        let seen_ms = touched.sighted_ms.unwrap_or_default();
        let rows = stored.rows.values();
        let rows: Vec<Row> = rows.filter_map(|row| serde_json::from_str(row).ok()).collect();
        let Counts { gateways, usable } = Counts::of(rows.iter());
        let entry = Entry::of_switch(
            self.switch(),
            Event::SwitchLost {
                reason,
                since: i64::try_from(seen_ms)
                    .ok()
                    .and_then(|ms| Timestamp::from_millisecond(ms).ok())
                    .unwrap_or_default(),
                gateways,
                usable,
            },
        );
        let after_ms = self.timing.stale_after.as_millis();
        let history = &self.recorder.history;
        self.observed
            .record_lost(history, &entry, seen_ms, after_ms)
            .await
            .map(drop)
    }

    async fn record_back(&self, lost: &LostSwitch, counts: Counts) -> Result<(), StoreError> {
        let entry = Entry::of_switch(
            self.switch(),
            Event::SwitchBack {
                outage: lost.id.clone(),
                seconds: seconds_between(lost.since_ms, Timestamp::now()),
                gateways: counts.gateways,
                usable: counts.usable,
            },
        );
        let history = &self.recorder.history;
        self.observed.record_back(history, &entry, lost).await.map(drop)
    }

    fn lock_outages(&self) -> MutexGuard<'_, Outages> {
        // After a panic under the lock the next comparison corrects what is in it.
        self.outages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gateways without an outage in the last hour: nothing is kept about them.
fn long_over(known: &BTreeMap<String, GatewayOutages>) -> Vec<OutageStep> {
    let now_ms = Timestamp::now().as_millisecond();
    let is_over = |known: &GatewayOutages| known.open.is_none() && known.within_the_last_hour(now_ms) == 0;
    let over = known.iter().filter(|(_, known)| is_over(known));
    over.map(|(gateway, _)| OutageStep {
        gateway: gateway.clone(),
        op: OutageOp::Drop { outage: String::new() },
    })
    .collect()
}

/// 0 if the clocks of the switch and of this host differ by more.
fn seconds_between(since_ms: i64, until: Timestamp) -> u64 {
    let ms = until.as_millisecond().saturating_sub(since_ms);
    u64::try_from(ms / 1000).unwrap_or_default()
}
