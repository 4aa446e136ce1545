//! Importing gateways: a file or a switch, what it would do, and exactly that is written.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trunkd::access::Role;

use crate::accessible::{CONTRAST, PROBLEMS};
use crate::keyboard::walk;
use crate::narrow::{TOO_WIDE, UNCLEAR};
use crate::support::browser::{Browser, Person};
use crate::support::fake_switch::FakeSwitch;
use crate::visit::Fleet;

/// A spreadsheet with a column that is spelt a little differently, and one that there isn't.
const SHEET: &str = "name,domain,realm,auth_username,password,colour\n\
                     carrier1,acme,sip.example.net,u1,tr0ub4dor,red\n\
                     carrier2,acme,sip.example.org,u2,,blue\n";
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

/// A folder to choose files from.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn plain() -> Person {
    Person {
        javascript: false,
        ..Person::default()
    }
}

/// Chooses a file, and what it is.
async fn choose(browser: &Browser, file: &Path, kind: &str) {
    browser.open("/import").await;
    let field = browser.find("#file").await;
    field.send_keys(file.to_str().unwrap()).await.unwrap();
    browser.find("#kind").await.select_by_value(kind).await.unwrap();
}

/// Sends the form of files.
async fn look(browser: &Browser) {
    browser.click_on("form[enctype] button.primary").await;
}

async fn upload(browser: &Browser, file: &Path, kind: &str, domain: &str) {
    choose(browser, file, kind).await;
    browser.find("#domain").await.send_keys(domain).await.unwrap();
    look(browser).await;
}

async fn stored(fleet: &Fleet, domain: &str, name: &str) -> Option<Value> {
    fleet.other.field(&format!("cti_gateway@{domain}"), name).await
}

/// The page answers with an error, which the console has too.
async fn ends_in(browser: Browser, status: &str) {
    let errors = browser.errors().await;
    assert!(errors.len() == 1 && errors[0].contains(status), "{errors:?}");
    browser.close().await;
}

#[tokio::test]
async fn a_spreadsheet_is_shown_first_and_then_exactly_that_is_written() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    let browser = fleet.signed_in("bob", Role::Operator, &Person::default()).await;
    browser.wait_for_text("in files, FusionPBX or a spreadsheet?").await;
    browser.click("Import them").await;
    browser.wait_for_path("/import").await;
    let sheet = SHEET.replace("auth_username", "username");
    choose(&browser, &folder.file("trunks.csv", &sheet), "csv").await;
    look(&browser).await;
    browser.wait_for_text("Import trunks.csv").await;
    for text in [
        "carrier1 acme new trunks.csv:2",
        "1 gateway is taken as it is.",
        "the column colour is no param of FreeSWITCH's, and was left out",
        "trunks.csv:1",
        "carrier2 acme not imported trunks.csv:3",
        "Error trunks.csv:3",
    ] {
        browser.wait_for_text(text).await;
    }
    let row = browser.find("main tbody tr").await.text().await.unwrap();
    assert_eq!(row, "fs1 1 0 0");
    browser.click("3 fields").await;
    browser.wait_for_text("param.password: changed (secret)").await;
    let html = browser.client.source().await.unwrap();
    assert!(!html.contains("tr0ub4dor"), "{html}");
    assert_eq!(stored(&fleet, "acme", "carrier1").await, None, "nothing is written yet");

    browser.click("Write 1 gateway").await;
    browser.wait_for_text("Done: 1 gateway written.").await;
    browser.wait_for_text("acme 1 written").await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    let value = json!({"param": {"realm": "sip.example.net", "username": "u1", "password": "tr0ub4dor"}});
    assert_eq!(stored(&fleet, "acme", "carrier1").await, Some(value));
    browser.click("carrier1").await;
    browser.wait_for_path("/domains/acme/gateways/carrier1").await;
    browser.wait_for_text("REGED").await;
    browser.wait_for_text("bob").await;
    browser.close().await;
}

#[tokio::test]
async fn freeswitchs_xml_is_imported_without_javascript() {
    const XML: &str = "<include>\n\
                       <gateway name=\"one\">\n\
                       <param name=\"realm\" value=\"sip.example.net\"/>\n\
                       <param name=\"register\" value=\"false\"/>\n\
                       <param name=\"codec-prefs\" value=\"PCMA\"/>\n\
                       </gateway>\n\
                       <gateway name=\"bad\">\n\
                       <param name=\"realm\" value=\"$${host}\"/>\n\
                       </gateway>\n\
                       </include>\n";
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    let browser = fleet.signed_in("bob", Role::Operator, &plain()).await;
    choose(&browser, &folder.file("external.xml", XML), "fs-xml").await;
    browser.find("#domain").await.send_keys("acme").await.unwrap();
    browser.find("#profile").await.send_keys("internal").await.unwrap();
    look(&browser).await;
    for text in [
        "one acme taken, with changes external.xml:2",
        "the param became the variable absolute_codec_string",
        "bad acme not imported external.xml:7",
        "external.xml:8, param.realm",
        "$${host} has no value in these files",
    ] {
        browser.wait_for_text(text).await;
    }
    browser.click("Write 1 gateway").await;
    browser.wait_for_text("Done: 1 gateway written.").await;
    let value = stored(&fleet, "acme", "one").await.unwrap();
    assert_eq!(value["profile"], "internal");
    assert_eq!(value["variables"]["absolute_codec_string"], "PCMA");
    assert_eq!(stored(&fleet, "acme", "bad").await, None);
    browser.close().await;
}

#[tokio::test]
async fn fusionpbx_is_imported_by_uuid_or_by_name() {
    const DUMP: &str = "COPY public.v_gateways (gateway_uuid, gateway, realm, register, enabled) FROM stdin;\n\
                        ABCD\tVoice-One\tr.example\tfalse\ttrue\n\\.\n";
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    let browser = fleet.admin().await;
    let dump = folder.file("dump.sql", DUMP);
    for (kind, name) in [("fusionpbx", "abcd"), ("fusionpbx-names", "Voice-One")] {
        upload(&browser, &dump, kind, "acme").await;
        browser.wait_for_text(&format!("{name} acme new dump.sql:2")).await;
        browser.click("Write 1 gateway").await;
        browser.wait_for_text("Done: 1 gateway written.").await;
        assert!(stored(&fleet, "acme", name).await.is_some());
    }
    browser.close().await;
}

#[tokio::test]
async fn documents_add_change_and_remove_and_a_refused_one_stops_its_domain() {
    const DOCUMENTS: &str = "domain: acme\nname: new\nparam: {realm: sip.example.net, register: false}\n---\n\
                             domain: acme\nname: old\nparam: {realm: other.example.net, register: false}\n---\n\
                             domain: acme\nname: gone\nstate: absent\n---\n\
                             domain: globex\nname: bad\nparam: {realm: sip.example.net}\n";
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    for name in ["old", "gone"] {
        fleet.other.set_gateway("acme", name, IP_TRUNK).await;
        fleet.switch.wait_for_state(name, "NOREG").await;
    }
    let browser = fleet.admin().await;
    choose(&browser, &folder.file("all.yaml", DOCUMENTS), "documents").await;
    look(&browser).await;
    for text in [
        "bad globex refused all.yaml:13",
        "new acme new all.yaml:1",
        "old acme changed all.yaml:5",
        "param.realm: sip.example.net → other.example.net",
        "gone acme removed all.yaml:9",
        "Nothing of these domains is written, because one of their gateways is refused:",
        "Each gateway that restarts takes no new calls for less than a second.",
    ] {
        browser.wait_for_text(text).await;
    }
    let row = browser.find("main tbody tr").await.text().await.unwrap();
    assert_eq!(row, "fs1 1 1 1");
    let first = browser.find("main > ul.items > li").await.text().await.unwrap();
    assert!(first.starts_with("bad"), "refused ones come first: {first}");
    browser.click("Write 3 gateways").await;
    browser.wait_for_text("Done: 3 gateways written.").await;
    browser
        .wait_for_text("globex 0 not written: one of its gateways is refused")
        .await;
    fleet.switch.wait_for_gone("gone").await;
    fleet.switch.wait_for_state("new", "NOREG").await;
    assert_eq!(stored(&fleet, "globex", "bad").await, None);
    browser.close().await;
}

#[tokio::test]
async fn what_a_switch_has_is_imported_and_it_keeps_running() {
    const ON_DISK: &str = r#"<document type="freeswitch/xml">
<section name="configuration">
<configuration name="sofia.conf">
<profiles>
<profile name="external">
<gateways>
<gateway name="one">
<param name="realm" value="one.example"/>
<param name="register" value="false"/>
</gateway>
</gateways>
<settings>
<param name="sip-port" value="5080"/>
</settings>
</profile>
</profiles>
</configuration>
</section>
</document>
"#;
    let files = FakeSwitch::builder().switchname("fs2").disk(ON_DISK).start().await;
    let fleet = Fleet::with(&files, "fs2").await;
    let browser = fleet.admin().await;
    browser.open("/import").await;
    browser.labelled("Switch").await.select_by_value("fs2").await.unwrap();
    browser.find("#switch-domain").await.send_keys("acme").await.unwrap();
    browser.click_on("form[action='/import/switch'] button.primary").await;
    browser.wait_for_text("Import fs2").await;
    browser.wait_for_text("one acme new switch fs2:").await;
    browser.click("Write 1 gateway").await;
    browser.wait_for_text("Done: 1 gateway written.").await;
    assert_eq!(stored(&fleet, "acme", "one").await.unwrap()["profile"], "external");
    // Whose domains are some doesn't get what is in all of them.
    fleet.add_user("otto", Role::Operator, "acme").await;
    let otto = fleet.sign_in("otto", &Person::default()).await;
    otto.open("/import").await;
    assert!(!otto.text().await.contains("From a switch"));
    otto.close().await;
    browser.close().await;
}

#[tokio::test]
async fn a_difference_that_changed_since_it_was_shown_is_shown_again() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    fleet.other.set_gateway("acme", "one", IP_TRUNK).await;
    let browser = fleet.admin().await;
    let document = r#"{"domain":"acme","name":"one","param":{"realm":"b.example.net","register":"false"}}"#;
    choose(&browser, &folder.file("one.json", document), "documents").await;
    look(&browser).await;
    browser
        .wait_for_text("param.realm: sip.example.net → b.example.net")
        .await;
    let theirs = IP_TRUNK.replace("sip.example.net", "theirs.example.net");
    fleet.other.set_gateway("acme", "one", &theirs).await;
    browser.click("Write 1 gateway").await;
    browser
        .wait_for_text("The difference changed meanwhile, so nothing was written.")
        .await;
    browser
        .wait_for_text("param.realm: theirs.example.net → b.example.net")
        .await;
    assert_eq!(
        stored(&fleet, "acme", "one").await.unwrap()["param"]["realm"],
        "theirs.example.net"
    );
    browser.click("Write 1 gateway").await;
    browser.wait_for_text("Done: 1 gateway written.").await;
    assert_eq!(
        stored(&fleet, "acme", "one").await.unwrap()["param"]["realm"],
        "b.example.net"
    );
    ends_in(browser, "409").await;
}

#[tokio::test]
async fn what_is_stored_already_is_replaced_only_if_asked() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    fleet.other.set_gateway("acme", "one", IP_TRUNK).await;
    let browser = fleet.signed_in("bob", Role::Operator, &plain()).await;
    let sheet = folder.file("t.csv", "name,realm,register\none,new.example,false\n");
    upload(&browser, &sheet, "csv", "acme").await;
    browser.wait_for_text("There is nothing to write.").await;
    browser.wait_for_text("These are left as they are stored.").await;
    browser
        .wait_for_text("param.realm: sip.example.net → new.example")
        .await;
    browser.click("See what replacing them would change").await;
    browser
        .wait_for_text("Gateways that are stored already and differ are replaced.")
        .await;
    browser.click("Write 1 gateway").await;
    browser.wait_for_text("Done: 1 gateway written.").await;
    assert_eq!(
        stored(&fleet, "acme", "one").await.unwrap()["param"]["realm"],
        "new.example"
    );
    browser.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_said_with_file_and_line_and_the_form_stays_filled_in() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    let browser = fleet.signed_in("bob", Role::Operator, &plain()).await;
    for (name, content, kind, words) in [
        ("many.csv", "name,realm\none,a,b\n", "csv", "many.csv:2: "),
        ("broken.yaml", "domain: acme\nname: [\n", "documents", "broken.yaml:"),
        (
            "twice.yaml",
            "domain: acme\nname: a\nname: b\n",
            "documents",
            "twice.yaml:3: the key \"name\" is there twice",
        ),
        ("empty.xml", " \n", "fs-xml", "empty.xml: the file is empty"),
        ("other.sql", "select 1;", "fusionpbx", "it has no rows of the table"),
    ] {
        upload(&browser, &folder.file(name, content), kind, "acme").await;
        let problem = browser.find("[role=alert]").await.text().await.unwrap();
        assert!(problem.contains(words), "{words}: {problem}");
        let script = "return [document.querySelector('#kind').value, document.querySelector('#domain').value]";
        assert_eq!(browser.script(script).await, json!([kind, "acme"]));
    }
    assert_eq!(browser.errors().await.len(), 5);
    browser.close().await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_sent_and_without_javascript_refused() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    let large = folder.file("large.csv", "");
    File::options()
        .write(true)
        .open(&large)
        .unwrap()
        .set_len(64 * 1024 * 1024 + 1)
        .unwrap();
    let browser = fleet.admin().await;
    choose(&browser, &large, "csv").await;
    let script = "return document.querySelector('#file').validationMessage";
    assert_eq!(
        browser.script(script).await,
        "This file is larger than 64 MiB: import less at once."
    );
    look(&browser).await;
    assert_eq!(browser.path().await, "/import");
    browser.close().await;

    let browser = fleet.signed_in("bob", Role::Operator, &plain()).await;
    choose(&browser, &large, "csv").await;
    look(&browser).await;
    browser
        .wait_for_text("large.csv: there are more than 67108864 bytes")
        .await;
    ends_in(browser, "413").await;
}

#[tokio::test]
async fn viewers_are_not_offered_it_and_are_refused() {
    let fleet = Fleet::start().await;
    let browser = fleet.signed_in("vera", Role::Viewer, &Person::default()).await;
    browser.wait_for_text("No trunks yet").await;
    assert!(!browser.text().await.contains("Import"));
    browser.open("/import").await;
    browser
        .wait_for_text("this needs the role operator, and yours is viewer")
        .await;
    ends_in(browser, "403").await;
}

#[tokio::test]
async fn an_upload_is_its_owners_and_can_be_discarded() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    let alice = fleet.admin().await;
    upload(&alice, &folder.file("t.csv", SHEET), "csv", "").await;
    alice.wait_for_text("Import t.csv").await;
    let path = alice.path().await;
    let bob = fleet.signed_in("bob", Role::Admin, &Person::default()).await;
    bob.open(&path).await;
    bob.wait_for_text("this upload is no longer kept").await;
    ends_in(bob, "404").await;
    alice.click("中文").await;
    alice.wait_for_text("导入 t.csv").await;
    alice.click("放弃").await;
    alice.wait_for_path("/import").await;
    alice.open(&path).await;
    alice.wait_for_text("上传的内容已不再保留").await;
    ends_in(alice, "404").await;
}

#[tokio::test]
async fn the_review_and_the_result_can_be_read_on_any_screen_and_used_by_keyboard() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    fleet.other.set_gateway("acme", "known", IP_TRUNK).await;
    let long = "\u{202e}very-long-".repeat(300);
    let sheet = format!(
        "name,domain,realm,register,description,{long}\n\
         known,acme,b.example.net,false,{long},1\nnew,{},c.example.net,false,,1\n{long},acme,,,,\n",
        "W".repeat(200)
    );
    let sheet = folder.file(&format!("{}.csv", "long-name-".repeat(20)), &sheet);
    for dark in [false, true] {
        let person = Person {
            dark,
            ..Person::default()
        };
        let browser = fleet.signed_in(&format!("dark-{dark}"), Role::Admin, &person).await;
        upload(&browser, &sheet, "csv", "").await;
        for (pass, sign) in [("review", "button[value=write]"), ("result", ".done")] {
            browser.find(sign).await;
            for script in [PROBLEMS, CONTRAST, TOO_WIDE] {
                assert_eq!(browser.script(script).await, json!([]), "{pass}");
            }
            browser.resize(360, 740).await;
            for script in [TOO_WIDE, UNCLEAR] {
                assert_eq!(browser.script(script).await, json!([]), "{pass}");
            }
            walk(&browser, pass).await;
            browser.resize(1280, 900).await;
            if pass == "review" {
                browser.click_on(sign).await;
            }
        }
        fleet.other.delete_gateway(&"W".repeat(200), "new").await;
        browser.close().await;
    }
}

#[tokio::test]
async fn an_import_is_chinese_for_who_reads_chinese() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    let chinese = Person {
        language: "zh-CN,zh",
        ..Person::default()
    };
    let browser = fleet.signed_in("li", Role::Operator, &chinese).await;
    browser.click("导入").await;
    browser.wait_for_text("确认之前不会写入任何内容").await;
    let sheet = SHEET.replace("auth_username", "username");
    upload(&browser, &folder.file("网关.csv", &sheet), "csv", "").await;
    for text in [
        "导入 网关.csv",
        "列 colour 不是 FreeSWITCH 的参数，已略过",
        "carrier2 acme 未导入 网关.csv:3",
        "carrier1 acme 新增 网关.csv:2",
    ] {
        browser.wait_for_text(text).await;
    }
    browser.click("写入 1 个网关").await;
    browser.wait_for_text("完成：已写入 1 个网关。").await;
    fleet.switch.wait_for_state("carrier1", "REGED").await;
    browser.close().await;
}

#[tokio::test]
async fn what_the_list_shows_is_exported_and_can_be_imported_again() {
    let (fleet, folder) = (Fleet::start().await, Folder::new());
    fleet.other.set_gateway("acme", "one", IP_TRUNK).await;
    fleet.other.set_gateway("globex", "two", IP_TRUNK).await;
    let browser = fleet.admin().await;
    browser.open("/gateways?domain=acme&sort=-name").await;
    browser.wait_for_text("1 gateway").await;
    let script = "return fetch(document.querySelector('a[download]').href).then((answer) => answer.text())";
    let exported = browser.script(script).await;
    let exported = exported.as_str().unwrap();
    assert!(
        exported.contains("name: one") && !exported.contains("two"),
        "{exported}"
    );
    choose(&browser, &folder.file("gateways.yaml", exported), "documents").await;
    look(&browser).await;
    browser.wait_for_text("There is nothing to write.").await;
    browser.close().await;
}
