//! Parks gateways that their carrier refuses again and again, and lets them try later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::Instant;

use super::act::{AT_ONCE, ActionOutcome};
use super::carriers::Registers;
use super::{DesiredSource, Executor, Switch};
use crate::carriers::parking::{FEWEST_TOGETHER, Phase, Rules, Sight, Step, Unparked, carriers_out};
use crate::carriers::{CarrierOut, Expected, Parked};
use crate::control::{Control, JobAction, Parking};
use crate::event_socket::Changes;
use crate::gateway::{Desired, GatewayName};
use crate::history::{Entry, Event};
use crate::metrics;
use crate::reconcile::plan::{Known, Want};
use crate::settings::ReconcileMode;
use crate::shown::shown;

/// What is parked, and what was done about it.
#[derive(Default)]
pub(super) struct ParkingMemory {
    pub(super) known: Parking,
    /// When `register` or `unregister` was last sent.
    sent: BTreeMap<GatewayName, Instant>,
    /// Of these gateways: how many register with each carrier.
    registering: Option<(Arc<Desired>, BTreeMap<String, usize>)>,
    /// Carriers that `/metrics` has shown as out.
    shown_out: BTreeSet<String>,
}

/// What to do about one gateway.
enum Task {
    /// It is refused, for the first time or again.
    Park(Parked),
    Step(Parked, Step),
}

/// A parked gateway that tries again.
struct Try(GatewayName, Parked);

impl Registers for Try {
    fn registers(&self) -> Option<(&GatewayName, Expected)> {
        Some((&self.0, Expected::OfSameInstance))
    }
}

impl ParkingMemory {
    pub(super) fn job_is_done(&mut self, action: JobAction, gateway: &GatewayName) {
        match action {
            JobAction::Restart | JobAction::Register | JobAction::Unpark => drop(self.known.gateways.remove(gateway)),
            JobAction::Park => drop(self.sent.insert(gateway.clone(), Instant::now())),
            JobAction::Unregister => {}
        }
    }

    /// For `/health`.
    pub(super) fn texts(&self) -> Vec<String> {
        let out = self.known.carriers_out.iter().map(|(carrier, out)| {
            let (carrier, CarrierOut { failing, of, since }) = (shown(carrier), out);
            format!("{failing} of {of} gateways of {carrier} fail together since {since}: none of them is parked")
        });
        let count = self.known.gateways.len();
        let noun = if count == 1 { "gateway is" } else { "gateways are" };
        let parked = (count > 0).then(|| format!("{count} {noun} parked"));
        out.chain(parked).collect()
    }

    /// For the report.
    pub(super) fn parked(&self) -> BTreeMap<String, Parked> {
        let parked = self.known.gateways.iter();
        parked
            .map(|(name, parked)| (name.to_string(), parked.clone()))
            .collect()
    }

    /// Gateways that are not to be started.
    pub(super) fn stopped(&self, wants: &BTreeMap<GatewayName, Want>) -> BTreeSet<GatewayName> {
        let stopped = self.known.gateways.iter().filter(|(_, parked)| parked.is_stopped());
        let is_same = |name: &GatewayName, parked: &Parked| {
            wants.get(name).is_some_and(|want| want.is_revision(&parked.revision))
        };
        stopped
            .filter(|(name, parked)| is_same(name, parked))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Reads what is parked. False if Redis can't be read.
    pub(super) async fn read_parking(&mut self) -> bool {
        let name = self.switch.name();
        let Ok(parking) = self.store.read_parking(name).await else {
            return false;
        };
        let stopped = parking.gateways.iter().filter(|(_, parked)| parked.is_stopped());
        let stopped = stopped.map(|(name, _)| name.clone()).collect();
        self.running.set_parked(name, stopped);
        self.show_parking(&parking);
        self.memory.parking.known = parking;
        true
    }

    fn show_parking(&mut self, parking: &Parking) {
        let name = self.switch.name().to_owned();
        #[allow(clippy::cast_precision_loss, reason = "a count of gateways is far below 2^52")]
        let count = parking.gateways.len() as f64;
        ::metrics::gauge!(metrics::PARKED_GATEWAYS, "switch" => name.clone()).set(count);
        let shown_out = &mut self.memory.parking.shown_out;
        shown_out.extend(parking.carriers_out.keys().cloned());
        for carrier in shown_out.iter() {
            let is_out = parking.carriers_out.contains_key(carrier);
            let gauge = ::metrics::gauge!(
                metrics::CARRIER_OUT, "carrier" => carrier.clone(), "switch" => name.clone()
            );
            gauge.set(f64::from(is_out));
        }
    }

    fn park_rules(&self) -> Rules {
        Rules {
            after: self.park_after,
            first_wait: self.timing.first_park,
        }
    }

    /// Does what is due, without the gateways that are `busy`. False if nothing was.
    pub(super) async fn work_on_parking(
        &mut self,
        control: &Control,
        known: &Known,
        busy: &BTreeSet<GatewayName>,
    ) -> bool {
        self.record_carriers(known).await;
        if self.mode != ReconcileMode::Apply || control.is_paused(self.switch.name()) {
            return false;
        }
        let Some((_, changes)) = self.switch.commands() else {
            return false;
        };
        let lasts = self.timing.delete;
        self.memory.parking.sent.retain(|_, sent| sent.elapsed() < lasts);
        let mut tasks = self.parking_tasks(known, Timestamp::now());
        let has_job = |name: &GatewayName| self.memory.jobs.values().any(|job| job.has(name));
        tasks.retain(|(name, _)| !busy.contains(name) && !has_job(name));
        tasks.truncate(AT_ONCE);
        let (mut has_worked, mut tries) = (false, Vec::new());
        for (gateway, task) in tasks {
            has_worked |= match task {
                Task::Park(parked) => self.park(&gateway, &parked, known, &changes).await,
                Task::Step(parked, Step::Confirm) => {
                    self.save_parked(&gateway, Some(&parked.in_phase(Phase::Waiting)), None)
                        .await
                }
                Task::Step(parked, Step::Unpark(why)) => self.unpark(&gateway, &parked, why).await,
                Task::Step(_, Step::Unregister) => self.tell(&gateway, false, known, &changes).await,
                Task::Step(parked, _) => {
                    tries.push(Try(gateway, parked));
                    false
                }
            }
        }
        self.try_again(tries, known, &changes).await || has_worked
    }

    /// What is to be done now. Commands that were just sent have not had their effect yet.
    fn parking_tasks(&self, known: &Known, now: Timestamp) -> Vec<(GatewayName, Task)> {
        let (rules, parking) = (self.park_rules(), &self.memory.parking);
        let mut tasks = Vec::new();
        for (gateway, parked) in &parking.known.gateways {
            let Some(sight) = sight(known, gateway) else { continue };
            let want = self.memory.wants.get(gateway);
            let is_same = want.is_some_and(|want| want.is_revision(&parked.revision));
            let task = match parked.next(is_same, sight, rules, now) {
                None => continue,
                Some(Step::Unregister | Step::Register) if parking.sent.contains_key(gateway) => continue,
                Some(Step::ParkAgain) => match sight {
                    Sight::Unregistered(it) => Task::Park(parked.again(it, rules, now)),
                    Sight::Absent | Sight::Registered => continue,
                },
                Some(step) => Task::Step(parked.clone(), step),
            };
            tasks.push((gateway.clone(), task));
        }
        let to_park = known.not_registered.iter().filter(|(_, it)| it.is_to_park(rules, now));
        for (gateway, it) in to_park.filter(|(gateway, _)| !parking.known.gateways.contains_key(*gateway)) {
            let have = known
                .actual
                .gateways
                .get(gateway)
                .and_then(|have| have.revision.as_ref());
            let want = self.memory.wants.get(gateway);
            // What is about to be restarted with another version may be accepted then.
            let Some(revision) = have.filter(|have| want.is_some_and(|want| want.is_revision(have))) else {
                continue;
            };
            let carrier = self.carrier_of(gateway);
            if carrier.is_none_or(|carrier| !parking.known.carriers_out.contains_key(&carrier)) {
                let parked = Parked::refused(revision, it, rules, now);
                tasks.push((gateway.clone(), Task::Park(parked)));
            }
        }
        // FreeSWITCH would take such a name for every gateway of the profile (FACTS 38).
        tasks.retain(|(gateway, _)| !gateway.means_all());
        tasks
    }

    /// False if Redis did not take it.
    async fn park(&mut self, gateway: &GatewayName, parked: &Parked, known: &Known, changes: &Changes) -> bool {
        let reason = parked.answer().unwrap_or_default();
        let event = Event::Parked {
            reason: reason.clone(),
            tries: parked.tries,
            next_try: parked.next_try,
        };
        // Redis first, so that another trunkd knows after a crash what was begun.
        if !self.save_parked(gateway, Some(parked), Some(event)).await {
            return false;
        }
        let domain = self.memory.wants.get(gateway).map(|want| want.domain.to_string());
        let next_try = parked.next_try.map(|at| at.to_string());
        tracing::warn!(
            switch = self.switch.name(),
            %gateway,
            domain,
            next_try,
            "parked, since its carrier refuses it: {}",
            shown(&reason)
        );
        self.tell(gateway, false, known, changes).await
    }

    async fn unpark(&mut self, gateway: &GatewayName, parked: &Parked, why: Unparked) -> bool {
        let lasted = Timestamp::now().duration_since(parked.since).as_secs();
        let event = Event::Unparked {
            reason: why,
            seconds: lasted.try_into().unwrap_or_default(),
        };
        let is_saved = self.save_parked(gateway, None, Some(event)).await;
        if is_saved {
            tracing::info!(switch = self.switch.name(), %gateway, why = why.as_str(), "no longer parked");
        }
        is_saved
    }

    /// Those that their carriers' pace admits. The plan starts the ones that the switch doesn't have. False if
    /// nothing was begun.
    async fn try_again(&mut self, tries: Vec<Try>, known: &Known, changes: &Changes) -> bool {
        let is_here = |Try(name, _): &Try| known.actual.gateways.contains_key(name);
        let (here, absent): (Vec<_>, Vec<_>) = tries.into_iter().partition(is_here);
        let mut has_worked = false;
        for Try(gateway, parked) in absent {
            let trying = parked.in_phase(Phase::Trying);
            has_worked |= self.save_parked(&gateway, Some(&trying), None).await;
        }
        for Try(gateway, parked) in self.within_pace(here).await {
            let trying = parked.in_phase(Phase::Trying);
            let is_known = parked == trying;
            if is_known || self.save_parked(&gateway, Some(&trying), None).await {
                has_worked |= self.tell(&gateway, true, known, changes).await;
            }
        }
        has_worked
    }

    /// Writes how a gateway is parked. False if Redis did not take it.
    async fn save_parked(&self, gateway: &GatewayName, parked: Option<&Parked>, event: Option<Event>) -> bool {
        if !self.may_change() {
            return false;
        }
        let (name, domain) = (self.switch.name(), self.memory.wants.get(gateway));
        let domain = domain.map(|want| want.domain.to_string());
        let entry = event.map(|event| Entry::of_switch(name, event).with_gateway(gateway.as_str(), domain));
        let saved = self
            .store
            .set_parked(&self.history, name, gateway, parked, entry.as_ref());
        saved.await.is_ok()
    }

    /// Parks or unparks a gateway that a job is about. False if Redis did not take it.
    pub(super) async fn set_parked_by_hand(&self, action: JobAction, gateway: &GatewayName, by: &str) -> bool {
        let is_parked = self.memory.parking.known.gateways.contains_key(gateway);
        let parked = match action {
            JobAction::Park => match self.memory.wants.get(gateway) {
                Some(want) => Some(Parked::by(&want.revision, by, Timestamp::now())),
                None => return true,
            },
            JobAction::Restart | JobAction::Register | JobAction::Unpark if is_parked => None,
            JobAction::Restart | JobAction::Register | JobAction::Unpark | JobAction::Unregister => return true,
        };
        self.save_parked(gateway, parked.as_ref(), None).await
    }

    /// Sends `register` or `unregister`; whether it took effect shows later.
    async fn tell(&mut self, gateway: &GatewayName, registers: bool, known: &Known, changes: &Changes) -> bool {
        let Some(have) = known.actual.gateways.get(gateway) else {
            return false;
        };
        let outcome = self.set_registration(gateway, &have.profile, registers, changes).await;
        self.memory.parking.sent.insert(gateway.clone(), Instant::now());
        let verb = if registers { "register" } else { "unregister" };
        match outcome {
            ActionOutcome::Done => self.count_action(verb, "done"),
            ActionOutcome::Refused(reason) | ActionOutcome::Failed(reason) => {
                self.count_action(verb, "failed");
                tracing::warn!(switch = self.switch.name(), %gateway, "could not {verb}: {reason}");
            }
            ActionOutcome::Yielded | ActionOutcome::Interrupted => {}
        }
        true
    }

    /// Records which carriers are out, and which are back.
    async fn record_carriers(&mut self, known: &Known) {
        let out = self.find_carriers_out(known);
        let before = std::mem::take(&mut self.memory.parking.known.carriers_out);
        let name = self.switch.name();
        for (carrier, it) in out.iter().filter(|(carrier, _)| !before.contains_key(*carrier)) {
            let event = Event::CarrierOut {
                carrier: carrier.clone(),
                failing: it.failing,
                of: it.of,
                since: it.since,
            };
            let entry = Entry::of_switch(name, event);
            let saved = self
                .store
                .set_carrier_out(&self.history, name, carrier, Some(it), Some(&entry));
            if saved.await.is_ok() {
                let (failing, of) = (it.failing, it.of);
                tracing::warn!(
                    switch = name,
                    carrier = %shown(carrier),
                    "{failing} of the carrier's {of} gateways began to fail together: none of them is parked"
                );
            }
        }
        for (carrier, it) in before.iter().filter(|(carrier, _)| !out.contains_key(*carrier)) {
            let lasted = Timestamp::now().duration_since(it.since).as_secs();
            let event = Event::CarrierBack {
                carrier: carrier.clone(),
                seconds: lasted.try_into().unwrap_or_default(),
            };
            let entry = Entry::of_switch(name, event);
            let saved = self
                .store
                .set_carrier_out(&self.history, name, carrier, None, Some(&entry));
            if saved.await.is_ok() {
                let carrier = shown(carrier);
                tracing::info!(switch = name, %carrier, "the carrier's gateways no longer fail together");
            }
        }
        self.memory.parking.known.carriers_out = out;
    }

    fn find_carriers_out(&mut self, known: &Known) -> BTreeMap<String, CarrierOut> {
        let (parked, now) = (&self.memory.parking.known.gateways, Timestamp::now());
        let failing = known
            .not_registered
            .iter()
            .filter(|(name, _)| !parked.contains_key(*name));
        let failing = failing.filter_map(|(name, it)| Some((self.carrier_of(name)?, it.failing_since(now)?)));
        let failing: Vec<_> = failing.collect();
        if failing.len() < FEWEST_TOGETHER {
            return BTreeMap::new();
        }
        let parked: Vec<_> = parked.keys().filter_map(|name| self.carrier_of(name)).collect();
        let registering = self.registering();
        carriers_out(failing, |carrier| {
            let all = registering.get(carrier).copied().unwrap_or_default();
            all.saturating_sub(parked.iter().filter(|of| *of == carrier).count())
        })
    }

    fn carrier_of(&self, gateway: &GatewayName) -> Option<String> {
        let (desired, _) = self.memory.made_of.as_ref()?;
        self.carriers.name_of(&desired.get(gateway.as_str())?.gateway)
    }

    /// How many gateways of this switch register with each carrier.
    fn registering(&mut self) -> &BTreeMap<String, usize> {
        let desired = self.memory.made_of.as_ref().map(|(desired, _)| desired.clone());
        let desired = desired.unwrap_or_default();
        let counted = self.memory.parking.registering.take();
        let counts = match counted.filter(|(of, _)| Arc::ptr_eq(of, &desired)) {
            Some((_, counts)) => counts,
            None => {
                let gateways = desired.served().values().map(|entry| &entry.gateway);
                let here = gateways.filter(|gateway| gateway.serves(Some(self.switch.name())) && gateway.registers());
                let mut counts = BTreeMap::new();
                for carrier in here.filter_map(|gateway| self.carriers.name_of(gateway)) {
                    *counts.entry(carrier).or_default() += 1;
                }
                counts
            }
        };
        &self.memory.parking.registering.insert((desired, counts)).1
    }
}

/// `None` while it is not known what runs under that name, or somebody else started it.
fn sight<'a>(known: &'a Known, gateway: &GatewayName) -> Option<Sight<'a>> {
    match (known.actual.gateways.get(gateway), known.not_registered.get(gateway)) {
        (Some(have), _) if !have.is_ours() => None,
        (Some(_), Some(it)) => Some(Sight::Unregistered(it)),
        (Some(_), None) => Some(Sight::Registered),
        (None, _) => (!known.unsettled.contains(gateway)).then_some(Sight::Absent),
    }
}
