//! Takes snapshots of the switch when they are due, and corrects what Redis says differently.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::schedule::Due;
use super::snapshot::{self, RunIdentity, Snapshot};
use super::state::{Connection, SwitchState};
use super::{Ingest, bounded};
use crate::backoff::Backoff;
use crate::event_socket::{Commands, QueryError, SNAPSHOT_CHUNK};
use crate::gateway::GatewayName;
use crate::health;
use crate::metrics;
use crate::observed::Row;
use crate::redis::StoreError;

/// Looking up more gateways by name costs more than a list of all.
const MAX_LOOKUPS: usize = 32;
const FIRST_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(10);

/// What the switch is to be asked for.
enum Question {
    Snapshot,
    Lookups(Vec<GatewayName>),
}

enum SurveyError {
    /// `Store` logs the reason.
    RedisAway,
    /// There is a newer run, or another trunkd took a newer snapshot.
    Outdated,
    Switch(QueryError),
}

impl From<StoreError> for SurveyError {
    fn from(_: StoreError) -> Self {
        Self::RedisAway
    }
}

impl From<QueryError> for SurveyError {
    fn from(error: QueryError) -> Self {
        Self::Switch(error)
    }
}

impl Ingest {
    pub(super) async fn run_surveyor(&self) {
        let mut backoff = Backoff::new(FIRST_RETRY, MAX_RETRY);
        loop {
            let question = self.next_question().await;
            let connection = self.connection_to_ask();
            let Some((commands, identity)) = connection else {
                self.postpone_snapshot();
                continue;
            };
            match question {
                Question::Lookups(names) => {
                    if self.look_up(&commands, identity, names).await.is_err() {
                        // The snapshot reports what is wrong.
                        self.snapshot_soon();
                    }
                }
                Question::Snapshot => {
                    self.postpone_snapshot();
                    let core_uuid = identity.core_uuid.clone();
                    let result = self.take_snapshot(&commands, identity).await;
                    self.count_snapshot(&result);
                    match result {
                        Ok(()) => backoff.reset(),
                        Err(error) => {
                            self.report_failure(&core_uuid, error);
                            self.snapshot_within(backoff.delay());
                        }
                    }
                }
            }
        }
    }

    /// Redis was away and is back. After a failover or a crash it lacks the last writes that it
    /// acknowledged, although no write of ours failed.
    pub(super) async fn run_outage_recovery(&self) {
        let mut recovered = self.observed.recovered();
        while recovered.changed().await.is_ok() {
            self.snapshot_soon();
            // A Redis that comes and goes is no reason to ask the switch all the time.
            sleep(self.timing.settle * 4).await;
        }
        std::future::pending().await
    }

    async fn next_question(&self) -> Question {
        loop {
            let wake_at = {
                let mut state = self.lock();
                let now = Instant::now();
                match state.schedule.next(now) {
                    Due::Snapshot => return Question::Snapshot,
                    Due::NotBefore(at) => at,
                    Due::Lookup => match lookups(&state) {
                        Some(names) if names.is_empty() => continue,
                        Some(names) => return Question::Lookups(names),
                        None => {
                            state.schedule.snapshot_by(now);
                            continue;
                        }
                    },
                }
            };
            tokio::select! {
                () = sleep_until(wake_at) => {}
                () = self.schedule_changed.notified() => {}
            }
        }
    }

    fn postpone_snapshot(&self) {
        let at = Instant::now() + self.timing.resync_interval;
        self.lock().schedule.postpone_snapshot(at);
    }

    /// `None` while the switch is away or shuts down.
    fn connection_to_ask(&self) -> Option<(Commands, RunIdentity)> {
        let state = self.lock();
        match &state.connection {
            Connection::Up { commands, identity, .. } if !state.is_shutting_down => {
                Some((commands.clone(), identity.clone()))
            }
            Connection::Up { .. } | Connection::Down { .. } => None,
        }
    }

    /// Reports a failure of the current run. Why a former one failed, the connector said already.
    fn report_failure(&self, core_uuid: &str, error: SurveyError) {
        let SurveyError::Switch(error) = error else { return };
        {
            let mut state = self.lock();
            if !state.is_run(core_uuid) {
                return;
            }
            if matches!(error, QueryError::NoSofia) {
                state.profiles = None;
            }
        }
        let error = bounded(&error);
        tracing::warn!(switch = self.switch(), "could not read the switch's gateways: {error}");
        self.set_degraded(error);
    }

    /// Asks the switch what it has, and corrects Redis where it says otherwise.
    async fn take_snapshot(&self, commands: &Commands, identity: RunIdentity) -> Result<(), SurveyError> {
        let Some(snapshot) = self.list_gateways(commands, identity).await? else {
            return Ok(());
        };
        let unasked = self.without_revision();
        for names in unasked.chunks(SNAPSHOT_CHUNK) {
            self.ask_revisions(commands, names).await?;
        }
        // Asked last: while mod_sofia is being unloaded, no gateway seems to have a revision, and this fails.
        let began = Instant::now();
        let profiles = commands.profiles().await?;
        {
            let mut state = self.lock();
            state.schedule.rest(began, Instant::now(), self.timing.resync_interval);
            if state.is_run(&snapshot.identity.core_uuid) {
                state.profiles = Some(profiles.into_iter().collect());
                self.health.set(self.part(), health::State::Ok, None);
            }
        }
        self.notify_readers();
        self.snapshot_applied.notify_one();
        self.correct_redis(&snapshot).await
    }

    /// Lists the gateways and applies the list to the view. `None` when the run ended meanwhile.
    async fn list_gateways(&self, commands: &Commands, identity: RunIdentity) -> Result<Option<Snapshot>, SurveyError> {
        // Redis only hears about a run that answers: a dead one's connection may still look alive.
        if commands.core_uuid().await? != identity.core_uuid {
            return Err(SurveyError::Outdated);
        }
        let begun = self.observed.begin(&identity.core_uuid).await;
        if begun.is_err() && self.lock().is_run(&identity.core_uuid) {
            // Redis is at fault, not the switch.
            self.health.set(self.part(), health::State::Ok, None);
        }
        let begun = begun?;
        let stored = self.observed.read().await?.rows;
        let sequence = begun.sequence.max(self.lock().view.newest_event());
        let began = Instant::now();
        let listed = commands.gateways().await?;
        let taken_at = Timestamp::now();

        let mut state = self.lock();
        state.schedule.rest(began, Instant::now(), self.timing.resync_interval);
        if !state.is_run(&identity.core_uuid) {
            return Ok(None);
        }
        if state.profiles.is_none() {
            state.view.seed(rows_to_seed(stored, begun.sequence > 0));
        }
        state.view.apply_snapshot(&listed, sequence, taken_at);
        drop(state);
        self.notify_readers();
        Ok(Some(Snapshot {
            identity,
            sequence,
            counted: begun.counted,
            taken_at,
        }))
    }

    /// The gateways whose revision must be asked for. One with a name that no command may carry is not ours.
    fn without_revision(&self) -> Vec<GatewayName> {
        let mut state = self.lock();
        let unasked = state.view.with_revision_known(false);
        let unasked: Vec<_> = unasked.map(|(name, instance)| (name.clone(), instance)).collect();
        let mut names = Vec::with_capacity(unasked.len());
        for (name, instance) in unasked {
            match GatewayName::parse(&name) {
                Ok(name) => names.push(name),
                Err(_) => drop(state.view.set_revision(&name, instance, None)),
            }
        }
        names
    }

    async fn correct_redis(&self, snapshot: &Snapshot) -> Result<(), SurveyError> {
        // Events that the snapshot reflects go first, so that they are not taken for differences.
        self.flush_all().await;
        let stored = self.observed.read().await?;
        let core_uuid = &snapshot.identity.core_uuid;
        let corrections = {
            let mut state = self.lock();
            if !state.is_run(core_uuid) {
                return Ok(());
            }
            state.view.mark_snapshot_stored();
            snapshot::differences(&stored, &state.view, snapshot)
        };
        let corrected = self.observed.correct(core_uuid, snapshot.begun(), &corrections).await?;
        let corrected = corrected.ok_or(SurveyError::Outdated)?;
        if corrected > 0 {
            tracing::info!(
                switch = self.switch(),
                corrected,
                "gateway states in Redis differed from the switch and were corrected"
            );
            ::metrics::counter!(metrics::SNAPSHOT_CORRECTIONS, "switch" => self.label()).increment(corrected);
        }
        self.compare_outages();
        self.schedule_follow_up();
        Ok(())
    }

    /// Asks the switch for a few gateways by name, and has Redis say what it answers.
    async fn look_up(
        &self,
        commands: &Commands,
        identity: RunIdentity,
        names: Vec<GatewayName>,
    ) -> Result<(), SurveyError> {
        let sequence = self.lock().view.newest_sequence();
        let mut answers = Vec::with_capacity(names.len());
        for name in names {
            answers.push((Arc::from(name.as_str()), commands.gateway(&name).await?));
        }
        let snapshot = Snapshot {
            identity,
            sequence,
            counted: 0,
            taken_at: Timestamp::now(),
        };
        let (applied, unasked) = {
            let mut state = self.lock();
            if !state.is_run(&snapshot.identity.core_uuid) {
                return Ok(());
            }
            let applied = state.view.apply_lookups(&answers, sequence, snapshot.taken_at);
            let unasked = applied.iter().filter(|name| !state.view.is_revision_known(name));
            let unasked: Vec<_> = unasked.filter_map(|name| GatewayName::parse(name).ok()).collect();
            (applied, unasked)
        };
        self.notify_readers();
        self.ask_revisions(commands, &unasked).await?;
        if !applied.is_empty() {
            let corrected = self.correct_some(&snapshot, applied).await?;
            let asked = answers.len();
            tracing::debug!(switch = self.switch(), asked, corrected, "looked up gateways by name");
        }
        self.schedule_follow_up();
        Ok(())
    }

    async fn correct_some(&self, snapshot: &Snapshot, mut names: Vec<Arc<str>>) -> Result<u64, SurveyError> {
        let (core_uuid, sequence) = (&snapshot.identity.core_uuid, snapshot.sequence);
        // Events that the answers reflect go first, so that they are not taken for differences.
        self.flush_all().await;
        let stored = self.observed.read_some(&names).await?;
        let corrections: Vec<_> = {
            let mut state = self.lock();
            if !state.is_run(core_uuid) {
                return Ok(0);
            }
            names.retain(|name| state.view.is_as_of(name, sequence));
            state.view.mark_stored(&names);
            let rows = names.iter().filter_map(|name| Some((name, state.view.row(name)?)));
            rows.map(|(name, row)| snapshot::correction(&stored, name, row, snapshot))
                .collect()
        };
        let corrected = self.observed.correct_some(core_uuid, sequence, &corrections).await?;
        corrected.ok_or(SurveyError::Outdated)
    }

    /// Gateways may have changed while they were read.
    fn schedule_follow_up(&self) {
        let (is_unsettled, is_incomplete) = {
            let view = &mut self.lock().view;
            (view.take_unsettled(), view.incomplete().next().is_some())
        };
        if is_unsettled {
            self.snapshot_soon();
        }
        if is_incomplete {
            self.lookup_within(self.timing.settle);
        }
    }

    fn count_snapshot(&self, result: &Result<(), SurveyError>) {
        let outcome = match result {
            Ok(()) => "done",
            Err(SurveyError::RedisAway) => "redis_away",
            Err(SurveyError::Outdated) => "outdated",
            Err(SurveyError::Switch(_)) => "failed",
        };
        ::metrics::counter!(metrics::SNAPSHOTS, "switch" => self.label(), "outcome" => outcome).increment(1);
    }
}

/// The incomplete gateways, to be asked for by name; `None` when a snapshot is needed, or cheaper.
fn lookups(state: &SwitchState) -> Option<Vec<GatewayName>> {
    state.profiles.as_ref()?;
    let names: Vec<_> = state.view.incomplete().take(MAX_LOOKUPS + 1).collect();
    if names.len() > MAX_LOOKUPS {
        return None;
    }
    names.iter().map(|name| GatewayName::parse(name).ok()).collect()
}

/// The rows of Redis for a run that was just connected to. `is_known_run`: the rows are of this
/// very run; in another one every gateway was restarted.
fn rows_to_seed(stored: HashMap<String, String>, is_known_run: bool) -> impl Iterator<Item = (String, Row)> {
    stored.into_iter().filter_map(move |(name, row)| {
        let row: Row = serde_json::from_str(&row).ok()?;
        let challenge = row.challenge.clone().filter(|_| is_known_run);
        let revision = None;
        Some((
            name,
            Row {
                revision,
                challenge,
                ..row
            },
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_socket::{GatewayDetails, GatewayStatus};
    use crate::ingest::backlog::{Backlog, Limits};
    use crate::ingest::view::View;
    use crate::observed::Challenge;
    use crate::registration::{PingStatus, State};

    fn state_with(gateways: usize) -> SwitchState {
        let limits = Limits { events: 1, bytes: 1 };
        let mut state = SwitchState::new(View::default(), Backlog::new(limits, true), Instant::now());
        let listed: Vec<_> = (0..gateways)
            .map(|number| GatewayStatus {
                name: format!("g{number}"),
                profile: "external".to_owned(),
                state: State::Noreg,
                ping: PingStatus::Up,
                uptime: None,
                details: GatewayDetails::default(),
            })
            .collect();
        state.view.apply_snapshot(&listed, 1, Timestamp::UNIX_EPOCH);
        state.profiles = Some(["external".to_owned()].into());
        state
    }

    #[test]
    fn a_few_incomplete_gateways_are_looked_up_by_name_and_many_by_a_snapshot() {
        assert_eq!(lookups(&state_with(0)), Some(Vec::new()));
        assert_eq!(
            lookups(&state_with(MAX_LOOKUPS)).map(|names| names.len()),
            Some(MAX_LOOKUPS)
        );
        assert_eq!(lookups(&state_with(MAX_LOOKUPS + 1)), None);
        let mut unread = state_with(1);
        unread.profiles = None;
        assert_eq!(lookups(&unread), None, "it is not known yet what runs");
    }

    #[test]
    fn what_redis_knew_of_another_run_is_seeded_without_its_challenges() {
        let challenge = Challenge {
            from: None,
            realm: None,
            at: Timestamp::UNIX_EPOCH,
        };
        let row = Row {
            revision: Some("r1".to_owned()),
            challenge: Some(challenge.clone()),
            ..Row::unknown(Timestamp::UNIX_EPOCH)
        };
        let stored = || HashMap::from([("g".to_owned(), row.to_json()), ("broken".to_owned(), "{".to_owned())]);
        let seeded = |is_known_run| rows_to_seed(stored(), is_known_run).collect::<Vec<_>>();
        let [(name, same_run)] = &seeded(true)[..] else {
            panic!()
        };
        assert_eq!((name.as_str(), &same_run.revision), ("g", &None), "the switch is asked");
        assert_eq!(same_run.challenge, Some(challenge));
        assert_eq!(seeded(false)[0].1.challenge, None);
    }
}
