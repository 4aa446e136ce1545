use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;
use tokio::time::sleep;

use super::*;
use crate::carriers::Attempt;
use crate::event_socket::{Changes, Commands, QueryError};
use crate::reconcile::executor::Refreshed;
use crate::reconcile::plan::Known;

const LIMIT: Duration = Duration::from_secs(10);

/// A switch that knows nothing but the instances of its gateways.
struct FakeInstances {
    /// `None` while the switch is not connected.
    instances: Mutex<Option<BTreeMap<GatewayName, u64>>>,
    changes: watch::Sender<u64>,
    surveys: AtomicUsize,
}

impl FakeInstances {
    fn running(instances: &[(&str, u64)]) -> Self {
        let instances = instances.iter().map(|(gateway, instance)| (name(gateway), *instance));
        Self {
            instances: Mutex::new(Some(instances.collect())),
            changes: watch::Sender::new(0),
            surveys: AtomicUsize::new(0),
        }
    }

    fn change<T>(&self, edit: impl FnOnce(&mut Option<BTreeMap<GatewayName, u64>>) -> T) {
        let _ = edit(&mut self.instances.lock().unwrap());
        self.changes.send_modify(|version| *version += 1);
    }

    fn surveys(&self) -> usize {
        self.surveys.load(Ordering::Relaxed)
    }
}

impl Switch for FakeInstances {
    fn name(&self) -> &str {
        "fs1"
    }

    fn is_known(&self) -> bool {
        self.instances.lock().unwrap().is_some()
    }

    fn refresh(&self, _: &mut Known) -> Result<Refreshed, Unknown> {
        Err(Unknown)
    }

    fn attempt(&self, _: &GatewayName) -> Option<Attempt> {
        None
    }

    fn instance(&self, gateway: &GatewayName) -> Result<Option<u64>, Unknown> {
        let instances = self.instances.lock().unwrap();
        Ok(instances.as_ref().ok_or(Unknown)?.get(gateway).copied())
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn commands(&self) -> Option<(Commands, Changes)> {
        None
    }

    async fn ask_revisions(&self, _: &Commands, _: &[GatewayName]) -> Result<Vec<Option<String>>, QueryError> {
        Ok(Vec::new())
    }

    fn survey_soon(&self) {
        self.surveys.fetch_add(1, Ordering::Relaxed);
    }

    fn not_ready(&self) {}
}

fn name(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_killed_gateway_is_gone_when_its_delete_event_arrives() {
    let switch = FakeInstances::running(&[("acme", 1), ("other", 2)]);
    let began = Instant::now();
    let delete = async {
        sleep(Duration::from_secs(2)).await;
        switch.change(|instances| instances.as_mut().unwrap().remove(&name("other")));
        sleep(Duration::from_secs(2)).await;
        switch.change(|instances| instances.as_mut().unwrap().remove(&name("acme")));
    };
    let acme = name("acme");
    let (gone, ()) = tokio::join!(is_gone(&switch, &acme, LIMIT), delete);
    assert_eq!(gone, Ok(true));
    assert_eq!(began.elapsed(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_killed_gateway_that_stays_is_waited_for_until_the_limit() {
    let switch = FakeInstances::running(&[("acme", 1)]);
    let began = Instant::now();
    assert_eq!(is_gone(&switch, &name("acme"), LIMIT).await, Ok(false));
    assert_eq!(began.elapsed(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_disconnects_ends_the_wait() {
    let switch = FakeInstances::running(&[("acme", 1)]);
    let disconnect = async {
        sleep(Duration::from_secs(1)).await;
        switch.change(|instances| *instances = None);
    };
    let acme = name("acme");
    let (gone, ()) = tokio::join!(is_gone(&switch, &acme, LIMIT), disconnect);
    assert_eq!(gone, Err(Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_start_is_seen_by_its_new_instance_and_not_by_the_old_one() {
    let switch = FakeInstances::running(&[("acme", 1)]);
    let began = Instant::now();
    let start = async {
        sleep(Duration::from_secs(1)).await;
        switch.change(|_| ());
        sleep(Duration::from_secs(1)).await;
        switch.change(|instances| instances.as_mut().unwrap().insert(name("acme"), 2));
    };
    let acme = name("acme");
    let started = [(&acme, Some(1))];
    tokio::join!(await_start(&switch, &started, LIMIT), start);
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    assert_eq!(switch.surveys(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_start_has_the_switch_surveyed() {
    let switch = FakeInstances::running(&[("first", 1)]);
    let (first, second) = (name("first"), name("second"));
    await_start(&switch, &[(&first, None), (&second, None)], LIMIT).await;
    assert_eq!(switch.surveys(), 1);
}
