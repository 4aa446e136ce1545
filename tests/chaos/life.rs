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

use crate::api::{Api, ApiEdit};
use crate::past::{ApiRecord, Journal};
use crate::program::Addresses;
use crate::schedule::{World, pause};
use crate::support::fake_switch::xml_curl::locate;
use crate::support::fake_switch::{BUSY, Binding, Element, FORBIDDEN, FakeSwitch, HttpRequest, Outcome};
use crate::support::redis::RedisServer;
use crate::verdict::{EventId, OfEvent};

pub(crate) const DOMAINS: [&str; 3] = ["a", "b", "c"];
/// Edited, but never removed or invalid, or refused for good and so parked: every answer must have them.
const LASTING: [&str; 3] = ["stays0", "stays1", "stays2"];
const PASSING: [&str; 9] = ["gw0", "gw1", "gw2", "gw3", "gw4", "gw5", "gw6", "gw7", "gw8"];
/// Accounts of one carrier, which has a pace. Edited, sometimes with a password that the carrier refuses, but never
/// removed or invalid.
pub(crate) const TRUNKS: [&str; 6] = ["trunk0", "trunk1", "trunk2", "trunk3", "trunk4", "trunk5"];
pub(crate) const HOST: &str = "trunks.example.net";
pub(crate) const PER_SECOND: usize = 3;
pub(crate) const PARK_AFTER: usize = 3;
pub(crate) const PASSWORD: &str = "right";
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

/// Edits the gateways, past trunkd or through its API, and retries while Redis is away.
pub(crate) struct Editor {
    client: redis::Client,
    connection: Option<MultiplexedConnection>,
    api: Api,
    random: StdRng,
    /// What was written; Redis may hold something else if an answer was lost.
    values: BTreeMap<&'static str, String>,
    spoilt: BTreeSet<&'static str>,
    /// The number of the last value.
    last_mark: u32,
    pub(crate) journal: Journal,
}

impl Editor {
    pub(crate) fn new(redis: &RedisServer, addresses: &Addresses, mut random: StdRng) -> Self {
        let half = PASSING.iter().filter(|_| random.random_bool(0.5)).copied();
        let names: Vec<_> = LASTING.into_iter().chain(TRUNKS).chain(half).collect();
        let first = |name: &'static str| (name, value(&mut random, name, "first"));
        Self {
            client: redis::Client::open(redis.url()).unwrap(),
            connection: None,
            values: names.into_iter().map(first).collect(),
            api: Api::new(addresses.clone(), StdRng::from_rng(&mut random)),
            random,
            spoilt: BTreeSet::new(),
            last_mark: 0,
            journal: Journal::default(),
        }
    }

    /// Writes everything in one step to a Redis that has nothing.
    pub(crate) async fn begin(&mut self, redis: &RedisServer) {
        self.api.make_token(redis).await;
        self.write_all().await;
        self.journal = Journal {
            initial: self.values.clone(),
            ..Journal::default()
        };
    }

    /// One random edit
    pub(crate) async fn edit(&mut self) {
        let name = *names().choose(&mut self.random).unwrap();
        let is_lasting = !PASSING.contains(&name);
        if self.random.random_bool(0.5) {
            return self.edit_by_api(name, is_lasting).await;
        }
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
            _ => self.set_valid(name).await,
        }
    }

    async fn edit_by_api(&mut self, name: &'static str, is_lasting: bool) {
        let mark = self.mark("by the API");
        let to = *PASSING.choose(&mut self.random).unwrap();
        let is_other = to != name && domain(to) == domain(name);
        let (edit, mark) = match self.random.random_range(0..10) {
            0..2 if !is_lasting => (ApiEdit::Delete, None),
            2 if is_other => (ApiEdit::Copy(to), None),
            3..5 if is_other && !is_lasting => (ApiEdit::Rename(to), None),
            5..7 => (ApiEdit::Patch(json!({"variables": {"number": mark}})), Some(mark)),
            _ => {
                let value = value(&mut self.random, name, &mark);
                (ApiEdit::Put(serde_json::from_str(&value).unwrap()), Some(mark))
            }
        };
        let outcome = self.api.edit(name, &edit).await;
        let renamed = matches!(edit, ApiEdit::Copy(_) | ApiEdit::Rename(_)).then_some(to);
        for touched in [Some(name), renamed].into_iter().flatten() {
            self.read(touched).await;
        }
        self.journal.ours.push(ApiRecord { name, mark, outcome });
    }

    /// Makes every value valid.
    pub(crate) async fn fix(&mut self) {
        for name in self.spoilt.clone() {
            self.set_valid(name).await;
        }
    }

    /// Restores everything in one step.
    async fn write_all(&mut self) {
        let mut all = redis::pipe();
        all.atomic();
        for (name, value) in &self.values {
            all.hset(key(name), name, value).ignore();
        }
        while !self.attempt(async |connection| all.exec_async(connection).await).await {
            sleep(RETRY).await;
        }
    }

    async fn set_valid(&mut self, name: &'static str) {
        let mark = self.mark("past it");
        let value = value(&mut self.random, name, &mark);
        self.spoilt.remove(name);
        self.set(name, value).await;
        self.journal.others.push((name, mark));
    }

    async fn set(&mut self, name: &'static str, value: String) {
        self.run(redis::cmd("HSET").arg(key(name)).arg(name).arg(&value)).await;
        self.values.insert(name, value);
    }

    /// A text that no other value has.
    fn mark(&mut self, how: &str) -> String {
        self.last_mark += 1;
        format!("{} {how}", self.last_mark)
    }

    /// What stands there after an edit through the API.
    async fn read(&mut self, name: &'static str) {
        let mut stored: Option<String> = None;
        let mut command = redis::cmd("HGET");
        command.arg(key(name)).arg(name);
        while !self
            .attempt(async |connection| {
                stored = command.query_async(connection).await?;
                Ok(())
            })
            .await
        {
            sleep(RETRY).await;
        }
        match stored {
            Some(value) => {
                if !SPOILT.contains(&value.as_str()) {
                    self.spoilt.remove(name);
                } else {
                    self.spoilt.insert(name);
                }
                self.values.insert(name, value);
            }
            None => {
                self.spoilt.remove(name);
                self.values.remove(name);
            }
        }
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

pub(crate) fn names() -> Vec<&'static str> {
    [&LASTING[..], &PASSING, &TRUNKS].concat()
}

/// A name is always in the same domain.
pub(crate) fn domain(name: &str) -> &'static str {
    let number = usize::from(name.as_bytes()[name.len() - 1] - b'0');
    DOMAINS[number % DOMAINS.len()]
}

fn key(name: &str) -> String {
    format!("cti_gateway@{}", domain(name))
}

fn value(random: &mut StdRng, name: &str, mark: &str) -> String {
    let mut param = BTreeMap::from([("realm", format!("sip{}.example.net", random.random_range(0..100)))]);
    if TRUNKS.contains(&name) {
        let password = if random.random_bool(0.15) { "wrong" } else { PASSWORD };
        param.insert("realm", HOST.to_owned());
        param.insert("username", name.to_owned());
        param.insert("password", password.to_owned());
        param.insert("retry-seconds", random.random_range(5..8).to_string());
    } else if random.random_bool(0.6) {
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
    let variables = json!({"text": TEXTS.choose(random).unwrap(), "number": mark});
    json!({"param": param, "variables": variables}).to_string()
}

fn change_a_mind(switch: &FakeSwitch, random: &mut StdRng) {
    let gateway = *[&LASTING[..], &PASSING].concat().choose(random).unwrap();
    let seconds = random.random_range(1..10);
    let outcomes = [
        Outcome::Ok,
        if LASTING.contains(&gateway) { BUSY } else { FORBIDDEN },
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
