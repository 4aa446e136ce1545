//! Entries of the history in words.

use jiff::SignedDuration;

use crate::carriers::parking::Unparked;
use crate::gateway::PlacedFor;
use crate::history::{Access, ActionKind, ActionOutcome, EditKind, Entry, Event, Kind};
use crate::operate::recorded;
use crate::web::change::Change;
use crate::web::texts::Texts;
use crate::web::words;

pub(super) fn changes(event: &Event) -> Vec<Change> {
    match event {
        Event::Edit { changes, .. } => changes.iter().map(Change::new).collect(),
        _ => Vec::new(),
    }
}

/// `alice`, `token ci`, `bob@pbx1 at a shell`.
pub(super) fn who(t: Texts, who: &str) -> String {
    match who.split_once(':') {
        Some(("user", "")) => t.get("who-nobody").into_owned(),
        Some(("user", name)) => name.to_owned(),
        Some(("token", name)) => t.with("who-token", name).into_owned(),
        Some(("cli", name)) => t.with("who-cli", name).into_owned(),
        _ if who == "redis" => t.get("who-redis").into_owned(),
        _ => who.to_owned(),
    }
}

/// `acme/carrier1`.
pub(super) fn place(entry: &Entry) -> String {
    let parts = [entry.domain.as_deref(), entry.gateway.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// What happened.
pub(super) fn what(t: Texts, event: &Event) -> String {
    match event {
        Event::Edit { edit, other_name, .. } => edited(t, *edit, other_name.as_deref()),
        Event::Edits {
            created,
            changed,
            deleted,
        } => {
            let (created, changed, deleted) = (created.to_string(), changed.to_string(), deleted.to_string());
            let values = [
                ("created", created.as_str()),
                ("changed", &changed),
                ("deleted", &deleted),
            ];
            t.fill("did-edits", &values)
        }
        Event::Outage { reason, .. } => t.with("did-outage", recorded(reason).in_language(t.0)).into_owned(),
        Event::Recovered { reason, seconds, .. } => {
            let (reason, time) = (recorded(reason), lasted(*seconds));
            t.fill("did-recover", &[("reason", reason.in_language(t.0)), ("time", &time)])
        }
        Event::SwitchLost { reason, .. } => t
            .with("did-lose-switch", recorded(reason).in_language(t.0))
            .into_owned(),
        Event::SwitchBack { seconds, .. } => t.with("did-find-switch", &lasted(*seconds)).into_owned(),
        Event::Parked { reason, .. } => t.with("did-park-refused", reason).into_owned(),
        Event::Unparked { reason, .. } => t.get(unparked(*reason)).into_owned(),
        Event::CarrierOut {
            carrier, failing, of, ..
        } => {
            let (failing, of) = (failing.to_string(), of.to_string());
            let values = [("carrier", carrier.as_str()), ("failing", &failing), ("of", &of)];
            t.fill("did-lose-carrier", &values)
        }
        Event::CarrierBack { carrier, seconds } => {
            let values = [("carrier", carrier.as_str()), ("time", &lasted(*seconds))];
            t.fill("did-find-carrier", &values)
        }
        Event::Moved { from, to, reason } => {
            let values = [("from", from.as_str()), ("to", to)];
            t.fill(moved(*reason), &values)
        }
        Event::Drain => t.get("did-drain").into_owned(),
        Event::Undrain => t.get("did-undrain").into_owned(),
        Event::Action {
            action,
            outcome,
            reason,
            ..
        } => acted(t, *action, *outcome, reason.as_deref()),
        Event::Actions {
            started,
            restarted,
            killed,
            failed,
            ..
        } => summed(t, [*started, *restarted, *killed, *failed]),
        Event::RolledBack { reason, gave_up, .. } => rolled_back(t, reason, *gave_up),
        Event::Reveal { field } => t.with("did-reveal", field).into_owned(),
        Event::Access { access } => accessed(t, access),
        Event::Pause => t.get("did-pause").into_owned(),
        Event::Resume => t.get("did-resume").into_owned(),
        Event::Apply { .. } => t.get("did-apply").into_owned(),
        Event::Hold { reason, reason_zh } => {
            let reason = words::hold(t, reason, reason_zh.as_deref());
            t.with("did-hold", reason).into_owned()
        }
        Event::Release => t.get("did-release").into_owned(),
    }
}

fn rolled_back(t: Texts, reason: &str, gave_up: bool) -> String {
    let id = if gave_up { "did-give-up" } else { "did-roll-back" };
    t.with(id, recorded(reason).in_language(t.0)).into_owned()
}

fn moved(reason: PlacedFor) -> &'static str {
    match reason {
        PlacedFor::First | PlacedFor::Asked => "did-move",
        PlacedFor::Failover => "did-fail-over",
        PlacedFor::Drain => "did-move-drained",
        PlacedFor::Edit => "did-move-edited",
        PlacedFor::Failback => "did-fail-back",
        PlacedFor::Rebalance => "did-move-balanced",
        PlacedFor::Returned => "did-move-back",
    }
}

/// Of a large plan: started, restarted, killed, failed.
fn summed(t: Texts, counts: [usize; 4]) -> String {
    let counts = counts.map(|count| count.to_string());
    let names = ["started", "restarted", "killed", "failed"];
    let values: Vec<_> = names.into_iter().zip(counts.iter().map(String::as_str)).collect();
    t.fill("did-actions", &values)
}

fn edited(t: Texts, edit: EditKind, other: Option<&str>) -> String {
    let other = other.unwrap_or_default();
    match edit {
        EditKind::Create => t.get("did-create").into_owned(),
        EditKind::Change => t.get("did-change").into_owned(),
        EditKind::Delete => t.get("did-delete").into_owned(),
        EditKind::Copy => t.with("did-copy", other).into_owned(),
        EditKind::Rename => t.with("did-rename", other).into_owned(),
        EditKind::Revert => t.get("did-revert").into_owned(),
    }
}

fn acted(t: Texts, action: ActionKind, outcome: ActionOutcome, reason: Option<&str>) -> String {
    let id = match action {
        ActionKind::Start => "did-start",
        ActionKind::Restart => "did-restart",
        ActionKind::Kill => "did-kill",
        ActionKind::Register => "did-register",
        ActionKind::Unregister => "did-unregister",
        ActionKind::Park => "did-park",
        ActionKind::Unpark => "did-unpark",
    };
    let done = t.get(id);
    match outcome {
        ActionOutcome::Done => done.into_owned(),
        ActionOutcome::Failed => {
            let reason = recorded(reason.unwrap_or_default());
            let values = [("action", &*done), ("reason", reason.in_language(t.0))];
            t.fill("did-fail", &values)
        }
    }
}

fn unparked(reason: Unparked) -> &'static str {
    match reason {
        Unparked::Registered => "did-unpark-registered",
        Unparked::Edited => "did-unpark-edited",
        Unparked::ByHand => "did-unpark-by-hand",
        Unparked::Off => "did-unpark-off",
    }
}

fn accessed(t: Texts, access: &Access) -> String {
    match access {
        Access::SignIn => t.get("did-sign-in").into_owned(),
        Access::SignInFailed { name, address } => t.fill("did-sign-in-failed", &[("name", name), ("address", address)]),
        Access::UserAdded { name } => t.with("did-add-user", name).into_owned(),
        Access::UserRemoved { name } => t.with("did-remove-user", name).into_owned(),
        Access::PasswordChanged { name } => t.with("did-change-password", name).into_owned(),
        Access::TokenCreated { name } => t.with("did-create-token", name).into_owned(),
        Access::TokenRevoked { name } => t.with("did-revoke-token", name).into_owned(),
    }
}

/// `1h 4m`.
fn lasted(seconds: u64) -> String {
    let lasted = SignedDuration::from_secs(seconds.try_into().unwrap_or(i64::MAX));
    format!("{lasted:#}")
}

/// The id of a kind's name.
pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Edit => "kind-edit",
        Kind::Edits => "kind-edits",
        Kind::Outage => "kind-outage",
        Kind::Recovered => "kind-recovered",
        Kind::SwitchLost => "kind-switch-lost",
        Kind::SwitchBack => "kind-switch-back",
        Kind::Parked => "kind-parked",
        Kind::Unparked => "kind-unparked",
        Kind::CarrierOut => "kind-carrier-out",
        Kind::CarrierBack => "kind-carrier-back",
        Kind::Moved => "kind-moved",
        Kind::Drain => "kind-drain",
        Kind::Undrain => "kind-undrain",
        Kind::Action => "kind-action",
        Kind::Actions => "kind-actions",
        Kind::RolledBack => "kind-rolled-back",
        Kind::Reveal => "kind-reveal",
        Kind::Access => "kind-access",
        Kind::Pause => "kind-pause",
        Kind::Resume => "kind-resume",
        Kind::Apply => "kind-apply",
        Kind::Hold => "kind-hold",
        Kind::Release => "kind-release",
    }
}
