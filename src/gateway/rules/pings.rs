//! When answers to pings make a gateway UP and DOWN.

use super::super::finding::Note;
use super::super::freeswitch::atoi;
use super::super::param_values::{DIGITS_ONLY, is_plain_number, not_plain};
use super::{Values, warning};
use crate::language::{message, text};

/// The count of answers goes up to ping-max and down to 0; UP needs ping-min of them, and fewer are DOWN
/// (`sofia_handle_sip_r_options` in sofia.c; **seen**).
pub(super) fn pings(values: &Values<'_>) -> Vec<Note> {
    if !values.pings() {
        return Vec::new();
    }
    let read = |name| {
        values
            .known(name)
            .map_or((1, true), |text| (atoi(text), is_plain_number(text)))
    };
    let ((min, min_is_plain), (max, max_is_plain)) = (read("ping-min"), read("ping-max"));
    let down = if values.registers() {
        text(
            "once a ping is lost it is DOWN until it registers again",
            "丢失一次心跳后为 DOWN，直到重新注册",
        )
    } else {
        text("once a ping is lost it is DOWN for ever", "丢失一次心跳后将一直为 DOWN")
    };
    let what = |number: i32, is_plain: bool| match (number, is_plain) {
        (0, false) => text(
            "is not a number, which FreeSWITCH reads as 0",
            "不是数字，FreeSWITCH 会读作 0",
        )
        .into(),
        (_, false) => not_plain(number),
        _ => message!("is {number}", "为 {number}"),
    };
    let mut notes = Vec::new();
    if max < 1 {
        let reason = message!(
            "{what}: no answer is ever counted, and {down}",
            "{what}：任何应答都不计数，{down}",
            what = what(max, max_is_plain),
            down = down
        );
        let fix = text(
            "write 1 or more, and not less than ping-min",
            "请填写不小于 1 且不小于 ping-min 的数字",
        );
        notes.push(warning("ping-max", reason, fix));
    } else if !max_is_plain {
        notes.push(warning("ping-max", what(max, max_is_plain), DIGITS_ONLY));
    }
    if min < 1 {
        let reason = message!(
            "{what}: lost pings never make it DOWN",
            "{what}：丢失心跳永远不会使其变为 DOWN",
            what = what(min, min_is_plain)
        );
        let fix = text(
            "write 1 or more, and not more than ping-max",
            "请填写不小于 1 且不大于 ping-max 的数字",
        );
        notes.push(warning("ping-min", reason, fix));
    } else if max >= 1 && min > max {
        let reason = message!(
            "is more than ping-max, which is {max}: {down}",
            "大于 ping-max（{max}）：{down}",
            down = down
        );
        let fix = text(
            "write 1, or set ping-max to this or more",
            "请填写 1，或将 ping-max 设为不小于此值",
        );
        notes.push(warning("ping-min", reason, fix));
    } else if !min_is_plain {
        notes.push(warning("ping-min", what(min, min_is_plain), DIGITS_ONLY));
    }
    notes
}
