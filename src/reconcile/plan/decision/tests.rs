//! Several trunkd and one switch, with every kind of failure. The switch never loses more than was
//! approved plus the limit, and every hold can be released.
//!
//! The deciding code is real: [`Served`], the plan, the guard, the order. Redis, FreeSWITCH and the
//! lease are models of a few lines, and so is what the executor does between decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::control::{OrderContent, Report, Reports};
use crate::gateway::RevisionKey;
use crate::gateway::{ProfileFacts, ProfileName, RawDomain, RawDomains, Rules};
use crate::reconcile::plan::wants;
use crate::reconcile::plan::{Ordered, shown_change as shown};
use crate::reconcile::{Actual, Guard, Have};

const SWITCH: &str = "fs1";
const GATEWAYS: usize = 14;
const TRUNKDS: usize = 3;
const LIMIT: usize = 3;
const WINDOW: Duration = Duration::from_secs(600);
const SETTLE: Duration = Duration::from_secs(60);
const GUARD: Guard = Guard {
    limits: Limits {
        max_removals: Some(LIMIT),
    },
    window: WINDOW,
    // No time passes between an event and the next decision.
    confirm: Duration::ZERO,
    settle: SETTLE,
};

#[derive(Debug, Clone)]
enum Event {
    Remove(BTreeSet<usize>),
    /// Adds or edits gateways.
    Set(BTreeSet<usize>),
    Flush,
    /// One trunkd checks the switch and does what it may.
    DecisionInput(usize),
    /// The switch stops.
    Stop,
    /// The switch boots and asks that trunkd. If the flag is set, all trunkd see it first, while it
    /// runs nothing yet.
    Boot(usize, bool),
    /// An operator kills a gateway by hand.
    KillByHand(usize),
    CutFromRedis(usize, bool),
    CutFromSwitch(usize, bool),
    Restart(usize),
    GiveLease(usize),
    Pause(bool),
    /// An operator sees the plan, and orders it after this many of the following events.
    Apply(usize),
    Wait(u64),
}

fn any_event() -> impl Strategy<Value = Event> {
    let some = || prop::collection::btree_set(0..GATEWAYS, 1..6);
    let trunkd = || 0..TRUNKDS;
    prop_oneof![
        6 => some().prop_map(Event::Remove),
        4 => some().prop_map(Event::Set),
        1 => Just(Event::Flush),
        12 => trunkd().prop_map(Event::DecisionInput),
        2 => Just(Event::Stop),
        4 => (trunkd(), any::<bool>()).prop_map(|(trunkd, is_seen)| Event::Boot(trunkd, is_seen)),
        1 => (0..GATEWAYS).prop_map(Event::KillByHand),
        2 => (trunkd(), any::<bool>()).prop_map(|(trunkd, is_cut)| Event::CutFromRedis(trunkd, is_cut)),
        2 => (trunkd(), any::<bool>()).prop_map(|(trunkd, is_cut)| Event::CutFromSwitch(trunkd, is_cut)),
        2 => trunkd().prop_map(Event::Restart),
        3 => trunkd().prop_map(Event::GiveLease),
        1 => any::<bool>().prop_map(Event::Pause),
        2 => (0..4usize).prop_map(Event::Apply),
        4 => (1..400u64).prop_map(Event::Wait),
    ]
}

struct World {
    now: Instant,
    /// The wanted gateways and their versions.
    wanted: BTreeMap<usize, usize>,
    versions: usize,
    paused: bool,
    order: Option<Order>,
    orders: usize,
    /// The removals that trunkd recorded.
    ledger: BTreeMap<GatewayName, Instant>,
    lease: usize,
    reports: Reports,
    runs: BTreeMap<GatewayName, Have>,
    /// What it ran before it was stopped.
    stopped: Option<BTreeMap<GatewayName, Have>>,
    is_booting: bool,
    trunkds: Vec<Trunkd>,
    /// What was approved: a gateway, in this version or in any.
    approved: BTreeSet<(GatewayName, Option<String>)>,
    /// Removals that trunkd decided without approval, as all of them know it.
    charged: Vec<(GatewayName, Instant)>,
    /// Gateways charged since they were last wanted.
    is_charged: BTreeSet<GatewayName>,
    /// Violations of the invariant.
    faults: Vec<String>,
}

struct Order {
    id: usize,
    content: OrderContent,
    is_done: bool,
}

struct Trunkd {
    served: Served,
    /// The state that it read last.
    desired: Arc<Desired>,
    /// Its last good state, on disk.
    kept: Arc<Desired>,
    is_cut_from_redis: bool,
    is_cut_from_switch: bool,
    /// It has not seen yet that the switch was stopped.
    has_news: bool,
    /// The order that it read last, and its parsed form.
    order: Option<(usize, Ordered)>,
    /// The order that it carried out.
    finished: Option<usize>,
    /// When it last saw the switch before the switch was stopped.
    saw_it: Option<Instant>,
    /// The gateways that it has served since they were started.
    met: BTreeSet<GatewayName>,
}

fn key() -> RevisionKey {
    RevisionKey::new([7; 32])
}

fn name(number: usize) -> GatewayName {
    GatewayName::parse(&format!("gw{number:02}")).unwrap()
}

fn external() -> ProfileName {
    ProfileName::parse("external").unwrap()
}

fn desired(wanted: &BTreeMap<usize, usize>) -> Arc<Desired> {
    let rules = Rules::new(external(), [(external(), ProfileFacts::default())].into());
    let fields = wanted.iter().map(|(number, version)| {
        let value = format!(r#"{{"param":{{"register":"false","realm":"v{version}"}}}}"#);
        (name(*number).as_str().as_bytes().to_vec(), value.into_bytes())
    });
    let domain = ("acme".to_owned(), RawDomain::hash(fields));
    let raw: RawDomains = (!wanted.is_empty()).then_some(domain).into_iter().collect();
    Arc::new(Desired::build(&raw, &rules, None))
}

fn have(desired: &Desired, gateway: &GatewayName) -> Option<Have> {
    let want = Want::of(&desired.get(gateway.as_str())?.gateway, &key());
    Some(Have {
        profile: want.profile,
        revision: Some(want.revision),
        registers: false,
    })
}

impl Trunkd {
    fn new(kept: &Arc<Desired>) -> Self {
        Self {
            served: Served::new(Some(GUARD), Some(kept.clone()), [SWITCH.to_owned()]),
            desired: kept.clone(),
            kept: kept.clone(),
            is_cut_from_redis: false,
            is_cut_from_switch: false,
            has_news: true,
            order: None,
            finished: None,
            saw_it: None,
            met: kept.served().keys().cloned().collect(),
        }
    }
}

impl World {
    fn new() -> Self {
        let wanted: BTreeMap<_, _> = (0..GATEWAYS).map(|number| (number, 0)).collect();
        let all = desired(&wanted);
        let runs = wanted
            .keys()
            .map(|number| (name(*number), have(&all, &name(*number)).unwrap()));
        Self {
            now: Instant::now(),
            runs: runs.collect(),
            wanted,
            versions: 0,
            paused: false,
            order: None,
            orders: 0,
            ledger: BTreeMap::new(),
            lease: 0,
            reports: Reports::default(),
            stopped: None,
            is_booting: false,
            trunkds: (0..TRUNKDS).map(|_| Trunkd::new(&all)).collect(),
            approved: BTreeSet::new(),
            charged: Vec::new(),
            is_charged: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Remove(numbers) => self.wanted.retain(|number, _| !numbers.contains(number)),
            Event::Set(numbers) => {
                self.versions += 1;
                for number in numbers {
                    self.wanted.insert(*number, self.versions % 3);
                }
            }
            Event::Flush => {
                // The ledger stays: each trunkd would record the removals that it knows again.
                self.wanted.clear();
                self.order = None;
                self.reports = Reports::default();
            }
            Event::DecisionInput(trunkd) => self.look(*trunkd),
            Event::Stop if self.stopped.is_none() => {
                self.stopped = Some(std::mem::take(&mut self.runs));
                for trunkd in &mut self.trunkds {
                    trunkd.has_news = true;
                }
            }
            Event::Stop => {}
            Event::Boot(trunkd, is_seen) => self.boot(*trunkd, *is_seen),
            Event::KillByHand(number) => drop(self.runs.remove(&name(*number))),
            Event::CutFromRedis(trunkd, is_cut) => self.trunkds[*trunkd].is_cut_from_redis = *is_cut,
            Event::CutFromSwitch(trunkd, is_cut) => {
                self.trunkds[*trunkd].is_cut_from_switch = *is_cut;
                self.trunkds[*trunkd].has_news = true;
            }
            Event::Restart(trunkd) => {
                let old = &self.trunkds[*trunkd];
                self.trunkds[*trunkd] = Trunkd {
                    is_cut_from_redis: old.is_cut_from_redis,
                    is_cut_from_switch: old.is_cut_from_switch,
                    ..Trunkd::new(&old.kept)
                };
            }
            Event::GiveLease(trunkd) => self.lease = *trunkd,
            Event::Pause(is_paused) => self.paused = *is_paused,
            // See `play`.
            Event::Apply(_) => {}
            Event::Wait(seconds) => {
                self.now += Duration::from_secs(*seconds);
                // Each trunkd checks every few seconds.
                (0..TRUNKDS).for_each(|trunkd| self.look(trunkd));
            }
        }
    }

    /// After a new start, a removal needs a new approval or a new charge.
    fn start_afresh(&mut self, gateway: &GatewayName) {
        self.is_charged.remove(gateway);
        for trunkd in &mut self.trunkds {
            trunkd.met.remove(gateway);
        }
        if self.order.as_ref().is_none_or(|order| order.is_done) {
            self.approved.retain(|(approved, _)| approved != gateway);
        }
    }

    fn known(&self) -> Known {
        Known {
            actual: Actual {
                gateways: self.runs.clone(),
                profiles: [external()].into(),
                ghosts: BTreeSet::new(),
            },
            ..Known::default()
        }
    }

    /// As the executor does it.
    fn look(&mut self, index: usize) {
        let now = self.now;
        if self.trunkds[index].is_cut_from_redis {
            return;
        }
        let newest = desired(&self.wanted);
        let trunkd = &mut self.trunkds[index];
        if newest.served() != trunkd.desired.served() || newest.counts() != trunkd.desired.counts() {
            trunkd.desired = newest;
        }
        let newest = trunkd.desired.clone();
        self.read_ledger(index);
        let trunkd = &mut self.trunkds[index];
        let is_unseen = trunkd.is_cut_from_switch || (self.stopped.is_some() && !self.is_booting);
        if std::mem::take(&mut trunkd.has_news) || is_unseen {
            trunkd.served.set_runs(SWITCH, None, now);
        }
        let leads = self.lease == index && !is_unseen;
        self.read_order(index, &newest, leads);
        let trunkd = &mut self.trunkds[index];
        let state = trunkd.served.state_name(&newest);
        if let Some(order) = &self.order
            && order.content.states.contains(&state)
        {
            trunkd.served.release_others(&[SWITCH.to_owned()]);
        }
        if is_unseen {
            let mut released = BTreeSet::new();
            if let Some((_, order)) = &mut trunkd.order {
                order.forget(&BTreeSet::new(), &newest, SWITCH);
                released.extend(order.removable(&newest, SWITCH).cloned());
            }
            trunkd.served.accept(SWITCH, &newest, &released);
            trunkd.served.approve(SWITCH, released);
        }
        let held = match is_unseen {
            true => {
                let decide = || trunkd.served.decide(SWITCH, &newest, now).1;
                let held = decide();
                match held.is_some() && self.reports.agree(SWITCH, &index.to_string(), &state) {
                    true => {
                        trunkd.served.agree(SWITCH, &newest);
                        decide()
                    }
                    false => held,
                }
            }
            false => self.decide_and_act(index, leads),
        };
        self.share_removals(index);
        let trunkd = &mut self.trunkds[index];
        if trunkd
            .served
            .decide_all(&newest, &[SWITCH.to_owned()], now)
            .all_accepted
        {
            trunkd.kept = newest.clone();
        }
        let serves = trunkd.served.holding(SWITCH).unwrap_or(newest.clone());
        trunkd.met.extend(serves.served().keys().cloned());
        let report = Report {
            leads,
            knows: !is_unseen,
            held: held.map(|held| held.summary()),
            held_back: trunkd
                .served
                .held_back(SWITCH, &newest)
                .keys()
                .map(ToString::to_string)
                .collect(),
            state: Some(state),
            ..Report::default()
        };
        self.reports.insert(SWITCH, &index.to_string(), report);
    }

    fn read_order(&mut self, index: usize, newest: &Desired, leads: bool) {
        let trunkd = &mut self.trunkds[index];
        let order = self.order.as_ref().filter(|order| trunkd.finished != Some(order.id));
        match (&trunkd.order, order) {
            (Some((known, _)), Some(order)) if *known == order.id => {}
            (_, order) => trunkd.order = order.map(|order| (order.id, Ordered::of(&order.content))),
        }
        let is_outdated =
            |order: &&Order| order.is_done && leads && Ordered::of(&order.content).is_outdated(newest, SWITCH);
        if self.order.as_ref().is_some_and(|order| is_outdated(&order)) {
            self.order = None;
        }
    }

    fn share_removals(&mut self, index: usize) {
        for (gateway, age) in self.trunkds[index].served.unshared_removals(SWITCH, self.now) {
            let at = self.now.checked_sub(age).unwrap();
            self.charge(index, &GatewayName::parse(&gateway).unwrap(), at);
        }
    }

    fn charge(&mut self, index: usize, gateway: &GatewayName, at: Instant) {
        let known = self.ledger.entry(gateway.clone()).or_insert(at);
        *known = at.max(*known);
        self.charged.push((gateway.clone(), at));
        self.is_charged.insert(gateway.clone());
        self.read_ledger(index);
    }

    fn read_ledger(&self, index: usize) {
        let ages = self
            .ledger
            .iter()
            .map(|(gateway, at)| (gateway.clone(), self.now.duration_since(*at)));
        let gone: Vec<_> = ages.filter(|(_, age)| *age < WINDOW).collect();
        self.trunkds[index].served.note_removals(SWITCH, &gone, self.now);
    }

    fn decide_and_act(&mut self, index: usize, leads: bool) -> Option<Held> {
        let known = self.known();
        if self.stopped.is_none() {
            self.trunkds[index].saw_it = Some(self.now);
        }
        let trunkd = &self.trunkds[index];
        let newest = trunkd.desired.clone();
        let wants = wants(&newest, &key(), SWITCH);
        let differences = Differences::between(&wants, &known.actual);
        let is_done = self.order.as_ref().is_none_or(|order| order.is_done);
        let look = DecisionInput {
            switch: SWITCH,
            known: &known,
            ours: &known.actual.ours().into_iter().collect(),
            desired: &newest,
            wants: &wants,
            key: &key(),
            differences: &differences,
            order: trunkd.order.as_ref().map(|(_, order)| order),
            is_carried_out: is_done,
            by_itself: !self.paused,
            limits: GUARD.limits,
        };
        let mut decision = look.decide(&trunkd.served, self.now);
        let state = trunkd.served.state_name(&newest);
        if decision.held.is_some() && !leads && self.reports.agree(SWITCH, &index.to_string(), &state) {
            trunkd.served.agree(SWITCH, &newest);
            decision = look.decide(&trunkd.served, self.now);
        }
        if let Some((_, order)) = &mut self.trunkds[index].order {
            order.forget(&decision.progress.changed, &newest, SWITCH);
        }
        if leads {
            for action in decision.plan.actions.clone() {
                if let Some(word) = decision.allows(&action) {
                    self.act(index, &action, word);
                }
            }
            let is_over = decision.progress.to_do.is_empty();
            if let Some(order) = self.order.as_mut().filter(|order| is_over && !order.is_done) {
                order.is_done = true;
                self.trunkds[index].finished = Some(order.id);
            }
        }
        decision.held
    }

    fn act(&mut self, index: usize, action: &Action, word: Authority) {
        let gateway = action.gateway();
        if action.to().is_none() && word == Authority::Redis {
            self.charge(index, gateway, self.now);
        }
        if let Some(had) = self.runs.remove(gateway)
            && action.to().is_none()
        {
            self.lose(gateway, &had);
        }
        // A change made during the boot is not what the switch boots with.
        let before = self.stopped.as_mut();
        let before = before.map(|before| before.remove(gateway)).is_some();
        if action.to().is_some() {
            let trunkd = &self.trunkds[index];
            let given = trunkd.served.holding(SWITCH).unwrap_or(trunkd.desired.clone());
            let started = have(&given, gateway).map(|have| (gateway.clone(), have));
            self.runs.extend(started.clone());
            self.start_afresh(gateway);
            self.trunkds[index].met.insert(gateway.clone());
            if let Some(stopped) = self.stopped.as_mut().filter(|_| before) {
                stopped.extend(started);
            }
        }
    }

    /// The switch gets that trunkd's answer.
    fn boot(&mut self, index: usize, is_seen: bool) {
        if self.stopped.is_none() {
            return;
        }
        self.is_booting = true;
        if is_seen {
            (0..TRUNKDS).for_each(|trunkd| self.look(trunkd));
        }
        self.is_booting = false;
        let Some(before) = self.stopped.take() else { return };
        let trunkd = &self.trunkds[index];
        let newest = match trunkd.is_cut_from_redis {
            true => trunkd.desired.clone(),
            false => desired(&self.wanted),
        };
        let is_same = newest.served() == trunkd.desired.served() && newest.counts() == trunkd.desired.counts();
        let newest = if is_same { trunkd.desired.clone() } else { newest };
        if !trunkd.is_cut_from_redis && trunkd.served.may_lose(SWITCH, &newest) {
            self.read_ledger(index);
        }
        let given = trunkd.served.answer(SWITCH, &newest, self.now);
        self.trunkds[index].desired = newest;
        if !self.trunkds[index].is_cut_from_redis {
            self.share_removals(index);
        }
        for gateway in given.served().keys() {
            if !self.runs.contains_key(gateway) {
                self.runs
                    .extend(have(&given, gateway).map(|have| (gateway.clone(), have)));
            }
        }
        // A trunkd cannot take away what it never served.
        let met = &self.trunkds[index].met;
        let is_missing = |gateway: &&GatewayName| !self.runs.contains_key(*gateway) && met.contains(*gateway);
        let missing = before.keys().filter(is_missing).cloned().collect();
        let is_known = self.trunkds[index]
            .saw_it
            .is_some_and(|at| self.now.duration_since(at) < WINDOW);
        // A trunkd that is cut off from Redis serves what it read last, which may lack anything.
        if !self.trunkds[index].is_cut_from_redis {
            self.miss(&missing, is_known);
        }
    }

    /// This version is killed.
    fn lose(&mut self, gateway: &GatewayName, had: &Have) {
        let of = |revision: &Option<String>| self.approved.contains(&(gateway.clone(), revision.clone()));
        if !of(&had.revision) && !of(&None) && !self.was_charged(gateway) {
            self.faults.push(format!("{gateway} was killed"));
        }
    }

    /// Whether it was charged since its last start or within the window: then it does not count
    /// again.
    fn was_charged(&self, gateway: &GatewayName) -> bool {
        let is_recent =
            |(charged, at): &(GatewayName, Instant)| charged == gateway && self.now.duration_since(*at) < WINDOW;
        self.is_charged.contains(gateway) || self.charged.iter().any(is_recent)
    }

    /// The switch boots without these. Another trunkd may have served them in an older version than
    /// was shown.
    fn miss(&mut self, gateways: &BTreeSet<GatewayName>, is_known: bool) {
        let is_approved = |gateway: &GatewayName| self.approved.iter().any(|(approved, _)| approved == gateway);
        let missing: Vec<_> = gateways.iter().filter(|gateway| !is_approved(gateway)).collect();
        let uncharged = missing.iter().find(|gateway| !self.was_charged(gateway));
        if let Some(gateway) = uncharged {
            self.faults.push(format!("{gateway} was missing at a boot"));
        }
        // If a trunkd has seen the switch before, it removes no more than a plan may.
        if is_known && missing.len() > LIMIT {
            self.faults.push(format!("{missing:?} were missing at one boot"));
        }
    }

    /// What an operator is shown, and orders.
    fn shown(&self) -> OrderContent {
        let newest = desired(&self.wanted);
        let (known, wants) = (self.known(), wants(&newest, &key(), SWITCH));
        let plan = Differences::between(&wants, &known.actual).plan(&wants, &known.actual, &BTreeSet::new());
        let actions = plan.actions.iter();
        let holding: Vec<_> = self.reports.holding(SWITCH).map(|(_, report)| report).collect();
        OrderContent {
            actions: actions
                .map(|action| (action.gateway().to_string(), shown(action)))
                .collect(),
            release: holding.iter().flat_map(|report| report.held_back.clone()).collect(),
            states: holding.iter().filter_map(|report| report.state.clone()).collect(),
        }
    }

    fn order(&mut self, content: OrderContent) {
        for (gateway, action) in &content.actions {
            if let (Some(from), None) = (&action.from, &action.to) {
                let gateway = GatewayName::parse(gateway).unwrap();
                self.approved.insert((gateway, from.revision.clone()));
            }
        }
        // A released gateway is lost, whatever its version.
        let released = content
            .release
            .iter()
            .map(|gateway| GatewayName::parse(gateway).unwrap());
        self.approved.extend(released.map(|gateway| (gateway, None)));
        self.orders += 1;
        self.order = Some(Order {
            id: self.orders,
            content,
            is_done: false,
        });
    }

    /// The most that was charged within one window.
    fn worst_window(&self) -> usize {
        let of_window = |end: Instant| {
            let recent = self
                .charged
                .iter()
                .filter(|(_, at)| *at <= end && end.duration_since(*at) < WINDOW);
            recent.map(|(gateway, _)| gateway).collect::<BTreeSet<_>>().len()
        };
        self.charged
            .iter()
            .map(|(_, at)| of_window(*at))
            .max()
            .unwrap_or_default()
    }

    /// Everything is available again, and an operator approves all that is shown.
    fn come_to_rest(&mut self) {
        self.happen(&Event::Stop);
        self.happen(&Event::Boot(0, true));
        self.happen(&Event::Pause(false));
        for trunkd in 0..TRUNKDS {
            self.happen(&Event::CutFromRedis(trunkd, false));
            self.happen(&Event::CutFromSwitch(trunkd, false));
        }
        for _ in 0..3 {
            for trunkd in (0..TRUNKDS).chain(0..TRUNKDS) {
                self.look(trunkd);
            }
            if self.is_at_rest() {
                return;
            }
            let content = self.shown();
            self.order(content);
            for trunkd in (0..TRUNKDS).chain(0..TRUNKDS).chain(0..TRUNKDS) {
                self.look(trunkd);
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        let newest = desired(&self.wanted);
        let all = newest.served().keys();
        let wanted: BTreeMap<_, _> = all
            .map(|gateway| (gateway.clone(), have(&newest, gateway).unwrap()))
            .collect();
        let serves_all = |trunkd: &Trunkd| {
            let given = trunkd.served.holding(SWITCH);
            given.is_none() && trunkd.desired.served() == newest.served()
        };
        self.runs == wanted && self.reports.holding(SWITCH).next().is_none() && self.trunkds.iter().all(serves_all)
    }
}

fn play(events: &[Event]) -> World {
    let mut world = World::new();
    let mut shown: Option<(usize, OrderContent)> = None;
    for (at, event) in events.iter().enumerate() {
        if let Event::Apply(later) = event {
            shown = Some((at + later, world.shown()));
        }
        world.happen(event);
        if let Some((_, content)) = shown.take_if(|(due, _)| *due <= at) {
            world.order(content);
        }
    }
    world
}

proptest! {
    // PROPTEST_CASES=10000 runs more cases.
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_switch_never_loses_more_than_was_approved_and_the_limit(events in prop::collection::vec(any_event(), 1..60)) {
        let world = play(&events);
        prop_assert!(world.worst_window() <= LIMIT, "{:?}", world.charged);
        prop_assert!(world.faults.is_empty(), "{:?}", world.faults);
    }

    #[test]
    fn every_hold_can_be_released(events in prop::collection::vec(any_event(), 1..60)) {
        let mut world = play(&events);
        world.come_to_rest();
        prop_assert!(world.is_at_rest(), "{:#?} {:?}", world.reports, world.runs.keys());
    }
}
