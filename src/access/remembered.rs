//! Sessions that were valid a moment ago, in memory: while Redis is away, their people may go on reading.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::caller::{Caller, Identity};

/// How long after its last check in Redis a session counts as valid.
const REMEMBERED_FOR: Duration = Duration::from_secs(15 * 60);
/// Sessions at a time. The one that was checked longest ago makes place.
const MAX_REMEMBERED: usize = 1024;

/// By the hash of the cookie, which itself only the browser keeps.
#[derive(Default)]
pub(super) struct Remembered(Mutex<Sessions>);

#[derive(Default)]
struct Sessions {
    by_hash: HashMap<String, (Caller, Instant)>,
    /// Counts what was forgotten, so that a check that began before doesn't bring it back.
    forgotten: u64,
}

impl Remembered {
    /// To be read before a session is checked.
    pub(super) fn forgotten(&self) -> u64 {
        self.lock().forgotten
    }

    /// Redis just said that this session is valid.
    pub(super) fn remember(&self, hash: &str, caller: &Caller, forgotten: u64, now: Instant) {
        let mut sessions = self.lock();
        if sessions.forgotten != forgotten {
            return;
        }
        let by_hash = &mut sessions.by_hash;
        if by_hash.len() >= MAX_REMEMBERED && !by_hash.contains_key(hash) {
            let oldest = by_hash.iter().min_by_key(|(_, (_, at))| *at);
            let oldest = oldest.map(|(hash, _)| hash.clone());
            oldest.and_then(|oldest| by_hash.remove(&oldest));
        }
        by_hash.insert(hash.to_owned(), (caller.clone(), now));
    }

    /// Whose session it is, if it was valid lately.
    pub(super) fn find(&self, hash: &str, now: Instant) -> Option<Caller> {
        let sessions = self.lock();
        let (caller, at) = sessions.by_hash.get(hash)?;
        (now.saturating_duration_since(*at) < REMEMBERED_FOR).then(|| caller.clone())
    }

    /// The session ended.
    pub(super) fn forget(&self, hash: &str) {
        let mut sessions = self.lock();
        sessions.forgotten += 1;
        sessions.by_hash.remove(hash);
    }

    /// All sessions of the user ended.
    pub(super) fn forget_user(&self, name: &str) {
        let mut sessions = self.lock();
        sessions.forgotten += 1;
        let is_his = |caller: &Caller| matches!(&caller.identity, Identity::User(user) if user == name);
        sessions.by_hash.retain(|_, (caller, _)| !is_his(caller));
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        // Each change leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Domains, Role};
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller {
            identity: Identity::User(name.to_owned()),
            role: Role::Admin,
            domains: Domains::All,
        }
    }

    #[test]
    fn a_session_counts_for_some_minutes_after_its_last_check() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        remembered.remember("a", &caller("alice"), 0, now);
        assert_eq!(remembered.find("a", now), Some(caller("alice")));
        assert_eq!(remembered.find("b", now), None);
        let later = now + REMEMBERED_FOR;
        assert_eq!(remembered.find("a", later), None);
        remembered.remember("a", &caller("alice"), 0, later);
        assert_eq!(remembered.find("a", later), Some(caller("alice")));
    }

    #[test]
    fn what_ended_is_forgotten_also_by_a_check_that_began_before() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        for (hash, name) in [("a1", "alice"), ("a2", "alice"), ("b", "bob"), ("c", "carol")] {
            remembered.remember(hash, &caller(name), 0, now);
        }
        let began = remembered.forgotten();
        remembered.forget("b");
        remembered.forget_user("alice");
        for hash in ["a1", "a2", "b"] {
            remembered.remember(hash, &caller("alice"), began, now);
            assert_eq!(remembered.find(hash, now), None, "{hash}");
        }
        assert_eq!(remembered.find("c", now), Some(caller("carol")));
    }

    #[test]
    fn there_is_a_limit_and_the_oldest_makes_place() {
        let (remembered, start) = (Remembered::default(), Instant::now());
        let at = |n: usize| start + Duration::from_millis(n as u64);
        for n in 0..=MAX_REMEMBERED {
            remembered.remember(&n.to_string(), &caller("alice"), 0, at(n));
        }
        let now = at(MAX_REMEMBERED);
        assert_eq!(remembered.find("0", now), None);
        assert!(remembered.find("1", now).is_some());
        assert_eq!(remembered.lock().by_hash.len(), MAX_REMEMBERED);
    }
}
