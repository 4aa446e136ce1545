//! What must be true when the faults are over.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use crate::faults::Fault;
use crate::life::{DOMAINS, PARK_AFTER, PASSWORD, PER_SECOND, TRUNKS};
use crate::schedule::World;
use crate::support::app::{Other, eventually_within};
use crate::support::fake_switch::{Gateway, Method, RegState, View, Window};

/// Far longer than the effects of any fault last, also on a busy machine
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What mod_sofia gets if a carrier refuses for good (FACTS 39); 904 stands for a second challenge.
const REFUSALS: [u16; 5] = [401, 403, 404, 410, 904];
/// Which of the events that the switch sent are in the list; none may be in it twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// All, in the order in which they were sent
    Every,
    /// All. A trunkd that has just connected may overtake what another has not written yet.
    EveryInAnyOrder,
    /// Some may be missing.
    Part,
    PartInAnyOrder,
}

/// An event about a gateway, as FreeSWITCH made it: the run and the sequence number.
pub(crate) type EventId = (String, u64);

pub(crate) trait OfEvent: Sized {
    fn of(event: &Value) -> Option<Self>;
}

impl OfEvent for EventId {
    /// `None` for what trunkd itself found out.
    fn of(event: &Value) -> Option<Self> {
        if !event["trunkd-Source"].is_null() {
            return None;
        }
        let sequence = event["Event-Sequence"].as_str().unwrap().parse().unwrap();
        Some((event["Core-UUID"].as_str().unwrap().to_owned(), sequence))
    }
}

/// What Redis wants, what the switch runs, and the states in Redis agree.
pub(crate) async fn wait_for_agreement(world: &World) {
    let other = Other::new(&world.redis).await;
    let look = || differences(world, &other);
    eventually_within(DEADLINE, "Redis and the switch agree", look, Vec::is_empty).await;
}

/// The switch has the gateways that Redis wants; their states may be anything.
pub(crate) async fn wait_until_as_wanted(world: &World) {
    let other = Other::new(&world.redis).await;
    let look = || async {
        let wanted = wanted(&other).await;
        world.switch.view(|view| unlike(view, &wanted))
    };
    eventually_within(DEADLINE, "the switch has what Redis wants", look, Vec::is_empty).await;
}

async fn differences(world: &World, other: &Other) -> Vec<String> {
    let wanted = wanted(other).await;
    let values = other.hash("gateways").await;
    let rows = other.hash("trunkd:status:fs1").await;
    let switch = other.field("trunkd:switches", "fs1").await.unwrap_or_default();
    let undecided = undecided(other).await;
    world.switch.view(|view| {
        let mut found = unlike(view, &wanted);
        found.extend(undecided);
        found.extend(unreported(view, &values, "gateways", tells));
        found.extend(unreported(view, &rows, "trunkd:status:fs1", row_tells));
        found.extend(unregistered(view, &wanted.parked));
        if switch["connected"] != true || switch["core_uuid"] != view.core_uuid() {
            found.push(format!("the switch is said to be {switch}"));
        }
        found
    })
}

/// trunkd kept to the pace of the carrier, and parks nothing that a carrier accepts.
pub(crate) async fn assert_kind_to_carriers(world: &World, fault: Fault) {
    // FakeSwitch's seconds are shorter than those of the pace: whatever a switch sends in one of them was allowed in one go.
    let busiest = world.carrier.busiest_when_told(Window::Seconds(1));
    if fault.keeps_the_pace() {
        assert!(busiest <= PER_SECOND, "{busiest} REGISTERs in a second");
    }
    let other = Other::new(&world.redis).await;
    let parked = other.hash("trunkd:parked:fs1").await;
    for (name, parked) in parked.iter().filter(|(_, parked)| parked["phase"] == "waiting") {
        let answers = world.switch.view(|view| answers(view, name));
        let is_accepted = answers.last() == Some(&200);
        assert!(!is_accepted, "{name} is parked, and was accepted: {parked}");
    }
    let ever_parked = other.history("parked").await;
    for entry in ever_parked.iter().filter(|_| fault.keeps_the_events()) {
        let answers = world
            .switch
            .view(|view| answers(view, entry["gateway"].as_str().unwrap()));
        let most = answers.chunk_by(|a, b| REFUSALS.contains(a) && REFUSALS.contains(b));
        let most = most.map(<[u16]>::len).max().unwrap_or_default();
        assert!(
            most >= PARK_AFTER,
            "parked after {most} refusals in a row: {entry}, {answers:?}"
        );
    }
    let (edits, rolled_back) = (other.hash("trunkd:rollbacks").await, other.history("rolled_back").await);
    println!(
        "carrier: {} REGISTERs, {busiest} at once; {} parked, {} still; {} rolled back, {} still",
        world.carrier.registers().len(),
        ever_parked.len(),
        parked.len(),
        rolled_back.len(),
        edits.len()
    );
}

/// How the carrier answered the REGISTERs of a gateway.
fn answers(view: &View, gateway: &str) -> Vec<u16> {
    let registers = view.wire().iter().filter(|sent| sent.gateway == gateway);
    let registers = registers.filter(|sent| matches!(sent.method, Method::Register | Method::Refresh));
    registers.map(|sent| sent.status.unwrap_or_default()).collect()
}

/// What the switch is to have.
struct Wanted {
    /// The values that each gateway may run with: the one in Redis, and if the carrier refused that, the one before.
    values: BTreeMap<String, Vec<Value>>,
    /// A switch that restarted does not have these.
    parked: BTreeSet<String>,
}

async fn wanted(other: &Other) -> Wanted {
    let mut wanted = BTreeMap::new();
    for domain in DOMAINS {
        let values = other.hash(&format!("cti_gateway@{domain}")).await;
        // Copies are disabled.
        let values = values.into_iter().filter(|(_, value)| value["enabled"] != false);
        wanted.extend(values.map(|(name, value)| (name, vec![value])));
    }
    for (name, record) in other.hash("trunkd:rollbacks").await {
        let good = record["good"].as_str().and_then(|good| serde_json::from_str(good).ok());
        if let (Some(values), Some(good)) = (wanted.get_mut(&name), good) {
            values.push(good);
        }
    }
    Wanted {
        values: wanted,
        parked: other.hash("trunkd:parked:fs1").await.into_keys().collect(),
    }
}

/// How the gateways of the switch differ from what Redis wants.
fn unlike(view: &View, wanted: &Wanted) -> Vec<String> {
    let mut found = Vec::new();
    if !view.ghosts().is_empty() {
        found.push(format!("there are {} ghosts", view.ghosts().len()));
    }
    let names: BTreeSet<_> = view.gateways().iter().map(|gateway| gateway.name.clone()).collect();
    let values = &wanted.values;
    let is_wanted = |name: &&String| names.contains(*name) || !wanted.parked.contains(*name);
    if !names.iter().eq(values.keys().filter(is_wanted)) {
        found.push(format!("on the switch: {names:?}; wanted: {:?}", values.keys()));
    }
    for gateway in view.gateways() {
        if let Some(wanted) = values
            .get(&gateway.name)
            .filter(|wanted| !wanted.iter().any(|wanted| is_as_wanted(gateway, wanted)))
        {
            let (params, variables) = (&gateway.params, &gateway.ib_vars);
            found.push(format!(
                "{}: {params:?} {variables:?}, wanted: {wanted:?}",
                gateway.name
            ));
        }
    }
    found
}

/// Edits that are neither done, nor taken back, nor held.
async fn undecided(other: &Other) -> Vec<String> {
    let followed = other.hash("trunkd:verifying:fs1").await.into_iter();
    let waiting = other.hash("trunkd:rollbacks").await.into_iter();
    let waiting = waiting.filter(|(_, record)| record["phase"] == "waiting");
    let undecided = followed.chain(waiting);
    undecided
        .map(|(name, record)| format!("the edit of {name} is undecided: {record}"))
        .collect()
}

/// Trunks that their carrier would accept.
fn unregistered(view: &View, parked: &BTreeSet<String>) -> Vec<String> {
    let trunks = TRUNKS.iter().filter(|name| !parked.contains(**name));
    let gateways = trunks.filter_map(|name| view.gateway(name));
    let unregistered = gateways.filter(|gateway| gateway.password == PASSWORD && gateway.state != RegState::Reged);
    unregistered
        .map(|gateway| format!("{} is {}", gateway.name, gateway.state.name()))
        .collect()
}

/// How a hash of states in Redis differs from the gateways of the switch.
fn unreported(
    view: &View,
    hash: &BTreeMap<String, Value>,
    key: &str,
    tells: fn(&Value, &Gateway) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let gateways: BTreeMap<_, _> = view
        .gateways()
        .into_iter()
        .map(|gateway| (&gateway.name, gateway))
        .collect();
    if !hash.keys().eq(gateways.keys().copied()) {
        found.push(format!(
            "on the switch: {:?}; in {key}: {:?}",
            gateways.keys(),
            hash.keys()
        ));
    }
    for (name, gateway) in gateways {
        if let Some(told) = hash.get(name).filter(|told| !tells(told, gateway)) {
            let (state, ping) = (gateway.state.name(), gateway.status_name());
            found.push(format!("{name} is {state} and {ping}; in {key}: {told}"));
        }
    }
    found
}

fn is_as_wanted(gateway: &Gateway, wanted: &Value) -> bool {
    let is = |pairs: &[(String, String)], wanted: &Value| {
        let pairs = pairs.iter().filter(|(name, _)| name != "trunkd_revision");
        let pairs: BTreeMap<_, _> = pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let wanted = wanted.as_object().unwrap().iter();
        pairs
            == wanted
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect()
    };
    gateway.profile == "external"
        && is(&gateway.params, &wanted["param"])
        && is(&gateway.ib_vars, &wanted["variables"])
        && is(&gateway.ob_vars, &wanted["variables"])
}

fn tells(value: &Value, gateway: &Gateway) -> bool {
    value["State"] == gateway.state.name()
        && ping_tells(&value["Ping-Status"], gateway)
        && value["trunkd-Source"] != "disconnected"
}

/// FreeSWITCH sets one that was unregistered and is not pinged to UP again, without an event (`sofia_reg.c`).
fn ping_tells(ping: &Value, gateway: &Gateway) -> bool {
    let is_not_told = gateway.state == RegState::Down && gateway.ping_freq == 0;
    *ping == gateway.status_name() || is_not_told
}

fn row_tells(row: &Value, gateway: &Gateway) -> bool {
    row["state"] == gateway.state.name()
        && ping_tells(&row["ping"], gateway)
        && row["profile"] == gateway.profile.as_str()
        && row["stale"].is_null()
        && row["revision"].as_str() == gateway.inbound("trunkd_revision")
}

/// The events about gateways that the switch sent, each once.
pub(crate) fn sent(view: &View) -> Vec<EventId> {
    let gateway_events = view.sent().filter(|event| {
        let subclass = event.subclass().unwrap_or_default();
        subclass.starts_with("sofia::gateway_")
    });
    let mut once = HashSet::new();
    gateway_events
        .map(|event| (event.header("Core-UUID").unwrap().to_owned(), event.sequence()))
        .filter(|id| once.insert(id.clone()))
        .collect()
}

/// Every trunkd was connected when the switch had sent `heard_from` events.
pub(crate) async fn wait_for_list(world: &World, listed: Listed, heard_from: usize) {
    let other = Other::new(&world.redis).await;
    let look = || async {
        let before = world.switch.view(sent).len();
        let list: Vec<_> = other
            .list("gateway-list")
            .await
            .iter()
            .filter_map(EventId::of)
            .collect();
        let sent = world.switch.view(sent);
        fault_of(&list, &sent, listed, heard_from..before)
    };
    let what = format!("the list holds what was sent ({listed:?})");
    eventually_within(DEADLINE, &what, look, Option::is_none).await;
}

/// Problems of the list. `must` are the sent events that have to be in it.
fn fault_of(list: &[EventId], sent: &[EventId], listed: Listed, must: std::ops::Range<usize>) -> Option<String> {
    let places: HashMap<_, _> = sent.iter().enumerate().map(|(place, id)| (id, place)).collect();
    let mut found = Vec::new();
    for id in list {
        match places.get(id) {
            Some(place) if found.contains(place) => return Some(format!("{id:?} is there twice")),
            Some(place) => found.push(*place),
            None => return Some(format!("{id:?} was never sent")),
        }
    }
    let overtaken = found.windows(2).find(|pair| pair[0] > pair[1]);
    if let (Some(pair), Listed::Every | Listed::Part) = (overtaken, listed) {
        return Some(format!("{:?} stands before {:?}", sent[pair[0]], sent[pair[1]]));
    }
    let missing: Vec<_> = must
        .filter(|place| !found.contains(place))
        .map(|place| &sent[place])
        .collect();
    let must_be_whole = matches!(listed, Listed::Every | Listed::EveryInAnyOrder);
    (must_be_whole && !missing.is_empty()).then(|| format!("not there: {missing:?}"))
}

pub(crate) fn assert_no_event_twice(published: &[EventId]) {
    let mut once = HashSet::new();
    let twice: Vec<_> = published.iter().filter(|id| !once.insert(*id)).collect();
    assert!(twice.is_empty(), "published twice: {twice:?}");
    assert!(!published.is_empty(), "nothing was published");
}
