//! Logs holds and conflicts when they begin and end, not each time their numbers change.

use std::collections::BTreeMap;

use crate::control::Conflict;
use crate::reconcile::plan::Held;

/// Log lines by identity: the kind of a hold, or the gateway of a conflict.
#[derive(Debug, Default)]
pub(super) struct StateLog(BTreeMap<String, String>);

const HELD: &str = "held: ";

impl StateLog {
    /// Logs what began and what ended since the last call.
    pub(super) fn update(&mut self, switch: &str, held: Option<&Held>, conflicts: &[Conflict]) {
        let hold = held.map(|held| (format!("{HELD}{}", held.reason.code()), held.to_string()));
        let conflicts = conflicts.iter().map(|conflict| (key(conflict), conflict.to_string()));
        self.set(switch, hold.into_iter().chain(conflicts).collect());
    }

    /// Like [`Self::update`], while conflicts are unknown.
    pub(super) fn update_hold(&mut self, switch: &str, held: Option<&Held>) {
        let is_hold = |(key, _): &(&String, &String)| key.starts_with(HELD);
        let others = self.0.iter().filter(|entry| !is_hold(entry));
        let mut now: BTreeMap<_, _> = others.map(|(key, text)| (key.clone(), text.clone())).collect();
        now.extend(held.map(|held| (format!("{HELD}{}", held.reason.code()), held.to_string())));
        self.set(switch, now);
    }

    fn set(&mut self, switch: &str, now: BTreeMap<String, String>) {
        for (key, text) in &now {
            if !self.0.contains_key(key) {
                tracing::warn!(switch, "{text}");
            }
        }
        let is_held = now.keys().any(|key| key.starts_with(HELD));
        for (key, text) in &self.0 {
            // A hold with a different reason is still a hold.
            let goes_on = now.contains_key(key) || (is_held && key.starts_with(HELD));
            if !goes_on {
                tracing::info!(switch, "resolved: {text}");
            }
        }
        self.0 = now;
    }

    #[cfg(test)]
    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

fn key(conflict: &Conflict) -> String {
    match conflict {
        Conflict::ProfileNotRunning { profile, .. } => format!("profile {profile}"),
        Conflict::NotOurs { gateway, .. } => format!("not ours: {gateway}"),
        Conflict::Ghost { gateway, profile } => format!("ghost: {gateway} in {profile}"),
    }
}

#[cfg(test)]
mod tests;
