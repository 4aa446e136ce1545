//! The history and the state agree: what the newest entry of each gateway says is what Redis holds, and
//! each edit is there as often as it was made.

use std::collections::{BTreeMap, HashMap};

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::Value;

use crate::api::{AUTHOR, Outcome};
use crate::life::{domain, names};
use crate::schedule::World;
use crate::support::app::eventually_within;
use crate::verdict::DEADLINE;

/// The edits that were made, and what stood in Redis before them.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) initial: BTreeMap<&'static str, String>,
    /// Through the API.
    pub(crate) ours: Vec<ApiRecord>,
    /// Past trunkd: the gateway and the mark in its value.
    pub(crate) others: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub(crate) struct ApiRecord {
    pub(crate) name: &'static str,
    /// The mark in the value that it writes, if it writes one of its own.
    pub(crate) mark: Option<String>,
    pub(crate) outcome: Outcome,
}

/// An edit in the history of one gateway.
struct PastEdit {
    id: String,
    who: String,
    /// `change`, `rename`, …
    kind: String,
    after: Option<String>,
}

/// What Redis says.
struct Past {
    stored: BTreeMap<&'static str, Option<String>>,
    edits: BTreeMap<&'static str, Vec<PastEdit>>,
}

pub(crate) async fn wait_for_agreement(world: &World) {
    let connection = world.redis.connection().await;
    let editor = world.editor.lock().await;
    let look = || async {
        let past = read(connection.clone()).await;
        let mut found = unlike_the_state(&past, &editor.journal.initial);
        found.extend(wrong_marks(&past, &editor.journal));
        found.extend(unrecorded(&past, &editor.journal));
        found
    };
    eventually_within(DEADLINE, "the history and the state agree", look, Vec::is_empty).await;
    let (ours, others) = (&editor.journal.ours, editor.journal.others.len());
    let done = ours.iter().filter(|record| matches!(record.outcome, Outcome::Done(_)));
    let unknown = ours.iter().filter(|record| record.outcome == Outcome::Unknown);
    println!(
        "edits: {} by the API, {} more may have been done, {others} past it",
        done.count(),
        unknown.count()
    );
}

async fn read(mut connection: MultiplexedConnection) -> Past {
    let mut past = Past {
        stored: BTreeMap::new(),
        edits: BTreeMap::new(),
    };
    for name in names() {
        let domain = domain(name);
        let stored = connection.hget(format!("cti_gateway@{domain}"), name).await.unwrap();
        past.stored.insert(name, stored);
        let stream = format!("trunkd:history:{domain}/{name}");
        let mut range = redis::cmd("XRANGE");
        range.arg(stream).arg("-").arg("+");
        let entries: Vec<(String, HashMap<String, String>)> = range.query_async(&mut connection).await.unwrap();
        let edits = entries.into_iter().filter_map(|(id, fields)| {
            let entry: Value = serde_json::from_str(&fields["entry"]).unwrap();
            if entry["kind"] != "edit" {
                return None;
            }
            let details: Value = serde_json::from_str(&fields["details"]).unwrap();
            Some(PastEdit {
                id,
                who: entry["who"].as_str().unwrap().to_owned(),
                kind: entry["edit"].as_str().unwrap().to_owned(),
                after: details["after"].as_str().map(str::to_owned),
            })
        });
        past.edits.insert(name, edits.collect());
    }
    past
}

/// The newest entry of each gateway says what stands in Redis, and no entry says what the one before it
/// says.
fn unlike_the_state(past: &Past, initial: &BTreeMap<&'static str, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, edits) in &past.edits {
        let said = match edits.last() {
            Some(newest) => newest.after.as_ref(),
            None => initial.get(name),
        };
        let stored = past.stored[name].as_ref();
        if said != stored {
            let newest = edits.last().map(|edit| (&edit.id, &edit.who, &edit.kind));
            found.push(format!(
                "{name}: the history ends with {newest:?}, {said:?}; stored: {stored:?}"
            ));
        }
        for pair in edits.windows(2).filter(|pair| pair[0].after == pair[1].after) {
            found.push(format!(
                "{name}: {} by {} is recorded again as {} by {}",
                pair[0].id, pair[0].who, pair[1].id, pair[1].who
            ));
        }
    }
    found
}

/// Every value that was written is in the history at most once, with who wrote it.
fn wrong_marks(past: &Past, journal: &Journal) -> Vec<String> {
    let others = journal.others.iter().map(|(name, mark)| (*name, mark, "redis", 0..=1));
    let ours = journal.ours.iter().filter_map(|record| {
        let times = match record.outcome {
            Outcome::Done(_) => 1..=1,
            Outcome::NotDone => 0..=0,
            Outcome::Unknown => 0..=1,
        };
        Some((record.name, record.mark.as_ref()?, AUTHOR, times))
    });
    let mut found = Vec::new();
    for (name, mark, who, times) in ours.chain(others) {
        let is_it = |edit: &&PastEdit| {
            let writes = matches!(edit.kind.as_str(), "create" | "change");
            writes && edit.after.as_ref().is_some_and(|after| after.contains(&quoted(mark)))
        };
        let entries: Vec<_> = past.edits[name].iter().filter(is_it).collect();
        if !times.contains(&entries.len()) || entries.iter().any(|edit| edit.who != who) {
            let entries: Vec<_> = entries.iter().map(|edit| (&edit.id, &edit.who)).collect();
            found.push(format!(
                "{name}: {mark} is to be there {times:?} times by {who}: {entries:?}"
            ));
        }
    }
    found
}

fn quoted(mark: &str) -> String {
    format!("\"{mark}\"")
}

/// The entry of every acknowledged edit is there, with its author.
fn unrecorded(past: &Past, journal: &Journal) -> Vec<String> {
    let mut found = Vec::new();
    for record in &journal.ours {
        let Outcome::Done(id) = &record.outcome else { continue };
        let mut all = past.edits.values().flatten().filter(|edit| edit.id == *id);
        if !all.any(|edit| edit.who == AUTHOR) {
            found.push(format!("no entry of {record:?}"));
        }
    }
    found
}
