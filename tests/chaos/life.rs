//! What goes on all the time: edits in Redis, carriers whose answers change, requests, and a
//! subscriber of the channel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::program::Addresses;
use crate::schedule::{World, pause};
use crate::support::fake_switch::xml_curl::locate;
use crate::support::fake_switch::{Binding, Element, FORBIDDEN, FakeSwitch, HttpRequest, Outcome};
use crate::support::redis::RedisServer;
use crate::verdict::{EventId, OfEvent};

pub(crate) const DOMAINS: [&str; 3] = ["a", "b", "c"];
/// Edited, but never removed or invalid: every answer must have them.
const LASTING: [&str; 3] = ["stays0", "stays1", "stays2"];
const PASSING: [&str; 9] = ["gw0", "gw1", "gw2", "gw3", "gw4", "gw5", "gw6", "gw7", "gw8"];
/// Text that must not confuse an XML parser or FreeSWITCH's preprocessor
const TEXTS: [&str; 5] = [
    "plain",
    "$${default_password}",
    "<X-PRE-PROCESS cmd=\"exec\"/>",
    "\"'&<>",
    "顶顶通",
];
/// No gateway
const SPOILT: [&str; 3] = ["{", "[]", r#"{"param":{"register":"true"}}"#];
const RETRY: Duration = Duration::from_millis(20);

pub(crate) struct Life {
    quiet: CancellationToken,
    over: CancellationToken,
    restless: Vec<JoinHandle<()>>,
    requesters: Vec<JoinHandle<()>>,
    listener: JoinHandle<Vec<EventId>>,
}

impl Life {
    pub(crate) fn start(world: &World, random: &mut StdRng) -> Self {
        let (quiet, over) = (CancellationToken::new(), CancellationToken::new());
        let mut own = || StdRng::from_rng(random);
        let editing = {
            let (editor, quiet, mut random) = (world.editor.clone(), quiet.clone(), own());
            tokio::spawn(async move {
                while !quiet.is_cancelled() {
                    editor.lock().await.edit().await;
                    pause(&mut random, 5..150).await;
                }
            })
        };
        let carriers = {
            let (switch, quiet, mut random) = (world.switch.clone(), quiet.clone(), own());
            tokio::spawn(async move {
                while !quiet.is_cancelled() {
                    change_a_mind(&switch, &mut random);
                    pause(&mut random, 5..100).await;
                }
            })
        };
        let requesters = (0..world.trunkds.len())
            .map(|index| tokio::spawn(request(world.addresses.clone(), index, own(), over.clone())))
            .collect();
        let listener = tokio::spawn(listen(world.redis.url(), over.clone()));
        Self {
            quiet,
            over,
            restless: vec![editing, carriers],
            requesters,
            listener,
        }
    }

    /// The edits end with every value valid, and the carriers accept every registration.
    pub(crate) async fn calm_down(&self, world: &World) {
        self.quiet.cancel();
        while !self.restless.iter().all(JoinHandle::is_finished) {
            sleep(RETRY).await;
        }
        world.editor.lock().await.fix().await;
        world.switch.registrar(|registrar| {
            for gateway in LASTING.iter().chain(&PASSING) {
                registrar.set(gateway, Outcome::Ok);
                registrar.set_ping(gateway, Outcome::Ok);
            }
        });
    }

    /// Returns what was published. Panics if anything went wrong.
    pub(crate) async fn end(self) -> Vec<EventId> {
        self.over.cancel();
        for task in self.restless.into_iter().chain(self.requesters) {
            task.await.unwrap();
        }
        self.listener.await.unwrap()
    }
}

/// Another program that edits the gateways, and retries while Redis is away.
pub(crate) struct Editor {
    client: redis::Client,
    connection: Option<MultiplexedConnection>,
    random: StdRng,
    values: BTreeMap<&'static str, String>,
    spoilt: BTreeSet<&'static str>,
}

impl Editor {
    pub(crate) fn new(redis: &RedisServer, mut random: StdRng) -> Self {
        let half = PASSING.iter().filter(|_| random.random_bool(0.5)).copied();
        let names: Vec<_> = LASTING.into_iter().chain(half).collect();
        Self {
            client: redis::Client::open(redis.url()).unwrap(),
            connection: None,
            values: names.into_iter().map(|name| (name, value(&mut random))).collect(),
            random,
            spoilt: BTreeSet::new(),
        }
    }

    /// One random edit
    pub(crate) async fn edit(&mut self) {
        let name = *[&LASTING[..], &PASSING].concat().choose(&mut self.random).unwrap();
        let is_lasting = LASTING.contains(&name);
        match self.random.random_range(0..10) {
            0..3 if !is_lasting => {
                self.values.remove(name);
                self.spoilt.remove(name);
                self.run(redis::cmd("HDEL").arg(key(name)).arg(name)).await;
            }
            3 if !is_lasting => {
                let bad = *SPOILT.choose(&mut self.random).unwrap();
                self.spoilt.insert(name);
                self.set(name, bad.to_owned()).await;
            }
            _ => {
                let value = value(&mut self.random);
                self.spoilt.remove(name);
                self.set(name, value).await;
            }
        }
    }

    /// Makes every value valid.
    pub(crate) async fn fix(&mut self) {
        for name in std::mem::take(&mut self.spoilt) {
            let value = value(&mut self.random);
            self.set(name, value).await;
        }
    }

    /// Restores everything in one step.
    pub(crate) async fn write_all(&mut self) {
        let mut all = redis::pipe();
        all.atomic();
        for (name, value) in &self.values {
            all.hset(key(name), name, value).ignore();
        }
        while !self.attempt(async |connection| all.exec_async(connection).await).await {
            sleep(RETRY).await;
        }
    }

    async fn set(&mut self, name: &'static str, value: String) {
        self.run(redis::cmd("HSET").arg(key(name)).arg(name).arg(&value)).await;
        self.values.insert(name, value);
    }

    async fn run(&mut self, command: &redis::Cmd) {
        while !self
            .attempt(async |connection| command.exec_async(connection).await)
            .await
        {
            sleep(RETRY).await;
        }
    }

    async fn attempt(&mut self, work: impl AsyncFnOnce(&mut MultiplexedConnection) -> redis::RedisResult<()>) -> bool {
        if self.connection.is_none() {
            self.connection = self.client.get_multiplexed_async_connection().await.ok();
        }
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let is_done = work(connection).await.is_ok();
        if !is_done {
            self.connection = None;
        }
        is_done
    }
}

/// A name is always in the same domain.
fn key(name: &str) -> String {
    let number = usize::from(name.as_bytes()[name.len() - 1] - b'0');
    format!("cti_gateway@{}", DOMAINS[number % DOMAINS.len()])
}

fn value(random: &mut StdRng) -> String {
    let mut param = BTreeMap::from([("realm", format!("sip{}.example.net", random.random_range(0..100)))]);
    if random.random_bool(0.6) {
        param.insert("username", "u".to_owned());
        param.insert("password", format!("p{}", random.random_range(0..1000)));
        // Some stay refused.
        let retry = if random.random_bool(0.2) {
            86_400
        } else {
            random.random_range(5..30)
        };
        param.insert("retry-seconds", retry.to_string());
    } else {
        param.insert("register", "false".to_owned());
    }
    if random.random_bool(0.4) {
        param.insert("ping", random.random_range(5..20).to_string());
    }
    let variables = json!({"text": TEXTS.choose(random).unwrap(), "number": random.random_range(0..1000).to_string()});
    json!({"param": param, "variables": variables}).to_string()
}

fn change_a_mind(switch: &FakeSwitch, random: &mut StdRng) {
    let gateway = *[&LASTING[..], &PASSING].concat().choose(random).unwrap();
    let seconds = random.random_range(1..10);
    let outcomes = [
        Outcome::Ok,
        FORBIDDEN,
        Outcome::Refused,
        Outcome::Silent,
        Outcome::After(seconds, Box::new(Outcome::Ok)),
    ];
    let outcome = outcomes.choose(random).unwrap().clone();
    let is_ping = random.random_bool(0.4);
    switch.registrar(|registrar| match is_ping {
        true => registrar.set_ping(gateway, outcome),
        false => registrar.set(gateway, outcome),
    });
}

/// Asks one trunkd again and again as mod_xml_curl does. Panics if an answer would harm FreeSWITCH.
async fn request(addresses: Addresses, index: usize, mut random: StdRng, over: CancellationToken) {
    let (mut answered, mut refused) = (0, 0);
    while !over.is_cancelled() {
        if let Some(address) = addresses.of(index) {
            let (found, request) = ask(address.listens).await;
            match problem(found.as_ref(), &request) {
                None => answered += 1,
                // Dead, or cut off by its death
                Some(_) if addresses.of(index) != Some(address) && is_unanswered(&request) => refused += 1,
                Some(problem) => panic!("an answer of trunkd {index}: {problem}"),
            }
        }
        pause(&mut random, 2..30).await;
    }
    println!("trunkd {index}: {answered} answers, {refused} requests that met no trunkd");
}

async fn ask(address: SocketAddr) -> (Option<Element>, HttpRequest) {
    let binding = Binding {
        timeout: Some(Duration::from_secs(15)),
        ..Binding::new(format!("http://{address}/xml_curl"))
    };
    let form =
        "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external";
    locate(&binding, form, "sofia.conf", &BTreeMap::new(), None).await
}

fn is_unanswered(request: &HttpRequest) -> bool {
    request.error.as_ref().is_some_and(|error| error.starts_with("CURL"))
}

fn problem(found: Option<&Element>, request: &HttpRequest) -> Option<String> {
    let tell = |what: &str| Some(format!("{what}: {}", String::from_utf8_lossy(&request.body)));
    if let Some(error) = &request.error {
        return tell(error);
    }
    let dropped = request.preprocessed.as_ref().map(|done| &done.dropped_lines);
    if dropped.is_none_or(|dropped| !dropped.is_empty()) {
        return tell(&format!("the preprocessor dropped {dropped:?}"));
    }
    let profile = found?
        .child("profiles")
        .and_then(|profiles| profiles.child_where("profile", "name", "external"));
    let Some(gateways) = profile.and_then(|profile| profile.child("gateways")) else {
        return tell("no profile");
    };
    let missing = LASTING
        .iter()
        .find(|name| gateways.child_where("gateway", "name", name).is_none());
    missing.and_then(|name| tell(&format!("no {name}")))
}

/// FreeSWITCH's events on the channel, except those that came while the subscriber was disconnected.
async fn listen(url: String, over: CancellationToken) -> Vec<EventId> {
    let mut heard = Vec::new();
    let client = redis::Client::open(url).unwrap();
    let listening = async {
        loop {
            if let Ok(mut subscription) = client.get_async_pubsub().await
                && subscription.subscribe("gateway-events").await.is_ok()
            {
                let mut messages = subscription.on_message();
                while let Some(message) = messages.next().await {
                    let event: Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
                    heard.extend(EventId::of(&event));
                }
            }
            sleep(RETRY).await;
        }
    };
    over.run_until_cancelled(listening).await;
    heard
}
