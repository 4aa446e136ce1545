//! trunkd is killed in the middle of something, as by `kill -9`, and the next one goes on.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::program::{Serving, TEMPLATES};
use super::rollback::{account, all_run, count, killed, names, set_all};
use crate::support::app::{Other, eventually, http, switch_toml};
use crate::support::fake_switch::{Binding, Carrier, FORBIDDEN, FakeSwitch, View, Window};
use crate::support::redis::RedisServer;

const HOST: &str = "sip.example.net";
const PER_SECOND: usize = 5;
/// FreeSWITCH's second, where the pace is counted in real time.
const A_SECOND: Duration = Duration::from_secs(1);
/// Long enough that a restart isn't over before trunkd can be killed.
const SLOW: Duration = Duration::from_millis(250);
const QUICK: Duration = Duration::from_millis(20);

/// Accounts of one carrier with a pace, and the program that serves them.
struct Rig {
    serving: Serving,
    switch: FakeSwitch,
    carrier: Carrier,
    other: Other,
    folder: tempfile::TempDir,
    _redis: RedisServer,
}

impl Rig {
    /// These are registered, with the password `right`.
    async fn start(second: Duration, accounts: &[String]) -> Self {
        let (redis, folder, carrier) = (
            RedisServer::start().await,
            tempfile::tempdir().unwrap(),
            Carrier::new(HOST),
        );
        let switch = FakeSwitch::builder().carrier(&carrier).tick(second).start().await;
        let other = Other::new(&redis).await;
        let toml = format!(
            "[redis]\nurl = \"{}\"\n{}[[carrier]]\nname = \"{HOST}\"\nregisters_per_second = {PER_SECOND}\n",
            redis.url(),
            switch_toml(&switch, "fs1"),
        );
        std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
        let serving = serve(&folder, &switch).await;
        let rig = Self {
            serving,
            switch,
            carrier,
            other,
            folder,
            _redis: redis,
        };
        rig.switch.restart().await;
        rig.other.wait_for("trunkd:reconcile", "fs1", "/knows", true).await;
        if !accounts.is_empty() {
            set_all(&rig.other, accounts, "right").await;
        }
        rig.all_run(accounts, "right").await;
        for name in accounts {
            rig.other.wait_for("trunkd:status:fs1", name, "/usable", true).await;
        }
        rig.carrier.forget_received();
        rig
    }

    async fn kill(&mut self) {
        self.serving.signal(Signal::SIGKILL);
        self.serving.ended().await;
    }

    /// The next trunkd starts, in the same folder.
    async fn go_on(&mut self) {
        self.serving = serve(&self.folder, &self.switch).await;
    }

    async fn all_run(&self, names: &[String], password: &str) {
        all_run(&self.switch, names, password).await;
    }

    /// Waits until the carrier got so many REGISTERs.
    async fn registers(&self, number: usize) {
        let what = format!("{number} REGISTERs");
        let is_there = |count: &usize| *count >= number;
        eventually(&what, async || self.carrier.registers().len(), is_there).await;
    }

    async fn nothing_is_followed(&self) {
        let left = || self.other.hash("trunkd:verifying:fs1");
        eventually("no edit is followed", left, |left| left.is_empty()).await;
    }

    /// How often edits were taken back, and whether the version before was refused too.
    async fn rollbacks(&self) -> Vec<bool> {
        let rolled_back = self.other.history("rolled_back").await;
        rolled_back.iter().map(|entry| entry["gave_up"] == true).collect()
    }

    fn kept_the_pace(&self, second: Window) {
        let busiest = self.carrier.busiest(second);
        assert!(busiest <= PER_SECOND, "{busiest}: {:#?}", self.carrier.registers());
    }
}

async fn serve(folder: &tempfile::TempDir, switch: &FakeSwitch) -> Serving {
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES, "--data-dir", "data"]);
    switch.set_binding(Some(Binding::new(serving.url("/xml_curl").await)));
    serving
}

#[tokio::test]
async fn in_the_middle_of_a_paced_boot() {
    let names = names(20);
    let mut rig = Rig::start(A_SECOND, &[]).await;
    rig.switch.shutdown().await;
    set_all(&rig.other, &names, "right").await;
    rig.switch.boot().await;
    rig.registers(8).await;
    rig.kill().await;
    rig.go_on().await;
    rig.all_run(&names, "right").await;
    assert_eq!(rig.carrier.registers().len(), names.len(), "each is started once");
    rig.kept_the_pace(Window::Real(A_SECOND));
}

#[tokio::test]
async fn while_starts_wait_for_their_carrier() {
    let (names, one) = (names(20), names(1));
    let mut rig = Rig::start(A_SECOND, &one).await;
    set_all(&rig.other, &names, "right").await;
    rig.registers(8).await;
    rig.kill().await;
    // No edit that is made meanwhile is lost.
    let removed = &names[19];
    assert!(rig.switch.view(|view| view.gateway(removed).is_none()), "it waits");
    set_all(&rig.other, &one, "other").await;
    rig.other.delete_gateway("acme", removed).await;
    rig.go_on().await;
    rig.all_run(&names[1..19], "right").await;
    rig.all_run(&one, "other").await;
    assert!(rig.switch.view(|view| view.gateway(removed).is_none()));
    assert_eq!(rig.switch.view(killed), one);
    assert_eq!(rig.carrier.registers().len(), 19, "each is started once");
    rig.kept_the_pace(Window::Real(A_SECOND));
}

/// trunkd is killed after the password of these became `new`, and before the carrier has answered. It accepts this one.
async fn killed_before_the_answer(edited: &[String], accepted: &str) -> Rig {
    let mut rig = Rig::start(QUICK, edited).await;
    edited.iter().for_each(|name| rig.carrier.account(name, accepted));
    rig.carrier.delay(100);
    set_all(&rig.other, edited, "new").await;
    let first = &edited[0];
    let is_new = |view: &View| view.gateway(first).is_some_and(|gateway| gateway.password == "new");
    rig.switch.wait_until("the edit is on the switch", is_new).await;
    assert!(rig.other.field("trunkd:verifying:fs1", first).await.is_some());
    rig.kill().await;
    rig.carrier.delay(0);
    let answered = if accepted == "new" { "REGED" } else { "FAIL_WAIT" };
    rig.switch.wait_for_state(first, answered).await;
    rig.go_on().await;
    rig
}

#[tokio::test]
async fn between_an_edit_and_its_refusal() {
    let names = names(1);
    let rig = killed_before_the_answer(&names, "right").await;
    rig.all_run(&names, "right").await;
    rig.nothing_is_followed().await;
    assert_eq!(rig.rollbacks().await, [false]);
    let url = rig.serving.url("/metrics").await;
    let metrics = http().get(url).send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("trunkd_edits_held{phase=\"rolled_back\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("trunkd_rollbacks_total{") && line.ends_with(" 1"))
    );
    assert!(!rig.serving.log().contains("right"), "no password is logged");
}

#[tokio::test]
async fn between_the_kill_and_the_start_of_a_restart_for_an_edit() {
    let names = names(1);
    let mut rig = Rig::start(SLOW, &names).await;
    rig.carrier.account(&names[0], "right");
    set_all(&rig.other, &names, "wrong").await;
    rig.switch
        .wait_until("it is killed", |view| killed(view).len() == 1)
        .await;
    rig.kill().await;
    rig.switch.wait_for_gone(&names[0]).await;
    rig.go_on().await;
    count(&rig.other, "rolled_back", 1).await;
    rig.all_run(&names, "right").await;
    rig.nothing_is_followed().await;
    assert_eq!(rig.rollbacks().await, [false]);
}

#[tokio::test]
async fn before_the_version_that_worked_is_back() {
    let names = names(1);
    let mut rig = Rig::start(SLOW, &names).await;
    rig.carrier.account(&names[0], "right");
    set_all(&rig.other, &names, "wrong").await;
    count(&rig.other, "rolled_back", 1).await;
    rig.kill().await;
    assert!(!rig.switch.view(|view| view.state(&names[0]) == Some("REGED")));
    rig.go_on().await;
    rig.all_run(&names, "right").await;
    rig.nothing_is_followed().await;
    assert_eq!(rig.rollbacks().await, [false], "it is taken back once");
    let stored = rig.other.field("cti_gateway@acme", &names[0]).await.unwrap();
    assert_eq!(stored["param"]["password"], "wrong", "Redis keeps the edit");
}

#[tokio::test]
async fn while_a_few_are_tried_that_are_refused() {
    let names = names(12);
    let rig = killed_before_the_answer(&names, "right").await;
    count(&rig.other, "rolled_back", 2).await;
    count(&rig.other, "held", 10).await;
    rig.all_run(&names, "right").await;
    rig.nothing_is_followed().await;
    let touched = rig.switch.view(killed);
    assert!(touched.iter().all(|name| names[..2].contains(name)), "{touched:?}");
    rig.kept_the_pace(Window::Seconds(1));
}

#[tokio::test]
async fn while_a_few_are_tried_that_work() {
    let names = names(12);
    let rig = killed_before_the_answer(&names, "new").await;
    rig.all_run(&names, "new").await;
    count(&rig.other, "waiting", 0).await;
    assert_eq!(rig.rollbacks().await, [false; 0]);
    assert_eq!(rig.switch.view(killed).len(), names.len(), "each is restarted once");
    rig.kept_the_pace(Window::Seconds(1));
}

#[tokio::test]
async fn before_a_gateway_is_unregistered_that_is_parked() {
    const PARKED: &str = "trunkd:parked:fs1";
    let names = names(4);
    let mut rig = Rig::start(QUICK, &names[..3]).await;
    let bad = &names[3];
    rig.carrier.answer(bad, FORBIDDEN);
    let impatient = account(bad, "right").replacen(r#""realm""#, r#""retry-seconds":"15","realm""#, 1);
    rig.other.set_gateway("acme", bad, &impatient).await;
    let row = || rig.other.field("trunkd:status:fs1", bad);
    let is_known = |row: &Option<Value>| {
        row.as_ref()
            .is_some_and(|row| row["status"] == "403" && row["revision"].is_string())
    };
    eventually("trunkd knows that its version is refused", row, is_known).await;
    rig.switch.slow_commands(Duration::from_secs(600));
    rig.other.wait_for(PARKED, bad, "/phase", "stopping").await;
    rig.kill().await;
    rig.switch.slow_commands(Duration::ZERO);
    assert_ne!(rig.switch.view(|view| view.state(bad)), Some("DOWN"));
    rig.go_on().await;
    rig.other.wait_for(PARKED, bad, "/phase", "waiting").await;
    rig.switch.wait_for_state(bad, "DOWN").await;
    assert_eq!(rig.other.hash(PARKED).await.len(), 1);
    rig.all_run(&names[..3], "right").await;
}
