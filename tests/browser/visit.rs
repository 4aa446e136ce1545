//! A fleet with pages, and people who are signed in.

use std::iter;
use std::path::Path;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use trunkd::access::{Access, NewUser, Role};
use trunkd::operate::{Caller, Service, sources};

use crate::support::api::API;
use crate::support::app::{Other, TestApp, settings, switch_toml};
use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::RedisServer;

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";

/// Redis, one switch, and a trunkd that serves it and has pages.
pub(crate) struct Fleet {
    pub(crate) redis: RedisServer,
    pub(crate) switch: FakeSwitch,
    pub(crate) app: TestApp,
    pub(crate) other: Other,
}

impl Fleet {
    pub(crate) async fn start() -> Self {
        Self::on(RedisServer::start().await).await
    }

    /// With a Redis that has everything again after it was killed.
    pub(crate) async fn durable() -> Self {
        Self::on(RedisServer::start_with_aof().await).await
    }

    /// With another switch.
    pub(crate) async fn with(other: &FakeSwitch, name: &str) -> Self {
        Self::of(RedisServer::start().await, &switch_toml(other, name)).await
    }

    /// With calls counted.
    pub(crate) async fn counting_calls() -> Self {
        Self::of(RedisServer::start().await, "[calls]\nenabled = true\n").await
    }

    /// With a second switch, `fs2`, for gateways that run on exactly one.
    pub(crate) async fn pair() -> (Self, FakeSwitch) {
        let start = |name| FakeSwitch::builder().switchname(name).sip().start();
        let (first, second) = (start("fs1").await, start("fs2").await);
        let toml = format!("[placement]\nfailover_after = \"2s\"\n{}", switch_toml(&second, "fs2"));
        let fleet = Self::of_switches(RedisServer::start().await, first, &[&second], &toml).await;
        (fleet, second)
    }

    async fn on(redis: RedisServer) -> Self {
        Self::of(redis, "").await
    }

    async fn of(redis: RedisServer, toml: &str) -> Self {
        Self::of_switches(redis, FakeSwitch::builder().start().await, &[], toml).await
    }

    /// `toml` has the settings of the switches after the first.
    async fn of_switches(redis: RedisServer, switch: FakeSwitch, others: &[&FakeSwitch], toml: &str) -> Self {
        let switches: Vec<_> = iter::once(&switch).chain(others.iter().copied()).collect();
        let app = TestApp::with_switches(&redis, &switches, &format!("{toml}{API}{APPLY}")).await;
        let other = Other::new(&redis).await;
        Self {
            redis,
            switch,
            app,
            other,
        }
    }

    pub(crate) fn access(&self) -> Access {
        let store = sources::store(&settings(&self.redis, Path::new("unused"), "")).unwrap();
        Access::new(store)
    }

    /// Somebody pauses the switch at a shell.
    pub(crate) async fn pause(&self, switch: &str) {
        let settings = settings(&self.redis, Path::new("unused"), "");
        let service = Service::open(&settings).unwrap();
        let paused = service.pause(&Caller::cli(), Some(switch), Timestamp::now()).await;
        paused.unwrap();
        self.other.wait_for("trunkd:reconcile", switch, "/paused", true).await;
    }

    pub(crate) async fn add_user(&self, name: &str, role: Role, domains: &str) {
        let new = NewUser {
            name: name.to_owned(),
            role,
            domains: domains.parse().unwrap(),
            password: SecretString::from(PASSWORD.to_owned()),
        };
        self.access().add_user(new).await.unwrap();
    }

    /// A browser in which this new person has signed in.
    pub(crate) async fn signed_in(&self, name: &str, role: Role, person: &Person) -> Browser {
        self.add_user(name, role, "*").await;
        self.sign_in(name, person).await
    }

    pub(crate) async fn sign_in(&self, name: &str, person: &Person) -> Browser {
        let browser = Browser::of(&self.app, person).await;
        browser.open("/sign-in").await;
        browser.find("#name").await.send_keys(name).await.unwrap();
        browser.find("#password").await.send_keys(PASSWORD).await.unwrap();
        browser.find("main button.primary").await.click().await.unwrap();
        browser.wait_for_path("/gateways").await;
        browser
    }

    pub(crate) async fn admin(&self) -> Browser {
        self.signed_in("alice", Role::Admin, &Person::default()).await
    }

    /// The link that `trunkd serve` prints.
    pub(crate) async fn setup_link(&self) -> String {
        let code = self.access().new_setup_code().await.unwrap().unwrap();
        format!("/setup?code={}", code.expose_secret())
    }
}
