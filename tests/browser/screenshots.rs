//! Pictures of the pages for `docs/screenshots`. `make screenshots` runs this; to look at them is the test.

use std::fs;
use std::path::Path;

use trunkd::access::Role;

use crate::placement::Rig;
use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::FORBIDDEN;
use crate::visit::Fleet;

/// A page, and how its picture is called.
struct Shot {
    name: &'static str,
    path: &'static str,
}

const SHOTS: [Shot; 15] = [
    Shot {
        name: "gateways",
        path: "/gateways",
    },
    Shot {
        name: "gateways-down",
        path: "/gateways?state=down&sort=-name",
    },
    Shot {
        name: "gateway",
        path: "/domains/acme/gateways/refused",
    },
    Shot {
        name: "gateway-presets",
        path: "/gateways/new",
    },
    Shot {
        name: "gateway-form",
        path: "/gateways/new?preset=account",
    },
    Shot {
        name: "gateway-edit",
        path: "/domains/acme/gateways/carrier1/edit",
    },
    Shot {
        name: "gateways-restart",
        path: "/gateways",
    },
    Shot {
        name: "carriers",
        path: "/carriers",
    },
    Shot {
        name: "switches",
        path: "/switches",
    },
    Shot {
        name: "plan",
        path: "/plan",
    },
    Shot {
        name: "history",
        path: "/history",
    },
    Shot {
        name: "import",
        path: "/import",
    },
    Shot {
        name: "import-review",
        path: "/import",
    },
    Shot {
        name: "users",
        path: "/users",
    },
    Shot {
        name: "password",
        path: "/password",
    },
];

/// Small pictures stay small in the repository.
const MAX_BYTES: usize = 100_000;

#[tokio::test]
#[ignore = "makes the pictures of docs/screenshots; run by `make screenshots`"]
async fn pictures_of_the_pages() {
    let (fleet, empty) = (fleet().await, Fleet::start().await);
    let folder = tempfile::tempdir().unwrap();
    let sheet = folder.path().join("trunks.csv");
    fs::write(&sheet, SHEET).unwrap();
    for (name, person) in people() {
        let browser = Browser::of(&fleet.app, &person).await;
        browser.open("/sign-in").await;
        keep(&browser, &format!("sign-in-{name}")).await;
        browser.close().await;
        let browser = empty.signed_in(name, Role::Admin, &person).await;
        keep(&browser, &format!("gateways-empty-{name}")).await;
        browser.close().await;
        let browser = fleet.signed_in(name, Role::Admin, &person).await;
        for shot in &SHOTS {
            browser.open(shot.path).await;
            browser.find("h1").await;
            match shot.name {
                "gateways-restart" => preview(&browser, "restart").await,
                "import-review" => import(&browser, &sheet).await,
                _ => {}
            }
            keep(&browser, &format!("{}-{name}", shot.name)).await;
        }
        browser.resize(360, 720).await;
        for page in ["gateways", "carriers"] {
            browser.open(&format!("/{page}")).await;
            browser.find("h1").await;
            keep(&browser, &format!("{page}-phone-{name}")).await;
        }
        browser.close().await;
    }
}

#[tokio::test]
#[ignore = "makes the pictures of docs/screenshots; run by `make screenshots`"]
async fn pictures_of_gateways_on_one_switch() {
    let rig = Rig::with_gateways().await;
    let admin = rig.fleet.admin().await;
    rig.drain_fs1(&admin).await;
    let drained = [
        ("switches-drained", "/switches"),
        ("drain", "/switches/drain?switch=fs2"),
        ("gateway-on-one", "/domains/acme/gateways/gw1"),
    ];
    take(&rig.fleet, &drained).await;
    admin.click("End the drain").await;
    admin.wait_for_text("Spread evenly").await;
    take(&rig.fleet, &[("spread", "/switches/spread")]).await;
}

/// Pictures of these pages, each by its name.
async fn take(fleet: &Fleet, pages: &[(&str, &str)]) {
    for (name, person) in people() {
        let user = format!("{}-{name}", pages[0].0);
        let browser = fleet.signed_in(&user, Role::Admin, &person).await;
        for (page, path) in pages {
            browser.open(path).await;
            browser.find("h1").await;
            keep(&browser, &format!("{page}-{name}")).await;
        }
        browser.close().await;
    }
}

/// Who reads English by day, and Chinese by night.
fn people() -> impl Iterator<Item = (&'static str, Person)> {
    let people = [("en-light", "en-US,en", false), ("zh-dark", "zh-CN,zh", true)];
    people.into_iter().map(|(name, language, dark)| {
        let person = Person {
            language,
            dark,
            height: 720,
            ..Person::default()
        };
        (name, person)
    })
}

/// What an action on all gateways of the list would do.
async fn preview(browser: &Browser, action: &str) {
    browser.find("[data-choose-page]").await.click().await.unwrap();
    let button = browser.find(&format!("button[name=do][value={action}]")).await;
    button.click().await.unwrap();
    browser.find("form.stack").await;
}

/// A spreadsheet with something of everything.
const SHEET: &str = "name,domain,realm,username,password,codec-prefs,colour\n\
                     carrier1,acme,sip.example.com,u,p,,red\n\
                     carrier3,acme,sip.example.org,u3,p3,PCMA,blue\n\
                     carrier4,acme,sip.example.org,u4,,,\n";

/// What an import would do.
async fn import(browser: &Browser, sheet: &Path) {
    let file = browser.find("#file").await;
    file.send_keys(sheet.to_str().unwrap()).await.unwrap();
    browser.find("#kind").await.select_by_value("csv").await.unwrap();
    browser.click_on("form[enctype] button.primary").await;
    browser.find("input[name=digest]").await;
}

/// Gateways in every state, with long and hostile texts.
async fn fleet() -> Fleet {
    let fleet = Fleet::start().await;
    let gateways = [
        (
            "carrier1",
            r#""carrier":"Example Telecom","tags":["berlin","primary"],"#,
        ),
        (
            "carrier2",
            r#""carrier":"مثال للاتصالات","description":"right to left: \u202Egnp.exe \u202C and back","#,
        ),
        (
            "refused",
            r#""carrier":"Example Telecom","description":"password changed on Monday","#,
        ),
    ];
    for (name, more) in gateways {
        let value = format!(r#"{{{more}"param":{{"realm":"sip.example.net","username":"u","password":"p"}}}}"#);
        fleet.other.set_gateway("acme", name, &value).await;
        fleet.switch.wait_for_state(name, "REGED").await;
    }
    let refused = r#"{"carrier":"Example Telecom","param":{"realm":"sip.example.net","username":"u","password":"x"}}"#;
    fleet.switch.registrar(|registrar| registrar.set("refused", FORBIDDEN));
    fleet.other.set_gateway("acme", "refused", refused).await;
    fleet
        .other
        .wait_for("trunkd:status:fs1", "refused", "/state", "FAIL_WAIT")
        .await;
    let off = r#"{"enabled":false,"param":{"realm":"sip.example.net","register":"false"}}"#;
    fleet.other.set_gateway("globex", "spare", off).await;
    fleet.other.set_gateway("globex", &"long-name.".repeat(8), off).await;
    let long = format!(
        r#"{{"description":"{}","param":{{"realm":"sip.example.net"}}}}"#,
        "very long ".repeat(300)
    );
    fleet.other.set_gateway("globex", "no-username", &long).await;
    fleet
}

async fn keep(browser: &Browser, name: &str) {
    let picture = browser.screenshot().await;
    assert!(picture.len() < MAX_BYTES, "{name} has {} bytes", picture.len());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/screenshots");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name).with_extension("png"), picture).unwrap();
}
