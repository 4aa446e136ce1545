use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::gateway::{Placements, ProfileName, RawDomain, Rules};

fn name(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn start() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn live() -> SwitchState {
    SwitchState {
        weight: 1,
        life: Life::Live,
        live_since: Some(start()),
        is_silent: false,
        is_drained: false,
        is_ours: true,
    }
}

/// A fleet with its gateways, as it really is, and what the placer can see of it.
struct Fleet {
    now: Timestamp,
    /// name → its value in Redis.
    gateways: BTreeMap<String, String>,
    records: BTreeMap<GatewayName, Placed>,
    switches: BTreeMap<String, SwitchState>,
    /// What each switch runs, whether or not anybody can see it.
    runs: BTreeMap<String, BTreeSet<GatewayName>>,
    /// (switch, gateway) that the carrier refuses.
    refused: BTreeSet<(String, GatewayName)>,
    /// Live switches that other trunkd reach, but not the placer's.
    unseen: BTreeSet<String>,
    most_moving: usize,
}

impl Fleet {
    fn new(switches: &[&str], gateways: usize, value: &str) -> Self {
        let gateways = (0..gateways).map(|n| (format!("gw{n}"), value.to_owned()));
        Self {
            now: start(),
            gateways: gateways.collect(),
            records: BTreeMap::new(),
            switches: switches.iter().map(|switch| ((*switch).to_owned(), live())).collect(),
            runs: BTreeMap::new(),
            refused: BTreeSet::new(),
            unseen: BTreeSet::new(),
            most_moving: 3,
        }
    }

    fn desired(&self) -> Desired {
        let gateways = self.gateways.iter();
        let fields = gateways.map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()));
        let raw = [("acme".to_owned(), RawDomain::hash(fields))].into();
        let rules = Rules::new(ProfileName::parse("external").unwrap(), BTreeMap::new());
        let placements: Placements = self.records.clone().into_iter().collect();
        Desired::build_with(&raw, &placements.into(), &rules, None)
    }

    fn decide(&self) -> Vec<Change> {
        decide(&Input {
            now: self.now,
            desired: &self.desired(),
            switches: &self.switches,
            runs: &|switch, gateway| self.seen(switch, gateway),
            is_settled: true,
            lane: &|_| Lane {
                carrier: "carrier".to_owned(),
                most: self.most_moving,
            },
            patience: Patience::default(),
        })
    }

    fn seen(&self, switch: &str, gateway: &GatewayName) -> Runs {
        let is_live = self.switches.get(switch).is_some_and(|state| state.life == Life::Live);
        if !is_live || self.unseen.contains(switch) {
            return Runs::Unknown;
        }
        let is_refused = self.refused.contains(&(switch.to_owned(), gateway.clone()));
        match self.runs.get(switch).is_some_and(|runs| runs.contains(gateway)) {
            true => Runs::Yes {
                usable: Some(!is_refused),
                is_refused,
            },
            false => Runs::No,
        }
    }

    /// What the placer does. The records that it changed.
    fn place(&mut self) -> Vec<Change> {
        let changes = self.decide();
        for change in &changes {
            let before = self.records.get(&change.gateway);
            assert_eq!(before, change.before.as_deref(), "compare-and-set");
            let epoch = |placed: Option<&Placed>| placed.map_or(0, |placed| placed.epoch);
            match &change.after {
                Some(after) => {
                    assert_eq!(after.epoch, epoch(before) + 1);
                    self.records.insert(change.gateway.clone(), after.clone());
                }
                None => drop(self.records.remove(&change.gateway)),
            }
        }
        changes
    }

    /// What the executor of a switch does, if it reaches it: kills first.
    fn execute(&mut self, switch: &str) {
        if self.switches[switch].life == Life::Live {
            let wanted = self.wanted(switch);
            self.runs.insert(switch.to_owned(), wanted);
        }
    }

    fn wanted(&self, switch: &str) -> BTreeSet<GatewayName> {
        let desired = self.desired();
        let names = desired.served().keys().filter(|name| desired.serves(name, switch));
        names.cloned().collect()
    }

    fn execute_all(&mut self) {
        let switches: Vec<_> = self.switches.keys().cloned().collect();
        switches.iter().for_each(|switch| self.execute(switch));
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// Places and executes until nothing changes.
    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..1000 {
            quiet = if self.place().is_empty() { quiet + 1 } else { 0 };
            self.execute_all();
            self.wait(2);
            if quiet == 2 {
                return;
            }
        }
        panic!("it goes on for ever: {:?}", self.decide());
    }

    fn state(&mut self, switch: &str) -> &mut SwitchState {
        self.switches.get_mut(switch).unwrap()
    }

    fn die(&mut self, switch: &str) {
        self.runs.remove(switch);
        self.lose(switch);
    }

    /// The switch lives and runs what it ran, but nobody reaches it.
    fn lose(&mut self, switch: &str) {
        let state = self.state(switch);
        (state.life, state.is_silent, state.live_since) = (Life::Dead, true, None);
    }

    /// It can be reached. The first thing that happens is that what it must not have is killed.
    fn come_back(&mut self, switch: &str) {
        let now = self.now;
        let state = self.state(switch);
        (state.life, state.is_silent, state.live_since) = (Life::Live, false, Some(now));
        let wanted = self.wanted(switch);
        if let Some(runs) = self.runs.get_mut(switch) {
            runs.retain(|name| wanted.contains(name));
        }
    }

    fn owner(&self, gateway: &str) -> &str {
        &self.records[&name(gateway)].switch
    }

    /// The live switches that run a gateway.
    fn runners(&self, gateway: &GatewayName) -> Vec<&String> {
        let live = self.switches.iter().filter(|(_, state)| state.life == Life::Live);
        live.map(|(switch, _)| switch)
            .filter(|switch| self.runs.get(*switch).is_some_and(|runs| runs.contains(gateway)))
            .collect()
    }
}

const ONE: &str = r#"{"param":{"realm":"r","username":"u","password":"p"},"placement":"one"}"#;

#[test]
fn a_gateway_is_placed_once_and_stays_while_its_switch_lives() {
    let mut fleet = Fleet::new(&["fs1", "fs2", "fs3"], 30, ONE);
    fleet.settle();
    assert_eq!(fleet.records.len(), 30);
    let before = fleet.records.clone();
    // Another one comes, and takes nothing.
    fleet.switches.insert("fs4".to_owned(), live());
    fleet.wait(3600);
    assert_eq!(fleet.place(), []);
    assert_eq!(fleet.records, before);
    let owners: BTreeSet<_> = before.values().map(|placed| &placed.switch).collect();
    assert_eq!(owners.len(), 3);
}

#[test]
fn nothing_is_placed_before_all_switches_were_seen_and_what_runs_stays_where_it_is() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 8, ONE);
    let names: BTreeSet<_> = (0..8).map(|n| name(&format!("gw{n}"))).collect();
    fleet.runs.insert("fs2".to_owned(), names);
    let desired = fleet.desired();
    let changes = decide(&Input {
        now: fleet.now,
        desired: &desired,
        switches: &fleet.switches,
        runs: &|switch, gateway| fleet.seen(switch, gateway),
        is_settled: false,
        lane: &|_| unreachable!(),
        patience: Patience::default(),
    });
    assert_eq!(changes, []);
    fleet.settle();
    assert!(fleet.records.values().all(|placed| placed.switch == "fs2"));
}

#[test]
fn a_dead_switch_loses_exactly_its_own_and_gets_none_of_them_back() {
    let mut fleet = Fleet::new(&["fs1", "fs2", "fs3"], 60, ONE);
    fleet.settle();
    let before = fleet.records.clone();
    fleet.die("fs1");
    let changes = fleet.place();
    for (name, placed) in &before {
        let now = &fleet.records[name];
        assert_eq!(placed.switch == "fs1", placed.switch != now.switch);
        if placed.switch == "fs1" {
            assert_eq!((now.reason, &now.step), (PlacedFor::Failover, &None));
        }
    }
    assert_eq!(
        changes.len(),
        before.values().filter(|placed| placed.switch == "fs1").count()
    );
    fleet.execute_all();
    fleet.come_back("fs1");
    fleet.wait(3600);
    fleet.settle();
    assert!(fleet.records.values().all(|placed| placed.switch != "fs1"));
    assert!(fleet.wanted("fs1").is_empty());
}

#[test]
fn a_switch_that_is_back_gets_nothing_before_it_let_go_what_it_had() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 1, ONE);
    fleet.settle();
    let first = fleet.owner("gw0").to_owned();
    let second = if first == "fs1" { "fs2" } else { "fs1" };
    fleet.lose(&first);
    fleet.settle();
    assert_eq!(fleet.owner("gw0"), second);
    // It never stopped, and its carrier has another contact by now.
    let now = fleet.now;
    let state = fleet.state(&first);
    (state.life, state.is_silent, state.live_since) = (Life::Live, false, Some(now));
    fleet.die(second);
    assert_eq!(fleet.place(), []);
    let mut kept = fleet.runs[&first].clone();
    fleet.runs.get_mut(&first).unwrap().clear();
    assert_eq!(fleet.place().len(), 1);
    assert_eq!(fleet.owner("gw0"), first);

    // One that is not deleted is not left without a switch for ever.
    fleet.execute_all();
    fleet.come_back(second);
    fleet.runs.get_mut(&first).unwrap().append(&mut kept);
    let record = fleet.records.get_mut(&name("gw0")).unwrap();
    record.switch = second.to_owned();
    fleet.die(second);
    fleet.wait(59);
    assert_eq!(fleet.place(), []);
    fleet.wait(1);
    assert_eq!(fleet.place().len(), 1);
    assert_eq!(fleet.owner("gw0"), first);
}

#[test]
fn a_switch_that_only_we_cannot_reach_or_must_not_change_keeps_what_it_has() {
    for change in [
        |state: &mut SwitchState| state.life = Life::Degraded,
        |state: &mut SwitchState| (state.life, state.is_silent) = (Life::Degraded, true),
        |state: &mut SwitchState| state.life = Life::Unknown,
        |state: &mut SwitchState| (state.life, state.is_ours) = (Life::Dead, false),
        |state: &mut SwitchState| (state.is_drained, state.is_ours) = (true, false),
        |state: &mut SwitchState| (state.life, state.is_drained) = (Life::Degraded, true),
    ] {
        let mut fleet = Fleet::new(&["fs1", "fs2"], 20, ONE);
        fleet.settle();
        change(fleet.state("fs1"));
        fleet.wait(3600);
        assert_eq!(fleet.place(), []);
    }
    // An operator says that it is gone, and nothing of it answers.
    let mut fleet = Fleet::new(&["fs1", "fs2"], 20, ONE);
    fleet.settle();
    let state = fleet.state("fs1");
    (state.life, state.is_silent, state.is_drained) = (Life::Degraded, true, true);
    fleet.place();
    assert!(fleet.records.values().all(|placed| placed.switch == "fs2"));
}

#[test]
fn a_drained_switch_lets_go_before_another_one_starts_a_few_at_a_time() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 40, ONE);
    fleet.settle();
    fleet.state("fs1").is_drained = true;
    let mut most = 0;
    while !fleet.runs["fs1"].is_empty() || fleet.records.values().any(|placed| placed.step.is_some()) {
        fleet.place();
        let moving = fleet.records.values().filter(|placed| placed.step.is_some()).count();
        most = most.max(moving);
        fleet.execute("fs2");
        fleet.execute("fs1");
        fleet.wait(1);
        for gateway in fleet.records.keys() {
            assert!(fleet.runners(gateway).len() <= 1, "{gateway} runs twice");
        }
    }
    assert_eq!(most, fleet.most_moving);
    assert!(fleet.records.values().all(|placed| placed.switch == "fs2"));
    fleet.state("fs1").is_drained = false;
    fleet.wait(3600);
    assert_eq!(fleet.place(), [], "and they stay there");
}

#[test]
fn a_move_that_is_refused_goes_back_once() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 1, ONE);
    fleet.settle();
    let here = fleet.owner("gw0").to_owned();
    let there = if here == "fs1" { "fs2" } else { "fs1" };
    fleet.refused.insert((there.to_owned(), name("gw0")));
    let placed = fleet.records.get_mut(&name("gw0")).unwrap();
    placed.epoch += 1;
    placed.reason = PlacedFor::Asked;
    placed.step = Some(Move::Waiting { to: there.to_owned() });
    fleet.settle();
    let placed = &fleet.records[&name("gw0")];
    assert_eq!(
        (placed.switch.as_str(), placed.reason),
        (here.as_str(), PlacedFor::Returned)
    );
    // It is refused there too now: it stays, instead of going to and fro.
    fleet.refused.insert((here, name("gw0")));
    fleet.wait(3600);
    assert_eq!(fleet.place(), []);
}

#[test]
fn a_switch_that_does_not_let_go_keeps_the_gateway_and_is_asked_again_later() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 1, ONE);
    fleet.settle();
    let here = fleet.owner("gw0").to_owned();
    fleet.state(&here).is_drained = true;
    fleet.place();
    fleet.wait(59);
    assert_eq!(fleet.place(), []);
    fleet.wait(2);
    fleet.place();
    assert_eq!(fleet.records[&name("gw0")].owner(), Some(here.as_str()));
    // Each try takes it out of service for a while.
    fleet.wait(299);
    assert_eq!(fleet.place(), []);
    fleet.wait(1);
    fleet.settle();
    assert_ne!(fleet.owner("gw0"), here);
}

#[test]
fn a_drain_that_was_called_off_in_the_middle_of_a_move_is_no_failure() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 1, ONE);
    fleet.settle();
    let here = fleet.owner("gw0").to_owned();
    let there = if here == "fs1" { "fs2" } else { "fs1" };
    fleet.state(&here).is_drained = true;
    fleet.place();
    fleet.state(&here).is_drained = false;
    fleet.state(there).is_drained = true;
    fleet.settle();
    assert_eq!(fleet.owner("gw0"), here);
    fleet.state(there).is_drained = false;
    fleet.state(&here).is_drained = true;
    fleet.settle();
    assert_eq!(fleet.owner("gw0"), there, "without a wait");
}

#[test]
fn nothing_moves_where_the_placer_could_not_see_it() {
    for unseen in ["fs1", "fs2"] {
        let mut fleet = Fleet::new(&["fs1", "fs2"], 4, ONE);
        fleet.settle();
        fleet.state("fs1").is_drained = true;
        fleet.unseen.insert(unseen.to_owned());
        fleet.wait(3600);
        assert_eq!(fleet.place(), [], "{unseen}");
        fleet.unseen.clear();
        fleet.settle();
        assert!(fleet.records.values().all(|placed| placed.switch == "fs2"));
    }
}

#[test]
fn what_arrived_out_of_sight_stays() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 1, ONE);
    fleet.settle();
    let here = fleet.owner("gw0").to_owned();
    fleet.state(&here).is_drained = true;
    fleet.place();
    fleet.execute_all();
    fleet.wait(2);
    fleet.place();
    fleet.state(&here).is_drained = false;
    let there = fleet.owner("gw0").to_owned();
    assert_ne!(there, here);
    fleet.unseen.insert(there.clone());
    fleet.wait(119);
    assert_eq!(fleet.place(), []);
    fleet.wait(2);
    fleet.place();
    assert_eq!(fleet.records[&name("gw0")].owner(), Some(there.as_str()));
}

#[test]
fn a_preferred_switch_gets_its_gateways_back_when_that_is_wanted() {
    let value = |failback: &str| {
        let head = r#"{"param":{"realm":"r","username":"u","password":"p"},"placement":{"mode":"one","prefer":["fs2"],"failback":""#;
        format!("{head}{failback}\"}}}}")
    };
    for (failback, after) in [("manual", "fs1"), ("after 10m", "fs2")] {
        let mut fleet = Fleet::new(&["fs1", "fs2"], 4, &value(failback));
        fleet.settle();
        assert_eq!(fleet.owner("gw0"), "fs2");
        fleet.die("fs2");
        fleet.settle();
        fleet.come_back("fs2");
        fleet.wait(590);
        assert_eq!(fleet.place(), []);
        fleet.wait(11);
        fleet.settle();
        assert_eq!(fleet.owner("gw0"), after, "{failback}");
    }
}

#[test]
fn an_edit_of_nodes_moves_and_one_of_placement_forgets() {
    let mut fleet = Fleet::new(&["fs1", "fs2"], 1, ONE);
    fleet.settle();
    let here = fleet.owner("gw0").to_owned();
    let there = if here == "fs1" { "fs2" } else { "fs1" };
    let value =
        format!(r#"{{"param":{{"realm":"r","username":"u","password":"p"}},"placement":"one","nodes":["{there}"]}}"#);
    fleet.gateways.insert("gw0".to_owned(), value);
    fleet.place();
    assert_eq!(fleet.records[&name("gw0")].owner(), None, "it lets go first");
    fleet.settle();
    assert_eq!(fleet.owner("gw0"), there);
    fleet.gateways.insert(
        "gw0".to_owned(),
        r#"{"param":{"realm":"r","username":"u","password":"p"}}"#.to_owned(),
    );
    fleet.settle();
    assert!(fleet.records.is_empty());
    fleet.gateways.insert("gw0".to_owned(), ONE.to_owned());
    fleet.settle();
    // Removed from Redis: the record goes when the gateway has gone.
    fleet.gateways.clear();
    assert_eq!(fleet.place(), []);
    fleet.settle();
    assert!(fleet.records.is_empty());
}

#[derive(Debug, Clone)]
enum Op {
    Place,
    Execute(usize),
    ExecuteAll,
    Die(usize),
    Lose(usize),
    ComeBack(usize),
    Drain(usize, bool),
    Pause(usize, bool),
    Refuse(usize, usize),
    Accept,
    Ask(usize, usize),
    Nodes(usize, usize),
    Wait(i64),
}

fn op(switches: usize, gateways: usize) -> impl Strategy<Value = Op> {
    let (switch, gateway) = (0..switches, 0..gateways);
    prop_oneof![
        6 => Just(Op::Place),
        4 => switch.clone().prop_map(Op::Execute),
        3 => Just(Op::ExecuteAll),
        1 => switch.clone().prop_map(Op::Die),
        1 => switch.clone().prop_map(Op::Lose),
        3 => switch.clone().prop_map(Op::ComeBack),
        1 => (switch.clone(), any::<bool>()).prop_map(|(switch, on)| Op::Drain(switch, on)),
        1 => (switch.clone(), any::<bool>()).prop_map(|(switch, on)| Op::Pause(switch, on)),
        1 => (switch.clone(), gateway.clone()).prop_map(|(switch, gateway)| Op::Refuse(switch, gateway)),
        1 => Just(Op::Accept),
        1 => (gateway.clone(), switch.clone()).prop_map(|(gateway, switch)| Op::Ask(gateway, switch)),
        1 => (gateway, 1..(1_usize << switches)).prop_map(|(gateway, nodes)| Op::Nodes(gateway, nodes)),
        4 => (0_i64..200).prop_map(Op::Wait),
    ]
}

impl Fleet {
    fn apply(&mut self, op: &Op) {
        let names: Vec<_> = self.switches.keys().cloned().collect();
        let is_live = |fleet: &Self, switch: usize| fleet.switches[&names[switch]].life == Life::Live;
        match *op {
            Op::Place => drop(self.place()),
            Op::Execute(switch) => self.execute(&names[switch]),
            Op::ExecuteAll => self.execute_all(),
            Op::Die(switch) => self.die(&names[switch]),
            Op::Lose(switch) if is_live(self, switch) => self.lose(&names[switch]),
            Op::ComeBack(switch) if !is_live(self, switch) => self.come_back(&names[switch]),
            Op::Lose(_) | Op::ComeBack(_) => {}
            Op::Drain(switch, on) => self.state(&names[switch]).is_drained = on,
            Op::Pause(switch, on) => self.state(&names[switch]).is_ours = !on,
            Op::Refuse(switch, gateway) => {
                self.refused
                    .insert((names[switch].clone(), name(&format!("gw{gateway}"))));
            }
            Op::Accept => self.refused.clear(),
            Op::Ask(gateway, switch) => {
                let record = self.records.get_mut(&name(&format!("gw{gateway}")));
                if let Some(placed) = record.filter(|placed| placed.step.is_none()) {
                    placed.epoch += 1;
                    placed.reason = PlacedFor::Asked;
                    placed.step = Some(Move::Waiting {
                        to: names[switch].clone(),
                    });
                }
            }
            Op::Nodes(gateway, nodes) => {
                let nodes = names.iter().enumerate().filter(|(at, _)| nodes >> at & 1 == 1);
                let nodes: Vec<_> = nodes.map(|(_, switch)| format!("\"{switch}\"")).collect();
                let value = format!(
                    r#"{{"param":{{"realm":"r","username":"u","password":"p"}},"placement":"one","nodes":[{}]}}"#,
                    nodes.join(",")
                );
                self.gateways.insert(format!("gw{gateway}"), value);
            }
            Op::Wait(seconds) => self.wait(seconds),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever dies, is lost, drained, paused, refused or edited, in whatever order.
    #[test]
    fn never_two_live_owners_and_in_the_end_each_has_one(
        ops in prop::collection::vec(op(3, 6), 1..120),
    ) {
        let mut fleet = Fleet::new(&["fs1", "fs2", "fs3"], 6, ONE);
        fleet.settle();
        for op in &ops {
            fleet.apply(op);
            for gateway in fleet.records.keys() {
                let runners = fleet.runners(gateway);
                prop_assert!(runners.len() <= 1, "{gateway} runs on {runners:?} after {op:?}");
            }
        }
        // Everything is well again: no gateway is without a switch, none moves for ever.
        fleet.refused.clear();
        for switch in ["fs1", "fs2", "fs3"] {
            let state = fleet.state(switch);
            (state.is_drained, state.is_ours) = (false, true);
            if state.life != Life::Live {
                fleet.come_back(switch);
            }
        }
        fleet.settle();
        fleet.wait(300);
        fleet.settle();
        for gateway in fleet.gateways.keys() {
            let gateway = name(gateway);
            let owner = fleet.records[&gateway].owner().map(str::to_owned);
            prop_assert!(owner.is_some());
            prop_assert_eq!(fleet.runners(&gateway), owner.iter().collect::<Vec<_>>());
        }
    }
}
