use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::gateway::{
    Desired, GatewayName, ProfileFacts, ProfileName, RawDomain, RawDomains, RevisionKey, Rollbacks, Rules,
};
use crate::reconcile::plan::Want;

const LIMIT: Duration = Duration::from_secs(5);

/// What the carrier answers to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Accepts,
    Refuses,
    Busy,
}

#[derive(Debug, Clone)]
enum Op {
    Edit(usize),
    Answer(usize, Carrier),
    /// `trunkd apply`
    Apply,
    /// Seconds pass.
    Wait(usize),
    /// Another trunkd takes over, which only knows what is in Redis.
    TakeOver,
}

/// One gateway on one switch, and what trunkd does about it, second by second.
struct World {
    now: Timestamp,
    stored: Vec<u8>,
    rollback: Option<Rollback>,
    answers: [Carrier; 4],
    runs: (String, usize),
    runs_for: Duration,
    worked: BTreeMap<String, Timestamp>,
    replaced: Option<Version>,
    pending: Option<Verification>,
    before: Option<(String, Vec<u8>)>,
    restarts: usize,
}

fn name() -> GatewayName {
    GatewayName::parse("gw").unwrap()
}

fn value(version: usize) -> Vec<u8> {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"p{version}"}}}}"#).into_bytes()
}

fn version_of(value: &[u8]) -> usize {
    (0..4).find(|version| self::value(*version) == value).unwrap()
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: "2026-11-26T12:00:00Z".parse().unwrap(),
            stored: value(0),
            rollback: None,
            answers: [Carrier::Accepts; 4],
            runs: (String::new(), 0),
            runs_for: Duration::ZERO,
            worked: BTreeMap::new(),
            replaced: None,
            pending: None,
            before: None,
            restarts: 0,
        };
        let (want, _) = world.want();
        world.runs = (want, 0);
        world.step();
        world
    }

    fn desired(&self) -> Desired {
        let external = ProfileName::parse("external").unwrap();
        let rules = Rules::new(external.clone(), [(external, ProfileFacts::default())].into());
        let fields = [(b"gw".to_vec(), self.stored.clone())];
        let raw: RawDomains = [("acme".to_owned(), RawDomain::hash(fields))].into();
        let rollbacks: Rollbacks = self.rollback.iter().cloned().map(|record| (name(), record)).collect();
        Desired::build_with(&raw, &rollbacks.into(), &rules, None)
    }

    /// The revision and the value that are to run.
    fn want(&self) -> (String, Vec<u8>) {
        let desired = self.desired();
        let entry = desired.get("gw").unwrap();
        let want = Want::of(&entry.gateway, &RevisionKey::new([7; 32]));
        (want.revision, desired.served_value(&name()).unwrap())
    }

    fn apply(&mut self) {
        if let Some(rollback) = self.rollback.as_mut().filter(|record| record.phase.keeps_old()) {
            rollback.phase = Phase::Released;
        }
    }

    fn step(&mut self) {
        self.now += Duration::from_secs(1);
        let (revision, wanted) = self.want();
        if let Some((known, value)) = self.before.replace((revision.clone(), wanted.clone()))
            && known == self.runs.0
            && known != revision
        {
            self.replaced = Some(Version { revision: known, value });
        }
        let seen = self.seen();
        if seen.usable == Some(true) {
            self.worked.insert(self.runs.0.clone(), self.now);
        }
        self.runs_for += Duration::from_secs(1);
        self.verify(&revision, &seen);
        if self.runs.0 != revision {
            self.restart(revision, &wanted);
        }
    }

    fn verify(&mut self, wanted: &str, seen: &Seen) {
        let Some(pending) = self.pending.clone() else { return };
        let have = Have {
            profile: ProfileName::parse("external").unwrap(),
            revision: Some(self.runs.0.clone()),
            registers: true,
        };
        let wanted = Some(wanted.to_owned());
        let verdict = super::verify(
            &pending,
            wanted.as_ref(),
            (Some(&have), Some(seen)),
            self.runs_for,
            LIMIT,
        );
        if verdict == Verdict::Wait {
            return;
        }
        self.pending = None;
        if let Verdict::Refused(answer) = verdict {
            assert!(Rollback::digest(&self.stored) == pending.edit);
            match pending.is_way_back {
                false => {
                    let good = pending.good;
                    self.rollback = Some(Rollback {
                        domain: "acme".to_owned(),
                        edit: pending.edit,
                        phase: Phase::RolledBack,
                        good: good.value,
                        worked_at: good.worked_at,
                        at: self.now,
                        switch: "fs1".to_owned(),
                        answer,
                        canary: None,
                    });
                }
                true => self.rollback.as_mut().unwrap().phase = Phase::GaveUp,
            }
        }
    }

    fn restart(&mut self, revision: String, wanted: &[u8]) {
        let about = |record: &&Rollback| record.is_about("acme", &self.stored);
        let edited = Edited {
            domain: "acme",
            from: &self.runs.0,
            to: &revision,
            value: &self.stored,
            rollback: self.rollback.as_ref().filter(about),
            worked_at: self.worked.get(&self.runs.0).copied(),
            running: self.replaced.as_ref(),
            pending: self.pending.as_ref(),
        };
        let verification = edited.verification(self.now);
        self.pending = verification.or(self.pending.take());
        self.worked.remove(&self.runs.0);
        self.runs = (revision, version_of(wanted));
        self.runs_for = Duration::ZERO;
        self.restarts += 1;
    }

    fn seen(&self) -> Seen {
        let refused = |answer: &str, is_final| Seen {
            usable: Some(false),
            reason: Some(answer.to_owned()),
            is_refused_for_good: is_final,
        };
        match self.answers[self.runs.1] {
            Carrier::Accepts => Seen {
                usable: Some(true),
                ..Seen::default()
            },
            Carrier::Refuses => refused("403 Forbidden", true),
            Carrier::Busy => refused("503 Service Unavailable", false),
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Edit(version) => self.stored = value(*version),
            Op::Answer(version, carrier) => self.answers[*version] = *carrier,
            Op::Apply => self.apply(),
            Op::Wait(seconds) => (0..*seconds).for_each(|_| self.step()),
            Op::TakeOver => {
                self.worked.clear();
                self.replaced = None;
                self.before = None;
            }
        }
    }
}

#[test]
fn a_refused_edit_is_taken_back_and_tried_again_when_somebody_asks() {
    let mut world = World::new();
    for op in [Op::Answer(1, Carrier::Refuses), Op::Edit(1), Op::Wait(10)] {
        world.run(&op);
    }
    assert_eq!((world.runs.1, world.restarts), (0, 2));
    assert_eq!(world.stored, value(1), "Redis keeps it");
    world.run(&Op::Apply);
    world.run(&Op::Wait(10));
    assert_eq!(
        (world.runs.1, world.restarts),
        (0, 4),
        "tried again, and taken back again"
    );
    world.run(&Op::Answer(1, Carrier::Accepts));
    world.run(&Op::Apply);
    world.run(&Op::Wait(10));
    assert_eq!((world.runs.1, world.restarts), (1, 5));
    world.run(&Op::Edit(2));
    world.run(&Op::Wait(10));
    assert_eq!(
        (world.runs.1, world.restarts),
        (2, 6),
        "a further edit is made of its own right"
    );
}

#[test]
fn what_the_carrier_does_not_say_for_good_takes_nothing_back() {
    let mut world = World::new();
    for op in [Op::Answer(1, Carrier::Busy), Op::Edit(1), Op::Wait(3)] {
        world.run(&op);
    }
    assert!(world.pending.is_some());
    world.run(&Op::Wait(10));
    assert_eq!((world.runs.1, world.restarts, world.pending.is_some()), (1, 1, false));
    world.run(&Op::Answer(1, Carrier::Refuses));
    world.run(&Op::Wait(10));
    assert_eq!(world.runs.1, 1, "that comes too late");
}

#[test]
fn edits_one_after_the_other_go_back_to_what_worked() {
    let mut world = World::new();
    let refuse = [1, 2].map(|version| Op::Answer(version, Carrier::Refuses));
    refuse.iter().for_each(|op| world.run(op));
    world.run(&Op::Edit(1));
    world.run(&Op::Wait(1));
    world.run(&Op::Edit(2));
    world.run(&Op::Wait(10));
    assert_eq!(world.runs.1, 0);
}

#[test]
fn if_the_version_before_is_refused_too_the_edit_stays() {
    let mut world = World::new();
    for op in [Op::Answer(1, Carrier::Refuses), Op::Edit(1), Op::Wait(2)] {
        world.run(&op);
    }
    world.run(&Op::Answer(0, Carrier::Refuses));
    world.run(&Op::Wait(30));
    assert_eq!((world.runs.1, world.restarts), (1, 3));
    assert_eq!(world.rollback.unwrap().phase, Phase::GaveUp);
}

#[test]
fn what_did_not_work_lately_is_nothing_to_go_back_to() {
    let mut world = World::new();
    world.run(&Op::Answer(0, Carrier::Refuses));
    world.run(&Op::Answer(1, Carrier::Refuses));
    world.run(&Op::Wait(3601));
    world.run(&Op::Edit(1));
    world.run(&Op::Wait(30));
    assert_eq!((world.runs.1, world.restarts), (1, 1));
}

fn op() -> impl Strategy<Value = Op> {
    let carrier = prop_oneof![Just(Carrier::Accepts), Just(Carrier::Refuses), Just(Carrier::Busy)];
    prop_oneof![
        4 => (0usize..4).prop_map(Op::Edit),
        3 => (0usize..4, carrier).prop_map(|(version, carrier)| Op::Answer(version, carrier)),
        1 => Just(Op::Apply),
        4 => (0usize..8).prop_map(Op::Wait),
        1 => Just(Op::TakeOver),
    ]
}

proptest! {
    // Each step decides about all gateways anew.
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// There, back, and there again after all: no edit costs more, whatever the carrier answers and when.
    #[test]
    fn a_rollback_never_loops(ops in proptest::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        let mut asked = 0;
        for op in &ops {
            asked += usize::from(matches!(op, Op::Edit(_) | Op::Apply));
            world.run(op);
            prop_assert!(world.restarts <= 3 * asked, "{} restarts after {asked}", world.restarts);
        }
        world.run(&Op::Wait(30));
        let restarts = world.restarts;
        prop_assert!(restarts <= 3 * asked);
        world.run(&Op::Wait(40));
        prop_assert_eq!(world.restarts, restarts, "it comes to rest");
        let runs = world.want().1;
        prop_assert_eq!(value(world.runs.1), runs);
        let keeps_old = |record: &Rollback| record.phase.keeps_old() && record.is_about("acme", &world.stored);
        if !world.rollback.as_ref().is_some_and(keeps_old) {
            prop_assert_eq!(value(world.runs.1), world.stored, "without a rollback it is what Redis has");
        }
    }
}
