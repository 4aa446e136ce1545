//! `trunkd import`, as an operator types it, over a real Redis and FakeSwitch.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::program::{json as parsed, run, write_settings};
use crate::support::app::{Other, switch_toml};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::RedisServer;

/// A Redis, another program that reads it, and a folder with settings for it.
async fn alone() -> (RedisServer, Other, tempfile::TempDir) {
    let redis = RedisServer::start().await;
    let (other, folder) = (Other::new(&redis).await, tempfile::tempdir().unwrap());
    write_settings(folder.path(), &redis);
    (redis, other, folder)
}

fn write(folder: &Path, name: &str, content: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

async fn stored(other: &Other, name: &str) -> Option<Value> {
    other.field("cti_gateway@acme", name).await
}

const ONE: &str = "<include>\n\
       <gateway name=\"one\">\n\
         <param name=\"realm\" value=\"$${host}\"/>\n\
         <param name=\"username\" value=\"u\"/>\n\
         <param name=\"password\" value=\"hunter2\"/>\n\
         <param name=\"codec-prefs\" value=\"PCMA\"/>\n\
       </gateway>\n\
     </include>\n";
const BAD: &str =
    "<include>\n  <gateway name=\"bad\">\n    <param name=\"realm\" value=\"$${ip}\"/>\n  </gateway>\n</include>\n";
const VARS: &str = "<include>\n\
       <X-PRE-PROCESS cmd=\"set\" data=\"host=sip.example.net\"/>\n\
       <X-PRE-PROCESS cmd=\"stun-set\" data=\"ip=stun:stun.example\"/>\n\
     </include>\n";

#[tokio::test]
async fn freeswitchs_files_are_shown_first_and_written_with_yes() {
    let (_redis, other, folder) = alone().await;
    write(folder.path(), "conf/vars.xml", VARS);
    write(folder.path(), "conf/sip_profiles/external/one.xml", ONE);
    let import = [
        "import",
        "fs-xml",
        "conf/vars.xml",
        "conf/sip_profiles/external",
        "--domain",
        "acme",
    ];
    let with = |more: &'static str| [&import[..], &[more]].concat();

    let (status, said) = run(folder.path(), &with("--dry-run")).await;
    assert_eq!(status, Some(2), "{said}");
    for words in [
        "conf/sip_profiles/external/one.xml:2: one in acme changed",
        "conf/sip_profiles/external/one.xml:6: note: variables.absolute_codec_string: the param became the variable",
        "conf/vars.xml:3: note: `stun-set` is never executed",
        "Read 1 gateway: 0 taken, 1 changed, 0 skipped.",
        "+ acme/one (conf/sip_profiles/external/one.xml:2): ",
        "1 to add.",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(stored(&other, "one").await, None);
    let (status, said) = run(folder.path(), &import).await;
    assert_eq!(status, Some(1), "there is no terminal to ask on: {said}");

    let (status, said) = run(folder.path(), &with("--yes")).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("acme: 1 written"), "{said}");
    let value = json!({
        "param": {"realm": "sip.example.net", "username": "u", "password": "hunter2"},
        "variables": {"absolute_codec_string": "PCMA"},
        "profile": "external",
    });
    assert_eq!(stored(&other, "one").await, Some(value));
    let (_, history) = run(folder.path(), &["gateway", "history", "one"]).await;
    assert!(history.contains("cli:"), "{history}");

    let (status, said) = run(folder.path(), &with("--yes")).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("Nothing to change."), "{said}");
}

#[tokio::test]
async fn what_cannot_be_imported_is_named_and_the_rest_is_written() {
    let (_redis, other, folder) = alone().await;
    write(
        folder.path(),
        "gateways/one.xml",
        &ONE.replace("$${host}", "sip.example.net"),
    );
    write(folder.path(), "gateways/bad.xml", BAD);
    let (status, said) = run(
        folder.path(),
        &["import", "fs-xml", "gateways", "--domain", "acme", "--yes"],
    )
    .await;
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("gateways/bad.xml:3: error: param.realm: `$${ip}` has no value in these files"),
        "{said}"
    );
    assert!(said.contains("acme: 1 written"), "{said}");
    assert!(stored(&other, "one").await.is_some() && stored(&other, "bad").await.is_none());
}

#[tokio::test]
async fn a_gateway_that_is_stored_and_differs_is_replaced_only_if_asked() {
    let (_redis, other, folder) = alone().await;
    let kept = r#"{"param":{"realm":"old.example","register":"false","ping":"25"},"tags":["voice"]}"#;
    other.set_gateway("acme", "a", kept).await;
    write(
        folder.path(),
        "t.csv",
        "name,realm,register\na,new.example,false\nb,b.example,false\n",
    );
    let import = ["import", "csv", "t.csv", "--domain", "acme", "--yes"];

    let (status, said) = run(folder.path(), &import).await;
    assert_eq!(status, Some(2), "{said}");
    let words = "a in acme is there already and differs: \
                 param.realm \"old.example\" -> \"new.example\", param.ping \"25\" removed";
    assert!(said.contains(words) && said.contains("--overwrite replaces"), "{said}");
    assert_eq!(stored(&other, "a").await, Some(parsed(kept)));
    assert!(stored(&other, "b").await.is_some());

    let (status, said) = run(folder.path(), &[&import[..], &["--overwrite"]].concat()).await;
    assert_eq!(status, Some(0), "{said}");
    let replaced = json!({"param": {"realm": "new.example", "register": "false"}, "tags": ["voice"]});
    assert_eq!(stored(&other, "a").await, Some(replaced));
    let (status, said) = run(folder.path(), &import).await;
    assert_eq!(status, Some(0), "what trunkd alone has is no difference: {said}");
}

#[tokio::test]
async fn fusionpbx_is_imported_by_uuid_or_name_and_printed_as_json() {
    let (_redis, other, folder) = alone().await;
    write(
        folder.path(),
        "dump.sql",
        "COPY public.v_gateways (gateway_uuid, gateway, realm, register, enabled) FROM stdin;\n\
         ABCD\tVoice-One\tr.example\tfalse\ttrue\n\\.\n",
    );
    let import = ["import", "fusionpbx", "dump.sql", "--domain", "acme", "--yes"];
    let (status, said) = run(folder.path(), &import).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(stored(&other, "abcd").await.is_some());
    let (status, said) = run(folder.path(), &[&import[..], &["--json", "--name", "gateway"]].concat()).await;
    assert_eq!(status, Some(0), "{said}");
    let answer = parsed(&said);
    assert_eq!(answer["import"]["gateways"][0]["place"], "dump.sql:2");
    assert_eq!(answer["difference"]["added"], 1);
    assert!(stored(&other, "Voice-One").await.is_some());
}

/// As a switch has it that was configured by files.
const ON_DISK: &str = r#"<document type="freeswitch/xml">
<section name="configuration">
<configuration name="sofia.conf">
<profiles>
<profile name="external">
<gateways>
<gateway name="one">
<param name="realm" value="one.example"/>
<param name="username" value="u"/>
<param name="password" value="p&amp;q&lt;r&quot;s'顶&#36;${x}"/>
</gateway>
<gateway name="old">
<param name="realm" value="old.example"/>
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

#[tokio::test]
async fn what_a_switch_has_is_imported_with_its_passwords_and_compared_with_what_it_runs() {
    let (redis, other, folder) = alone().await;
    let switch = FakeSwitch::builder().disk(ON_DISK).start().await;
    write(
        folder.path(),
        "trunkd.toml",
        &format!("[redis]\nurl = \"{}\"\n{}", redis.url(), switch_toml(&switch, "fs1")),
    );
    // Since it started, one gateway went from its files, and another came to the directory.
    let old = ON_DISK.find("<gateway name=\"old\">").unwrap()..ON_DISK.find("</gateways>").unwrap();
    let mut disk = ON_DISK.to_owned();
    disk.replace_range(old, "");
    let directory = "</section>\n\
         <section name=\"directory\">\n\
         <domain name=\"d\">\n\
         <user id=\"7\">\n\
         <gateways>\n\
         <gateway name=\"isp\">\n\
         <param name=\"realm\" value=\"isp.example\"/>\n\
         <param name=\"register\" value=\"false\"/>\n\
         </gateway>\n\
         </gateways>\n\
         </user>\n\
         </domain>\n\
         </section>\n\
         </document>\n";
    let end = disk.rfind("</section>").unwrap();
    disk.replace_range(end.., directory);
    let disk = disk.replace(
        "<settings>",
        "<domains>\n<domain name=\"all\" parse=\"true\"/>\n</domains>\n<settings>",
    );
    switch.set_disk(Some(disk.into_bytes()));

    let import = ["import", "switch", "fs1", "--domain", "acme", "--yes"];
    let (status, said) = run(folder.path(), &import).await;
    assert_eq!(status, Some(0), "{said}");
    for words in [
        "Taken as they are: one, isp.",
        "switch fs1: warning: these run, but the switch's configuration no longer has them, \
         so their params can't be read: old",
        "switch fs1: note: the switch's configuration has these, but they don't run: isp",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(!said.contains("p&q"), "{said}");
    let value = stored(&other, "one").await.unwrap();
    assert_eq!(value["param"]["password"], "p&q<r\"s'顶$${x}");
    assert_eq!(value["profile"], "external");

    let (status, said) = run(folder.path(), &["import", "switch", "fs2", "--domain", "acme"]).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("there is no switch \"fs2\"; known are fs1"), "{said}");
    switch.shutdown().await;
    let (status, said) = run(folder.path(), &import).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("cannot read what the switch fs1 has: "), "{said}");
}

#[tokio::test]
async fn a_source_that_cannot_be_read_is_named() {
    let (_redis, _other, folder) = alone().await;
    for (arguments, words) in [
        (["fs-xml", "/no/such/folder"], "/no/such/folder"),
        (["csv", "none.csv"], "none.csv: it can't be read"),
        (
            ["fusionpbx", "trunkd.toml"],
            "trunkd.toml: it has no rows of the table `v_gateways`",
        ),
    ] {
        let (status, said) = run(folder.path(), &[&["import"], &arguments[..]].concat()).await;
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(words), "{words}\n{said}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_also_while_redis_is_away() {
    let (mut redis, _other, folder) = alone().await;
    redis.kill();
    write(folder.path(), "bad.xml", BAD);
    let (status, said) = run(folder.path(), &["import", "fs-xml", "bad.xml", "--domain", "acme"]).await;
    assert_eq!(status, Some(1), "{said}");
    for words in ["bad.xml:3: ", "0 taken, 0 changed, 1 skipped", "cannot read Redis at"] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    write(folder.path(), "cut.yaml", "domain: [acme");
    for command in [
        &["import", "csv", "cut.csv"][..],
        &["diff", "-f", "cut.yaml"],
        &["sync", "-f", "cut.yaml"],
        &["restore", "cut.yaml"],
    ] {
        let (status, said) = run(folder.path(), command).await;
        assert_eq!(status, Some(1), "{command:?}: {said}");
        assert!(said.contains("cut.") && !said.contains("Redis"), "{command:?}: {said}");
    }
}
