//! The parts that neither wait nor talk, each alone: what a change of the code costs before the network hides it.
//!
//! `cargo bench --bench pure`; a name after `--` picks some.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use divan::{Bencher, black_box};
use jiff::Timestamp;
use trunkd::gateway::RevisionKey;
use trunkd::gateway::{Desired, Placements, ProfileName, RawDomain, RawDomains, Rules};
use trunkd::placement::{Change, Input, Life, Patience, Runs, SwitchState, decide};
use trunkd::reconcile::{Differences, Known, Listed, Seen, wants};
use trunkd::registration::State;
use trunkd::sofia_conf::{GatewayQuery, Query, Templates};

use common::account;

const KEY: RevisionKey = RevisionKey::new([7; 32]);
const SIZES: [usize; 3] = [10, 1000, 10_000];
const EXTERNAL: Query<'static> = Query {
    profile: Some("external"),
    gateway: GatewayQuery::None,
    node: Some("fs1"),
};

fn main() {
    divan::main();
}

/// JSON → desired gateways, all of them new.
#[divan::bench(args = SIZES)]
fn parse_all(bencher: Bencher<'_, '_>, gateways: usize) {
    let (rules, raw) = (rules(&templates()), raw(gateways, 0));
    bencher.bench(|| Desired::build(black_box(&raw), &rules, None));
}

/// The same when one of them changed.
#[divan::bench(args = SIZES)]
fn parse_one_that_changed(bencher: Bencher<'_, '_>, gateways: usize) {
    let rules = rules(&templates());
    let before = Desired::build(&raw(gateways, 0), &rules, None);
    let raw = raw(gateways, 1);
    bencher.bench(|| Desired::build(black_box(&raw), &rules, Some(&before)));
}

/// The document of the external profile.
#[divan::bench(args = SIZES)]
fn render_all(bencher: Bencher<'_, '_>, gateways: usize) {
    let templates = templates();
    let desired = Desired::build(&raw(gateways, 0), &rules(&templates), None);
    bencher.bench(|| templates.document(black_box(&desired), &KEY, &EXTERNAL));
}

/// The same when one of them changed.
#[divan::bench(args = SIZES)]
fn render_one_that_changed(bencher: Bencher<'_, '_>, gateways: usize) {
    let templates = templates();
    let rules = rules(&templates);
    let first = Desired::build(&raw(gateways, 0), &rules, None);
    let second = Desired::build(&raw(gateways, 1), &rules, Some(&first));
    let before = templates.next_document(&first, &KEY, &EXTERNAL, None);
    bencher.bench(|| templates.next_document(black_box(&second), &KEY, &EXTERNAL, before.as_ref()));
}

/// What a switch runs against what it should run: one gateway differs.
#[divan::bench(args = SIZES)]
fn diff(bencher: Bencher<'_, '_>, gateways: usize) {
    let rules = rules(&templates());
    let runs = wants(&Desired::build(&raw(gateways, 0), &rules, None), &KEY, "fs1");
    let listed = runs.iter().map(|(name, want)| Listed {
        seen: Seen::default(),
        name: name.as_str(),
        profile: Some("external"),
        registration: None,
        state: Some(&State::Reged),
        revision: Some(Some(want.revision.as_str())),
    });
    let known = Known::new(["external"], std::iter::empty(), listed, tokio::time::Instant::now());
    let desired = Desired::build(&raw(gateways, 1), &rules, None);
    let wants = wants(&desired, &KEY, "fs1");
    bencher.bench(|| {
        let differences = Differences::between(black_box(&wants), &known.actual);
        known.plan(&differences, &desired, &wants, &Default::default())
    });
}

/// What a fleet of ten loses when one switch dies, with so many gateways on exactly one switch.
#[divan::bench(args = [1000, 10_000, 100_000])]
fn decide_about_a_dead_switch(bencher: Bencher<'_, '_>, gateways: usize) {
    let fields = (0..gateways).map(|number| {
        let value = account(number).replacen('{', r#"{"placement":"one","#, 1);
        (format!("gw{number:05}").into_bytes(), value.into_bytes())
    });
    let raw = [("default".to_owned(), RawDomain::hash(fields))].into();
    let mut switches: BTreeMap<_, _> = (0..10).map(|number| (format!("fs{number}"), live())).collect();
    let rules = rules(&templates());
    let unplaced = Desired::build(&raw, &rules, None);
    let placed = decided(&unplaced, &switches);
    let records: Placements = placed
        .into_iter()
        .filter_map(|change| Some((change.gateway, change.after?)))
        .collect();
    let desired = Desired::build_with(&raw, &records.into(), &rules, None);
    switches
        .entry("fs3".to_owned())
        .and_modify(|state| state.life = Life::Dead);
    bencher.bench(|| decided(black_box(&desired), &switches));
}

fn decided(desired: &Desired, switches: &BTreeMap<String, SwitchState>) -> Vec<Change> {
    decide(&Input {
        now: Timestamp::UNIX_EPOCH,
        desired,
        switches,
        runs: &|_, _| Runs::No,
        is_settled: true,
        lane: &|_| unreachable!("nothing moves as planned"),
        patience: Patience::default(),
    })
}

fn live() -> SwitchState {
    SwitchState {
        weight: 1,
        life: Life::Live,
        live_since: None,
        is_silent: false,
        is_drained: false,
        is_ours: true,
    }
}

fn templates() -> Arc<Templates> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    Arc::new(Templates::load(&dir).expect("the templates that come with trunkd"))
}

fn rules(templates: &Templates) -> Rules {
    let external = ProfileName::parse("external").expect("a name");
    templates.rules(&external).expect("there is such a profile")
}

/// `edits` of the gateways have another value than they would have.
fn raw(gateways: usize, edits: usize) -> RawDomains {
    let fields = (0..gateways).map(|number| {
        let value = account(if number < edits { gateways + number } else { number });
        (format!("gw{number:05}").into_bytes(), value.into_bytes())
    });
    [("default".to_owned(), RawDomain::hash(fields))].into()
}
