//! Gateways that run on exactly one switch: drains, moves, spreading them evenly, and the form.

use serde_json::{Value, json};
use trunkd::access::Role;

use crate::narrow::{TOO_WIDE, UNCLEAR};
use crate::support::app::eventually;
use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::FakeSwitch;
use crate::visit::Fleet;

const SWITCHES: &str = "/switches";
const PAGE: &str = "/domains/acme/gateways/gw1";
const PREFERS_FS1: &str = r#","placement":{"mode":"one","prefer":["fs1"]}"#;
const ON_FS1: &str = r#","placement":"one","nodes":["fs1"]"#;
const DRAIN_FS1: &str = r#"a[href="/switches/drain?switch=fs1"]"#;

/// Two switches, and people.
pub(crate) struct Rig {
    pub(crate) fleet: Fleet,
    second: FakeSwitch,
}

impl Rig {
    async fn new() -> Self {
        let (fleet, second) = Fleet::pair().await;
        Self { fleet, second }
    }

    /// An IP trunk with these keys more.
    async fn set(&self, name: &str, more: &str) {
        let value = format!(r#"{{"param":{{"realm":"sip.example.net","register":"false"}}{more}}}"#);
        self.fleet.other.set_gateway("acme", name, &value).await;
    }

    /// Waits until the gateway is on this switch and not on its way.
    async fn wait_for(&self, name: &str, switch: &str) {
        let record = || async {
            let record = self.fleet.other.field("trunkd:placement", name).await;
            record.unwrap_or_default()
        };
        let is_there = |record: &Value| record["switch"] == switch && record["move"].is_null();
        eventually(&format!("{name} is on {switch}"), record, is_there).await;
        let switch = if switch == "fs1" {
            &self.fleet.switch
        } else {
            &self.second
        };
        switch.wait_for_state(name, "NOREG").await;
    }

    /// With two gateways that prefer fs1, and one that may run nowhere else.
    pub(crate) async fn with_gateways() -> Self {
        let rig = Self::new().await;
        for name in ["gw1", "gw2"] {
            rig.set(name, PREFERS_FS1).await;
            rig.wait_for(name, "fs1").await;
        }
        rig.set("stays", ON_FS1).await;
        rig.wait_for("stays", "fs1").await;
        rig
    }

    pub(crate) async fn drain_fs1(&self, browser: &Browser) {
        browser.open(SWITCHES).await;
        browser.click_on(DRAIN_FS1).await;
        browser.wait_for_text("2 gateways move to other switches.").await;
        browser.click("Drain").await;
        browser.wait_for_path(SWITCHES).await;
        for name in ["gw1", "gw2"] {
            self.wait_for(name, "fs2").await;
        }
    }
}

#[tokio::test]
async fn nothing_is_said_of_drains_while_no_gateway_runs_on_exactly_one_switch() {
    let rig = Rig::new().await;
    rig.set("everywhere", "").await;
    rig.second.wait_for_state("everywhere", "NOREG").await;
    let browser = rig.fleet.admin().await;
    browser.click("Switches").await;
    browser.wait_for_text("Connected since").await;
    let text = browser.text().await;
    for word in ["Drain", "exactly one", "Weight", "Spread"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    browser.open("/domains/acme/gateways/everywhere").await;
    browser.wait_for_text("Actions").await;
    assert!(!browser.text().await.contains("Where it is"));
    browser.close().await;
}

#[tokio::test]
async fn an_admin_drains_a_switch_sees_when_it_can_be_stopped_and_spreads_gateways_again() {
    let rig = Rig::with_gateways().await;
    let call = rig.fleet.switch.dial("gw1").unwrap();
    let browser = rig.fleet.admin().await;
    browser.open(SWITCHES).await;
    browser.wait_for_text("3 here").await;
    browser.click_on(DRAIN_FS1).await;
    browser.wait_for_text("2 gateways move to other switches.").await;
    browser.wait_for_text("1 gateway can't leave").await;
    browser.wait_for_text("it may run on no other switch").await;
    browser.wait_for_text("On it now: 1 call up.").await;
    browser.click("Cancel").await;
    rig.drain_fs1(&browser).await;
    browser.wait_for_text("by alice.").await;
    browser
        .wait_for_text("1 left, 0 on their way, 1 call up. It can be stopped when all are 0.")
        .await;
    browser.wait_for_text("stays: it may run on no other switch").await;
    // It changes by itself.
    rig.fleet.switch.hang_up(call, "NORMAL_CLEARING");
    browser.wait_for_text("1 left, 0 on their way, 0 calls up.").await;
    rig.set("stays", PREFERS_FS1).await;
    browser
        .wait_for_text("0 left, 0 on their way, 0 calls up. It can be stopped.")
        .await;
    browser.wait_for_text("3 here").await;

    browser.click("End the drain").await;
    browser.click("Spread evenly").await;
    browser.wait_for_text("3 gateways move:").await;
    rig.fleet.other.delete_gateway("acme", "stays").await;
    browser.click("Move them").await;
    browser
        .wait_for_text("The moves changed meanwhile, so nothing was done.")
        .await;
    browser.wait_for_text("2 gateways move:").await;
    // The console has the status of that answer.
    browser.errors().await;
    browser.click("Move them").await;
    browser
        .wait_for_text("2 moves begin, at the pace of their carriers.")
        .await;
    for name in ["gw1", "gw2"] {
        rig.wait_for(name, "fs1").await;
    }
    browser.click("Switches").await;
    browser.wait_for_text("2 here").await;
    assert!(!browser.text().await.contains("Spread evenly"));
    browser.close().await;
}

#[tokio::test]
async fn somebody_moves_a_gateway_and_sees_where_it_is_and_why() {
    let rig = Rig::with_gateways().await;
    let browser = rig.fleet.signed_in("olga", Role::Operator, &Person::default()).await;
    browser.open("/gateways?q=gw1").await;
    browser.wait_for_text("fs1").await;
    browser.click("gw1").await;
    browser.wait_for_text("It had no switch before").await;
    browser.click("fs2").await;
    browser.wait_for_text("The move is asked for.").await;
    rig.wait_for("gw1", "fs2").await;
    browser.wait_for_text("Somebody asked for it (olga)").await;
    browser.wait_for_text("Moved from fs1 to fs2").await;
    // The way back is offered without loading the page again.
    browser.click("fs1").await;
    rig.wait_for("gw1", "fs1").await;
    browser.wait_for_text("Moved from fs2 to fs1").await;
    // It may be nowhere else.
    browser.open("/domains/acme/gateways/stays").await;
    browser.wait_for_text("Where it is").await;
    assert!(!browser.text().await.contains("Move to another switch"));
    // Drains are for admins.
    browser.open(SWITCHES).await;
    browser.wait_for_text("3 here").await;
    assert!(browser.all(DRAIN_FS1).await.is_empty());
    browser.open("/switches/drain?switch=fs1").await;
    browser.wait_for_text("403").await;
    browser.errors().await;
    browser.close().await;
}

#[tokio::test]
async fn the_form_sets_on_how_many_switches_a_gateway_runs() {
    let rig = Rig::new().await;
    rig.set("gw1", "").await;
    rig.second.wait_for_state("gw1", "NOREG").await;
    let browser = rig.fleet.admin().await;
    browser.open(&format!("{PAGE}/edit")).await;
    browser.click("More: profile, switches, carrier, tags").await;
    let mode = browser.labelled("Runs on").await;
    mode.select_by_value("one").await.unwrap();
    browser
        .fill("Preferred switches, with commas between", "fs2, fs1")
        .await;
    browser.fill("Goes back to a preferred switch", "soon").await;
    browser.click("Check and continue").await;
    browser.wait_for_text("is neither \"manual\" nor \"after\"").await;
    let failback = browser.labelled("Goes back to a preferred switch").await;
    assert_eq!(failback.attr("aria-invalid").await.unwrap().as_deref(), Some("true"));
    // The console has the status of that answer.
    browser.errors().await;
    browser.fill("Goes back to a preferred switch", "after 10m").await;
    browser.click("Check and continue").await;
    browser.wait_for_text("What the switches will do").await;
    browser.click("Save").await;
    rig.wait_for("gw1", "fs2").await;
    let stored = rig.fleet.other.field("cti_gateway@acme", "gw1").await.unwrap();
    let placement = json!({"mode": "one", "prefer": ["fs2", "fs1"], "failback": "after 10m"});
    assert_eq!(stored["placement"], placement);
    browser.open(PAGE).await;
    browser.wait_for_text("Where it is").await;
    browser.close().await;
}

#[tokio::test]
async fn the_pages_are_chinese_and_fit_a_phone() {
    let rig = Rig::with_gateways().await;
    let admin = rig.fleet.admin().await;
    rig.drain_fs1(&admin).await;
    admin.close().await;
    let chinese = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = rig.fleet.signed_in("li", Role::Admin, &chinese).await;
    browser.resize(360, 740).await;
    let check = async |text: &str| {
        browser.wait_for_text(text).await;
        assert_eq!(browser.script(TOO_WIDE).await, json!([]), "{text}");
        assert_eq!(browser.script(UNCLEAR).await, json!([]), "{text}");
    };
    browser.open(SWITCHES).await;
    check("剩余 1 个").await;
    browser.open(PAGE).await;
    check("原交换机正在排空").await;
    browser.open("/switches/drain?switch=fs2").await;
    check("个网关无法迁出").await;
    browser.open(SWITCHES).await;
    browser.click("结束排空").await;
    browser.wait_for_text("均衡分布").await;
    browser.open("/switches/spread").await;
    check("将迁移 2 个网关").await;
    browser.close().await;
}
