//! Packs a batch of events for `apply.lua`.

use std::collections::{BTreeMap, HashMap};

use redis::Cmd;

use super::change::{Change, Correction, Observation};

/// Sequences per block of seen-bits. A bit marks an event that was applied. Blocks are small, so
/// that a single event is cheap.
const SEEN_BITS: u64 = 512;

/// A batch in the format that `apply.lua` describes.
pub(super) struct Packed<'a> {
    touched: Vec<u8>,
    events: Vec<u8>,
    registers: Vec<u8>,
    names: Vec<&'a str>,
    values: Vec<&'a [u8]>,
    rows: Vec<String>,
}

/// Operations in `apply.lua`.
const SET: u8 = 1;
const DELETE: u8 = 2;
const NOTE: u8 = 3;
/// [`Row::is_first_sight`].
const FIRST_SIGHT: u8 = 0x10;
/// [`Observation::is_odd`].
const ODD: u8 = 0x20;
/// [`Register::is_sent`](super::Register), beside a SIP status code.
const SENT: u16 = 0x8000;

impl<'a> Packed<'a> {
    pub(super) fn new(batch: &'a [impl AsRef<Observation>], announces: bool) -> Self {
        let mut packed = Self {
            touched: Vec::new(),
            events: Vec::new(),
            registers: Vec::new(),
            names: Vec::new(),
            values: Vec::with_capacity(batch.len()),
            rows: Vec::new(),
        };
        let announced = batch.iter().map(AsRef::as_ref).filter(|event| event.announce);
        let mut blocks: BTreeMap<u64, u16> = announced.map(|event| (event.sequence / SEEN_BITS, 0)).collect();
        for (number, (block, of)) in (1..).zip(&mut blocks) {
            *of = number;
            packed.touched.extend(lua_number(*block));
        }
        let mut numbers: HashMap<&str, u16> = HashMap::new();
        for (event, replaced) in batch.iter().map(AsRef::as_ref).zip(replaced(batch)) {
            let op = match &event.change {
                Change::Set(row) | Change::Note(row) if !replaced => {
                    packed.rows.push(row.to_json());
                    let first = if row.is_first_sight { FIRST_SIGHT } else { 0 };
                    let is_set = matches!(event.change, Change::Set(_));
                    first | if is_set { SET } else { NOTE }
                }
                Change::Delete => DELETE,
                Change::Set(_) | Change::Note(_) | Change::Nothing => 0,
            };
            let which = if op == 0 && event.registers.is_empty() {
                0
            } else {
                *numbers.entry(&event.gateway).or_insert_with(|| {
                    packed.names.push(&event.gateway);
                    u16::try_from(packed.names.len()).unwrap_or(u16::MAX)
                })
            };
            for register in &event.registers {
                let sent = if register.is_sent { SENT } else { 0 };
                packed.registers.extend(lua_number(register.sequence));
                packed.registers.extend(which.to_le_bytes());
                packed
                    .registers
                    .extend((sent | register.refused.unwrap_or(0)).to_le_bytes());
            }
            let block = if event.announce {
                blocks[&(event.sequence / SEEN_BITS)]
            } else {
                0
            };
            // Lua counts from 1.
            let byte = u8::try_from(event.sequence % SEEN_BITS / 8 + 1).unwrap_or_default();
            packed.events.extend(lua_number(event.sequence));
            packed.events.extend(lua_number(event.mark));
            packed.events.extend(which.to_le_bytes());
            packed.events.push(if event.is_odd { op | ODD } else { op });
            packed.events.extend(block.to_le_bytes());
            packed.events.extend([byte, 1 << (event.sequence % 8)]);
            let goes_somewhere = op & !FIRST_SIGHT == SET || (event.announce && announces);
            packed.values.push(if goes_somewhere { &event.json } else { &[] });
        }
        packed
    }

    pub(super) fn write(&self, call: &mut Cmd) {
        call.arg(&self.touched).arg(&self.events).arg(&self.registers);
        call.arg(self.names.len());
        call.arg(&self.names).arg(&self.values).arg(&self.rows);
    }
}

/// The calls of each item for `correct.lua`; those of a snapshot that does not count are unknown.
pub(super) fn pack_calls<'a>(items: impl IntoIterator<Item = &'a Correction>, counts: bool) -> Vec<u8> {
    const UNKNOWN: [u8; 8] = (-1.0_f64).to_le_bytes();
    let mut packed = Vec::new();
    for item in items {
        let numbers = match item.calls.filter(|_| counts) {
            Some(calls) => [calls.inbound, calls.outbound, calls.failed_in, calls.failed_out].map(lua_number),
            None => [UNKNOWN; 4],
        };
        packed.extend(numbers.concat());
    }
    packed
}

/// Exact up to 2^53, as are all numbers in Lua.
#[allow(
    clippy::cast_precision_loss,
    reason = "a switch that fires a million events a second comes so far in 285 years"
)]
fn lua_number(number: u64) -> [u8; 8] {
    (number as f64).to_le_bytes()
}

/// Which rows of a batch are replaced by a later one: only the last one is written to the hashes.
pub(super) fn replaced(batch: &[impl AsRef<Observation>]) -> Vec<bool> {
    let mut replaced = vec![false; batch.len()];
    let mut later: HashMap<&str, u64> = HashMap::with_capacity(batch.len());
    for (index, observation) in batch.iter().map(AsRef::as_ref).enumerate().rev() {
        match observation.change {
            Change::Set(_) => {
                let mark = later.entry(&observation.gateway).or_default();
                replaced[index] = *mark >= observation.mark;
                *mark = observation.mark.max(*mark);
            }
            // A later row contains it; an earlier one has the value.
            Change::Note(_) => {
                let later = later.get(&*observation.gateway);
                replaced[index] = later.is_some_and(|mark| *mark >= observation.mark);
            }
            // The events before it decide which value it finds.
            Change::Delete => drop(later.remove(&*observation.gateway)),
            Change::Nothing => {}
        }
    }
    replaced
}
