//! What callers of some domains read of a hold: its numbers count the gateways of all domains.

use super::Caller;
use crate::control::Report;
use crate::history::{Entry, Event};
use crate::language::{Message, Text, text};

/// Why a plan is held, without numbers.
pub(super) const HELD: Text = text(
    "held: all its changes together, also those in other domains, need approval",
    "已暂缓：所有变更合计（包括其他域的变更）需要批准",
);

/// Why a plan is held, as the caller may read it.
pub(super) fn held_for(caller: &Caller, held: Option<Message>) -> Option<Message> {
    match caller.sees_all() {
        true => held,
        false => held.map(|_| HELD.into()),
    }
}

/// The report with [`HELD`] as the reason of its hold.
pub(super) fn without_numbers(report: &Report) -> Report {
    let held = report.held().map(|_| HELD.into());
    report.clone().holding(held)
}

/// An entry of the history, as the caller may read it.
pub(super) fn entry_for(caller: &Caller, mut entry: Entry) -> Entry {
    if let Event::Hold { reason, reason_zh } = &mut entry.event
        && !caller.sees_all()
    {
        *reason = HELD.en.to_owned();
        *reason_zh = Some(HELD.zh.to_owned());
    }
    entry
}
