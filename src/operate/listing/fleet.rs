//! What every switch runs, as the last read of Redis has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::is_watched;
use crate::observed::{Position, Row, SwitchState};
use crate::redis::{Store, StoreError};

/// The rows of all switches.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    switches: BTreeMap<Arc<str>, SwitchRows>,
    position: Option<Position>,
}

/// One switch.
#[derive(Debug, Clone, Default)]
pub struct SwitchRows {
    pub state: SwitchState,
    /// Whether a trunkd was connected to it at the last read.
    pub watched: bool,
    pub rows: HashMap<Arc<str>, Arc<Row>>,
    /// When a snapshot last found all rows to be true that had not changed.
    confirmed: Option<Timestamp>,
}

/// A switch with all its rows.
type Whole = (String, SwitchState, HashMap<String, Row>);

/// What a read of Redis found.
#[derive(Default)]
pub(super) struct Update {
    /// Everything, if it had to be read whole.
    whole: Option<Vec<Whole>>,
    states: Option<BTreeMap<String, SwitchState>>,
    /// switch → gateway and its row.
    rows: BTreeMap<String, Vec<(String, Option<Row>)>>,
    confirmed: BTreeMap<String, Timestamp>,
    position: Option<Position>,
}

/// What an update changed.
#[derive(Debug, Default)]
pub(in crate::operate) struct Changed {
    /// Everything may have changed.
    pub(in crate::operate) all: bool,
    /// Gateways whose row differs, by switch.
    pub(in crate::operate) rows: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Switches whose state differs.
    pub(in crate::operate) switches: BTreeSet<Arc<str>>,
}

/// Reads what changed after `position`, or everything.
pub(super) async fn read(store: &Store, position: Option<&Position>) -> Result<Update, StoreError> {
    let changes = match position {
        Some(position) => store.changes_since(position).await?,
        None => None,
    };
    let Some(changes) = changes else {
        // The position first: what changes while the rest is read, is read again.
        let position = store.changes_end().await?;
        return Ok(Update {
            whole: Some(store.read_switches(None).await?),
            position: Some(position),
            ..Update::default()
        });
    };
    let mut rows = BTreeMap::new();
    for (switch, gateways) in &changes.rows {
        rows.insert(switch.clone(), store.read_rows(switch, gateways).await?);
    }
    Ok(Update {
        whole: None,
        states: Some(store.read_switch_states().await?),
        rows,
        confirmed: changes.confirmed,
        position: changes.position,
    })
}

impl Changed {
    pub(super) fn add(&mut self, more: Self) {
        self.all |= more.all;
        self.switches.extend(more.switches);
        for (switch, rows) in more.rows {
            self.rows.entry(switch).or_default().extend(rows);
        }
    }
}

impl Fleet {
    pub(in crate::operate) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Every switch that Redis knows, by name.
    pub fn switches(&self) -> impl Iterator<Item = (&Arc<str>, &SwitchRows)> {
        self.switches.iter()
    }

    /// Every gateway of a switch.
    pub(in crate::operate) fn rows(&self, switch: &str) -> impl Iterator<Item = (&Arc<str>, &Arc<Row>)> {
        self.switches.get(switch).into_iter().flat_map(|rows| &rows.rows)
    }

    /// Whether the switch has a gateway.
    pub(in crate::operate) fn has(&self, switch: &str, gateway: &str) -> bool {
        self.switches
            .get(switch)
            .is_some_and(|rows| rows.rows.contains_key(gateway))
    }

    pub(super) fn into_switches(self) -> BTreeMap<String, SwitchRows> {
        let switches = self.switches.into_iter();
        switches.map(|(name, rows)| (name.to_string(), rows)).collect()
    }

    /// The row of a gateway on a switch.
    pub(super) fn row(&self, switch: &str, gateway: &str) -> Option<Row> {
        let of_switch = self.switches.get(switch)?;
        let row = of_switch.rows.get(gateway)?;
        let seen = of_switch
            .confirmed
            .map_or(row.seen, |confirmed| row.seen.max(confirmed));
        Some(Row {
            seen,
            ..(**row).clone()
        })
    }

    pub(in crate::operate) fn state(&self, switch: &str) -> Option<&SwitchState> {
        self.switches.get(switch).map(|rows| &rows.state)
    }

    pub(in crate::operate) fn is_watched(&self, switch: &str) -> bool {
        self.switches.get(switch).is_some_and(|rows| rows.watched)
    }

    pub(super) fn apply(&mut self, update: Update) -> Changed {
        let mut changed = Changed::default();
        let now = Timestamp::now();
        if update.position.is_some() {
            self.position = update.position;
        }
        if let Some(whole) = update.whole {
            changed.all = true;
            self.switches = whole
                .into_iter()
                .map(|(name, state, rows)| {
                    let rows = rows.into_iter().map(|(name, row)| (name.into(), Arc::new(row)));
                    let rows = rows.collect();
                    let watched = is_watched(&state, now);
                    let of_switch = SwitchRows {
                        state,
                        watched,
                        rows,
                        confirmed: None,
                    };
                    (name.into(), of_switch)
                })
                .collect();
        }
        if let Some(states) = update.states {
            self.set_states(states, now, &mut changed);
        }
        for (switch, seen) in update.confirmed {
            if let Some((_, of_switch)) = self.named(&switch) {
                of_switch.confirmed = of_switch.confirmed.max(Some(seen));
            }
        }
        for (switch, rows) in update.rows {
            let Some((name, of_switch)) = self.named(&switch) else {
                continue;
            };
            for (gateway, row) in rows {
                if let Some(gateway) = of_switch.set(gateway, row) {
                    changed.rows.entry(name.clone()).or_default().insert(gateway);
                }
            }
        }
        changed
    }

    fn named(&mut self, switch: &str) -> Option<(Arc<str>, &mut SwitchRows)> {
        let name = self.switches.get_key_value(switch)?.0.clone();
        Some((name, self.switches.get_mut(switch)?))
    }

    fn set_states(&mut self, states: BTreeMap<String, SwitchState>, now: Timestamp, changed: &mut Changed) {
        let gone: Vec<_> = self
            .switches
            .keys()
            .filter(|name| !states.contains_key(&***name))
            .cloned()
            .collect();
        for name in gone {
            self.switches.remove(&name);
            changed.switches.insert(name);
            changed.all = true;
        }
        for (name, state) in states {
            let name: Arc<str> = name.into();
            let is_new = !self.switches.contains_key(&name);
            let known = self.switches.entry(name.clone()).or_default();
            let is_same = known.state.connected == state.connected
                && known.state.since == state.since
                && known.state.core_uuid == state.core_uuid
                && known.state.reason == state.reason
                && known.watched == is_watched(&state, now);
            known.watched = is_watched(&state, now);
            known.state = state;
            if !is_same {
                changed.switches.insert(name);
            }
            changed.all |= is_new;
        }
    }
}

impl SwitchRows {
    /// Sets a row. Returns the gateway if it says something else than before.
    fn set(&mut self, gateway: String, row: Option<Row>) -> Option<Arc<str>> {
        let gateway: Arc<str> = gateway.into();
        match row {
            Some(row) => {
                let known = self.rows.insert(gateway.clone(), Arc::new(row.clone()));
                let is_same = known.is_some_and(|known| is_same(&known, &row));
                (!is_same).then_some(gateway)
            }
            None => self.rows.remove(&gateway).map(|_| gateway),
        }
    }
}

/// Whether two rows say the same but for when they were written.
fn is_same(one: &Row, other: &Row) -> bool {
    Row {
        seen: other.seen,
        ..one.clone()
    } == *other
}
