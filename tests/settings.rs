//! Settings as an operator meets them: what wins over what, what is refused and with which words,
//! and that no secret shows.

// The lint's own exception for tests stops at the functions that they share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use trunkd::history::Kind;
use trunkd::settings::{
    AllowHooks, Flags, LogFormat, Origin, ReconcileMode, Settings, SettingsError, Sources, WebhookEvent,
    WebhookSettings,
};

/// A secret of every kind in the settings. None may appear anywhere.
const SECRET: &str = "s3cret-that-must-not-show";

struct Given {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Given {
    fn nothing() -> Self {
        Given {
            folder: tempfile::tempdir().unwrap(),
            sources: Sources::default(),
        }
    }

    /// A settings file with this text.
    fn file(text: &str) -> Self {
        let mut given = Given::nothing();
        given.sources.config = Some(given.write("trunkd.toml", text));
        given
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources
            .environment
            .push((OsString::from(name), OsString::from(value)));
        self
    }

    fn load(&self) -> Result<Settings, SettingsError> {
        self.load_with(Flags::new())
    }

    fn load_with(&self, flags: Flags) -> Result<Settings, SettingsError> {
        Settings::load_from(&self.sources, flags)
    }

    /// The words of the error that loading must end in, checked to show no secret.
    #[track_caller]
    fn error(&self) -> String {
        shown(&self.load().expect_err("these settings must be refused"))
    }
}

#[track_caller]
fn shown(error: &SettingsError) -> String {
    let text = format!("{error}");
    assert!(
        !text.contains(SECRET) && !format!("{error:?}").contains(SECRET),
        "a secret shows: {text}"
    );
    text
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let given =
        Given::file("[http]\nlisten = '127.0.0.1:1'\nworkers = 3\nmax_connections = 7\n[redis]\ntimeout = '1s'")
            .variable("TRUNKD_HTTP__LISTEN", "127.0.0.1:2")
            .variable("TRUNKD_HTTP__WORKERS", "4");
    let flags =
        Flags::new()
            .set("--listen", "http.listen", Some("127.0.0.1:3"))
            .set("--dir", "templates.dir", None::<String>);
    let settings = given.load_with(flags).unwrap();
    assert_eq!(settings.http.listen.port(), 3);
    assert_eq!(settings.http.workers, 4);
    assert_eq!(settings.http.max_connections, 7);
    assert_eq!(settings.redis.timeout, Duration::from_secs(1));
    assert_eq!(settings.templates.dir, given.folder.path().join("templates"));
    assert_eq!(settings.config_file, given.sources.config);
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let settings = Given::nothing().load().unwrap();
    assert_eq!(format!("{settings:#?}"), format!("{:#?}", Settings::default()));
    assert_eq!(settings.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.http.allow.len(), 2);
    assert_eq!(settings.redis.key_prefix(), "cti_gateway@");
    assert_eq!(settings.redis.timeout, Duration::from_millis(300));
    assert_eq!(settings.status.list_max, 100_000);
    assert_eq!(settings.reconcile.mode, ReconcileMode::Apply);
    assert_eq!(settings.log.format, LogFormat::Auto);
}

#[test]
fn the_file_is_found_in_order_and_a_named_one_must_exist() {
    let mut given = Given::nothing();
    let (first, second) = (
        given.folder.path().join("first.toml"),
        given.write("second.toml", "data_dir = '/second'"),
    );
    given.sources.search = vec![first.clone(), second];
    assert_eq!(given.load().unwrap().data_dir, Path::new("/second"));
    given.write("first.toml", "data_dir = '/first'");
    assert_eq!(given.load().unwrap().data_dir, Path::new("/first"));

    let by_variable = given.write("third.toml", "data_dir = '/third'");
    let mut given = given.variable("TRUNKD_CONFIG", by_variable.to_str().unwrap());
    assert_eq!(given.load().unwrap().data_dir, Path::new("/third"));

    given.sources.config = Some(PathBuf::from("/nowhere/trunkd.toml"));
    assert_says(
        &given.error(),
        &["can't read the settings file /nowhere/trunkd.toml", "No such file"],
    );
}

#[test]
fn the_data_folder_is_systemds_unless_set() {
    let given = Given::nothing().variable("STATE_DIRECTORY", "/var/lib/trunkd:/var/lib/other");
    assert_eq!(given.load().unwrap().data_dir, Path::new("/var/lib/trunkd"));
    let given = Given::file("data_dir = '/srv/trunkd'").variable("STATE_DIRECTORY", "/var/lib/trunkd");
    assert_eq!(given.load().unwrap().data_dir, Path::new("/srv/trunkd"));
}

/// Every key that holds a path, with a relative one.
const RELATIVE_PATHS: &str = "data_dir = 'rel/data'
[http]
credentials_file = 'rel/credentials'
tls = { cert = 'rel/cert', key = 'rel/key', client_ca = 'rel/client-ca' }
[redis]
url = 'rediss://127.0.0.1'
password_file = 'rel/redis'
tls = { ca = 'rel/ca', cert = 'rel/redis-cert', key = 'rel/redis-key' }
sentinel = { master = 'm', nodes = ['127.0.0.1:26379'], password_file = 'rel/sentinel' }
[templates]
dir = 'rel/templates'
[[switch]]
name = 'fs1'
address = '127.0.0.1:8021'
password_file = 'rel/switch'
[[webhook]]
url = 'https://alerts.example.net'
secret_file = 'rel/webhook'
ca = 'rel/webhook-ca'
";

#[test]
fn relative_paths_in_the_file_start_at_its_folder() {
    let given = Given::file(RELATIVE_PATHS);
    std::fs::create_dir(given.folder.path().join("rel")).unwrap();
    for name in ["redis", "sentinel", "switch", "webhook"] {
        given.write(&format!("rel/{name}"), "secret");
    }
    given.write("rel/credentials", "user:secret");
    let settings = given.load().unwrap();
    assert_eq!(settings.data_dir, given.folder.path().join("rel/data"));
    assert_eq!(settings.templates.dir, given.folder.path().join("rel/templates"));
    assert_eq!(settings.http.credentials.len(), 1);
    assert_eq!(
        settings.switches[0].password_file,
        Some(given.folder.path().join("rel/switch"))
    );
    let all = format!("{settings:#?}");
    let paths = all.matches("rel/").count();
    assert_eq!(paths, RELATIVE_PATHS.matches("rel/").count());
    let folder = format!("\"{}/rel/", given.folder.path().display());
    assert_eq!(all.matches(&folder).count(), paths, "{all}");
}

#[test]
fn relative_paths_of_flags_and_variables_start_at_the_working_directory() {
    let given = Given::file("data_dir = 'a'\n[templates]\ndir = 'b'").variable("TRUNKD_DATA_DIR", "rel/data");
    let flags = Flags::new().set("--templates", "templates.dir", Some("rel/templates".to_owned()));
    let settings = given.load_with(flags).unwrap();
    assert_eq!(settings.data_dir, Path::new("rel/data"));
    assert_eq!(settings.templates.dir, Path::new("rel/templates"));
}

#[test]
fn the_default_folders_are_beside_the_settings_file() {
    let settings = Given::file("").load().unwrap();
    let folder = settings.config_file.as_ref().unwrap().parent().unwrap();
    assert_eq!(settings.data_dir, folder.join("data"));
    assert_eq!(settings.templates.dir, folder.join("templates"));

    let mut nowhere = Given::nothing();
    nowhere.sources.config = Some("/dev/null".into());
    let settings = nowhere.load().unwrap();
    assert_eq!(settings.data_dir, Path::new("data"));
    assert_eq!(settings.templates.dir, Path::new("templates"));
}

#[test]
fn an_empty_folder_in_the_file_is_still_refused() {
    for (toml, key) in [
        ("data_dir = ''", "`data_dir`"),
        ("[templates]\ndir = ''", "`templates.dir`"),
    ] {
        assert_says(&Given::file(toml).error(), &[key, "it is empty"]);
    }
}

#[test]
fn every_kind_of_value_can_come_from_a_variable_as_bare_text() {
    let settings = Given::nothing()
        .variable("TRUNKD_DATA_DIR", "/srv/trunkd")
        .variable("TRUNKD_HTTP__LISTEN", "[::1]:8080")
        .variable("TRUNKD_HTTP__CREDENTIALS", "fs1:12,34:5")
        .variable("TRUNKD_HTTP__ALLOW", "10.1.2.3/8, 192.0.2.7,2001:db8::/32")
        .variable("TRUNKD_HTTP__MAX_BODY", "1MiB")
        .variable("TRUNKD_HTTP__TLS__CERT", "cert.pem")
        .variable("TRUNKD_HTTP__TLS__KEY", "key.pem")
        .variable("TRUNKD_REDIS__EMBEDDED", "true")
        .variable("TRUNKD_REDIS__PASSWORD", "007")
        .variable("TRUNKD_REDIS__DOMAINS", "default,tenant-a")
        .variable("TRUNKD_RECONCILE__MAX_REMOVALS", "12")
        .variable("TRUNKD_RECONCILE__MODE", "observe")
        .variable("TRUNKD_SWITCH", r#"[{name="fs1", address="127.0.0.1:8021", password="1234"}, {name="fs2", address="fs2:8021", password="[x"}]"#)
        .variable("TRUNKD_LOG__FORMAT", "json")
        .load()
        .unwrap();
    assert_eq!(settings.http.credentials[0].user, "fs1");
    assert_eq!(settings.http.credentials[0].password.expose_secret(), "12,34:5");
    let allow: Vec<String> = settings.http.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allow, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
    assert_eq!(settings.http.max_body, 1 << 20);
    assert_eq!(settings.http.tls.as_ref().unwrap().key, Path::new("key.pem"));
    assert!(settings.redis.embedded && settings.http.is_loopback());
    assert_eq!(
        settings.redis.password.as_ref().unwrap().expose_secret(),
        "007",
        "a password is no number"
    );
    assert_eq!(settings.redis.domains, ["default", "tenant-a"]);
    assert_eq!(settings.reconcile.max_removals, Some(12));
    assert_eq!(settings.reconcile.mode, ReconcileMode::Observe);
    assert_eq!(settings.switches[1].address.to_string(), "fs2:8021");
    assert_eq!(settings.switches[1].password.expose_secret(), "[x");
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn a_password_of_brackets_is_taken_as_it_stands_and_a_list_of_pairs_is_read() {
    let settings = Given::nothing()
        .variable("TRUNKD_REDIS__PASSWORD", "[not a list")
        .variable("TRUNKD_HTTP__CREDENTIALS", r#"["fs1:a", "fs2:b"]"#)
        .load()
        .unwrap();
    assert_eq!(settings.redis.password.unwrap().expose_secret(), "[not a list");
    assert_eq!(settings.http.credentials.len(), 2);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let given = Given::file("[redis]\nurl = 'redis://from-the-file'").variable("TRUNKD_REDIS__URL", "");
    assert_eq!(given.load().unwrap().redis.shown_url(), "redis://from-the-file");
}

#[test]
fn variables_of_other_software_are_left_alone() {
    Given::nothing()
        .variable("TRUNKD_SERVICE_HOST", "10.96.0.12")
        .variable("TRUNKD_PORT_8080_TCP", "tcp://10.96.0.12:8080")
        .variable("TRUNKD_PORT", "tcp://10.96.0.12:8080")
        .variable("TRUNKD_CHAOS_SEED", "7")
        .variable("TRUNKDX", "1")
        .load()
        .unwrap();
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_likely_one() {
    let error = Given::file("[http]\nlisten = '127.0.0.1:1'\nmax_conections = 9").error();
    assert_says(
        &error,
        &[
            "unknown key `http.max_conections`",
            "/trunkd.toml)",
            "did you mean `http.max_connections`?",
        ],
    );

    let error = Given::nothing().variable("TRUNKD_REDIS_URL", SECRET).error();
    assert_says(
        &error,
        &[
            "environment variable TRUNKD_REDIS_URL",
            "did you mean `TRUNKD_REDIS__URL`?",
        ],
    );

    let error = Given::nothing().variable("TRUNKD_REDIS__COLOUR", "blue").error();
    assert_says(
        &error,
        &[
            "unknown key `redis.colour`",
            "TRUNKD_REDIS__COLOUR",
            "the keys here are url, username,",
        ],
    );

    let switch = "[[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword = 'x'\n";
    let error = Given::file(&format!("{switch}{switch}pasword = '{SECRET}'")).error();
    assert_says(
        &error,
        &["unknown key `switch[2].pasword`", "did you mean `switch.password`?"],
    );

    let flags = Flags::new().set("--colour", "log.color", Some("blue"));
    let error = Given::nothing().load_with(flags).unwrap_err();
    assert_says(&shown(&error), &["unknown key `log.color` (from the flag --colour)"]);
}

#[test]
fn a_wrong_value_is_named_with_its_place_and_what_to_write() {
    for (text, parts) in [
        (
            "[redis]\ntimeout = 300",
            &["`redis.timeout` (in /", "trunkd.toml", "`300`", "300ms"][..],
        ),
        ("[redis]\ntimeout = '0s'", &["`redis.timeout`", "above 0"]),
        (
            "[http]\nallow = ['10.0.0.0/8', '10.0.0.0/33']",
            &["`http.allow[2]`", "`10.0.0.0/33`", "10.0.0.0/8"],
        ),
        (
            "[http]\nlisten = 'localhost:8080'",
            &["`http.listen`", "`localhost:8080`", "127.0.0.1:8080"],
        ),
        ("[http]\nlisten = 8080", &["`http.listen`", "`8080`", "127.0.0.1:8080"]),
        (
            "[http]\nallow_open = 'yes'",
            &["`http.allow_open`", "neither true nor false"],
        ),
        ("[http]\nworkers = 0", &["`http.workers`", "0 would answer nobody"]),
        ("[http]\nmax_body = 12", &["`http.max_body`", "1KiB"]),
        (
            "[http]\ntls = { cert = 'a' }",
            &["`http.tls.key` is missing", "/trunkd.toml"],
        ),
        ("[log]\nformat = 'xml'", &["`log.format`", "auto, human, json"]),
        ("[reconcile]\nmode = 'on'", &["`reconcile.mode`", "apply, observe, off"]),
        (
            "[reconcile]\nremovals_window = '0s'",
            &["`reconcile.removals_window`", "10m"],
        ),
        (
            "[reconcile]\nresync_interval = '10ms'",
            &["`reconcile.resync_interval`", "60s"],
        ),
        (
            "[placement]\nfailover_after = '1s'",
            &["`placement.failover_after`", "\"2s\"", "6s"],
        ),
        (
            "[[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword = 'p'\nweight = 0",
            &["`switch.weight`", "\"fs1\"", "1 or more"],
        ),
        (
            "[[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword = 'p'\nsip = 'fs1'",
            &["`switch[1].sip`", "`fs1`"],
        ),
        ("data_dir = 7", &["`data_dir`", "a number, expected text, in quotes"]),
        ("http = 7", &["`http`", "a number, expected a table of keys"]),
        ("[switch]\nname = 'fs1'", &["`switch`", "[[switch]], with two brackets"]),
        (
            "[[switch]]\naddress = 'fs1:8021'",
            &["`switch[1].name` is missing", "each [[switch]] needs one"],
        ),
        (
            "[[switch]]\nname = 'fs1'\naddress = 'fs1'",
            &["`switch[1].address`", "fs1.example.net:8021"],
        ),
        (
            "[[switch]]\nname = 'fs1'\naddress = 'fs1:8021'",
            &["switch \"fs1\": password", "ClueCon", "password_file"],
        ),
        (
            "[[switch]]\nname = 'f s'\naddress = 'fs1:8021'\npassword = 'x'",
            &["fs1:8021", "switchname"],
        ),
        (
            "[redis]\ngateway_keys = '*'",
            &["`redis.gateway_keys`", "cti_gateway@*"],
        ),
        (
            "[redis]\nurl = 'redis-cluster://a'",
            &["`redis.url`", "Redis Cluster is not supported"],
        ),
        ("[status]\nhash = ''", &["`status.hash`", "gateways"]),
        ("[status]\nlist = 'gateways'", &["`status.list`", "choose another name"]),
        (
            "[status]\nhash = 'cti_gateway@x'",
            &["`status.hash`", "redis.gateway_keys"],
        ),
        (
            "[redis]\ngateway_keys = 't*'",
            &["`redis.gateway_keys`", "`trunkd:`", "cti_gateway@*"],
        ),
        (
            "[redis]\ngateway_keys = 'trunkd:*'",
            &["`redis.gateway_keys`", "`trunkd:`"],
        ),
        (
            "[redis]\ngateway_keys = 'trunkd*'\ndomains = ['x']",
            &["`redis.gateway_keys`", "`trunkd:`"],
        ),
        ("[status]\nhash = 'trunkd:key'", &["`status.hash`", "`trunkd:`"]),
        ("[status]\nlist = 'trunkd:forms'", &["`status.list`", "`trunkd:`"]),
        ("[status]\nchannel = 'trunkd:x'", &["`status.channel`", "`trunkd:`"]),
        (
            "[status]\nchannel = '__redis__:invalidate'",
            &["`status.channel`", "Redis itself"],
        ),
    ] {
        assert_says(&Given::file(text).error(), parts);
    }
}

#[test]
fn webhooks_are_refused_with_what_to_write() {
    let webhook = |more: &str| format!("[[webhook]]\nurl = 'https://h.example/x'\n{more}\n");
    for (text, parts) in [
        (
            webhook("events = ['outage', 'recoverd']"),
            &["`webhook[1].events[2]`", "`recoverd`", "did you mean \"recovered\"?"][..],
        ),
        (
            webhook("events = ['everything']"),
            &["`everything`", "the events are outage, recovered, hold"],
        ),
        (
            webhook("events = []"),
            &["`webhook.events`", "https://h.example would never"],
        ),
        (webhook("name = 'a b'"), &["`webhook.name`", "letters, digits"]),
        (webhook("domains = ['']"), &["`webhook.domains`", "is empty"]),
        (
            webhook("") + &webhook(""),
            &["same URL at https://h.example", "`name` of its own"],
        ),
        (
            webhook("name = 'x'") + "[[webhook]]\nname = 'x'\nurl = 'https://i.example'",
            &["named \"x\"", "https://h.example", "https://i.example"],
        ),
        (webhook("secret_file = '/nowhere/x'"), &["secret_file", "/nowhere/x"]),
        (
            webhook("secret = 'x'\nsecret_file = '/nowhere/x'"),
            &["secret", "`secret_file` too", "keep one"],
        ),
        (
            webhook("event = 'outage'"),
            &["`webhook[1].event`", "`webhook.events`?"],
        ),
        (
            "[[webhook]]\nname = 'x'".to_owned(),
            &["`webhook[1].url` is missing", "each [[webhook]] needs one"],
        ),
        (
            "[webhook]\nurl = 'https://h'".to_owned(),
            &["[[webhook]], with two brackets"],
        ),
        (
            "[[webhook]]\nurl = 'h.example/x'".to_owned(),
            &["`webhook[1].url`", "https://alerts.example.net"],
        ),
        (
            "[[webhook]]\nurl = 'ftp://h/x'".to_owned(),
            &["`webhook[1].url`", "http or https"],
        ),
        (
            "[[webhook]]\nurl = 'https://u:p@h/x'".to_owned(),
            &["`webhook[1].url`", "user or password", "`secret`"],
        ),
        (
            "[[webhook]]\nurl = 'http://h'\nca = 'x'".to_owned(),
            &["`webhook.ca`", "https://"],
        ),
    ] {
        assert_says(&Given::file(&text).error(), parts);
    }
}

#[test]
fn carriers_are_refused_with_what_to_write() {
    let carrier = |more: &str| format!("[[carrier]]\nname = 'sip.example.net'\n{more}\n");
    for (file, says) in [
        (
            carrier("registers_per_second = 0"),
            &["`carrier.registers_per_second`", "1 or more"][..],
        ),
        (
            carrier("registers_in_flight = 0"),
            &["`carrier.registers_in_flight`", "1 or more"],
        ),
        (carrier("jitter = '60%'"), &["`carrier[1].jitter`", "from 0 to 50 %"]),
        (carrier("match = ['*']"), &["`carrier[1].match[1]`", "*.example.net"]),
        (
            carrier("") + &carrier(""),
            &["`carrier.name`", "two carriers are named \"sip.example.net\""],
        ),
        (
            carrier("match = ['a.test']") + "[[carrier]]\nname = 'b'\nmatch = ['A.test']",
            &["`carrier.match`", "\"a.test\" belongs to two carriers"],
        ),
        (
            "[[carrier]]\nname = ' '".to_owned(),
            &["`carrier.name`", "sip.example.net"],
        ),
        ("[carrier]\nname = 'b'".to_owned(), &["[[carrier]], with two brackets"]),
        (carrier("pace = 5"), &["`carrier[1].pace`"]),
    ] {
        assert_says(&Given::file(&file).error(), says);
    }
}

#[test]
fn a_carrier_has_defaults_and_can_be_set_in_the_environment() {
    let given = Given::nothing().variable("TRUNKD_CARRIER", r#"[{name="b.test", match="a.test, *.b.test"}]"#);
    let settings = given.load().unwrap();
    let [carrier] = &settings.carriers[..] else {
        panic!("{:?}", settings.carriers)
    };
    assert_eq!(carrier.hosts.len(), 2);
    assert_eq!(
        (carrier.registers_per_second, carrier.registers_in_flight),
        (None, None)
    );
    assert!(carrier.pace_boot);
    assert_eq!(carrier.jitter.get(), 0);
}

#[test]
fn a_webhook_has_defaults_and_a_name_of_its_url_that_stays() {
    let url = "https://hooks.example.net/services/s3cret";
    let variable = format!("[{{url=\"{url}\"}}, {{name=\"a\", url=\"{url}\", events=\"edit,hold\", domains=\"a,b\"}}]");
    let settings = Given::nothing().variable("TRUNKD_WEBHOOK", &variable).load().unwrap();
    let [unnamed, named] = &settings.webhooks[..] else {
        panic!("two: {settings:?}")
    };
    let events =
        |webhook: &WebhookSettings| -> Vec<&str> { webhook.events.iter().map(|event| event.as_str()).collect() };
    assert_eq!(
        events(unnamed),
        ["outage", "recovered", "hold", "switch_lost", "rolled_back"]
    );
    assert_eq!(unnamed.name, "2b69b280", "its place in Redis has this name");
    assert_eq!((named.name.as_str(), events(named)), ("a", vec!["edit", "hold"]));
    assert_eq!(named.domains, ["a", "b"]);
    assert_eq!(unnamed.url.full().as_str(), url);
    assert_eq!(unnamed.url.to_string(), "https://hooks.example.net");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn a_webhook_can_be_told_every_kind_of_entry() {
    let events: Vec<_> = WebhookEvent::ALL.map(WebhookEvent::as_str).into();
    for kind in Kind::ALL.map(Kind::as_str) {
        assert!(
            events.contains(&kind),
            "add {kind} to WebhookEvent::ALL and docs/webhooks.md"
        );
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/webhooks.md")).unwrap();
    for event in events {
        assert!(
            page.contains(&format!("`{event}`")),
            "{event} is not in docs/webhooks.md"
        );
    }
}

#[test]
fn hooks_are_allowed_all_or_by_name_and_not_by_default() {
    let allowed = |given: &Given| given.load().unwrap().gateways.allow_hooks;
    let names = |names: &[&str]| AllowHooks::Names(names.iter().map(|name| (*name).to_owned()).collect());
    let file = |value: &str| Given::file(&format!("[gateways]\nallow_hooks = {value}\n"));
    let variable = |value: &str| Given::nothing().variable("TRUNKD_GATEWAYS__ALLOW_HOOKS", value);
    assert_eq!(allowed(&Given::nothing()), AllowHooks::No);
    assert_eq!(allowed(&file("false")), AllowHooks::No);
    assert_eq!(allowed(&file("true")), AllowHooks::Yes);
    assert_eq!(allowed(&file(r#"["API_hangup_hook"]"#)), names(&["api_hangup_hook"]));
    assert_eq!(allowed(&file(r#""api_hangup_hook""#)), names(&["api_hangup_hook"]));
    assert_eq!(allowed(&file("[]")), names(&[]));
    assert_eq!(allowed(&variable("true")), AllowHooks::Yes);
    assert_eq!(allowed(&variable("false")), AllowHooks::No);
    assert_eq!(
        allowed(&variable("api_hangup_hook, exec")),
        names(&["api_hangup_hook", "exec"])
    );
    assert_eq!(allowed(&variable(r#"["a", "b"]"#)), names(&["a", "b"]));
    for wrong in ["1", "[1]", r#"[""]"#, r#""a b""#, r#"["a*"]"#, "{}"] {
        let error = file(wrong).error();
        assert_says(&error, &["`gateways.allow_hooks`"]);
    }
}

#[test]
fn no_pattern_of_gateway_keys_matches_a_key_of_trunkds_own() {
    use trunkd::settings::OWN_KEYS;
    let load = |prefix: &str| Given::file(&format!("[redis]\ngateway_keys = '{prefix}*'")).load();
    let own = format!("{OWN_KEYS}status:fs1");
    for end in 1..=own.len() {
        let error = load(&own[..end]).expect_err("it would read keys of trunkd's own");
        assert_says(&shown(&error), &["`redis.gateway_keys`", "trunkd's own"]);
    }
    for other in ["trunk", "trunkd", "trunkd:"].map(|begin| format!("{begin}-gateways@")) {
        assert_eq!(load(&other).is_ok(), !other.starts_with(OWN_KEYS), "{other}");
    }
}

#[test]
fn text_that_is_no_toml_is_named_by_line_without_being_shown() {
    let error = Given::file(&format!("[redis]\nembedded = true\npassword = \"{SECRET}\n")).error();
    assert_says(&error, &["/trunkd.toml, line 3, column ", "invalid TOML"]);
    let error = Given::file(&format!("[redis]\npassword = {SECRET}\n")).error();
    assert_says(&error, &["/trunkd.toml, line 2, column 12", "invalid TOML"]);
    let error = Given::nothing()
        .variable("TRUNKD_SWITCH", &format!("[{{password={SECRET}"))
        .error();
    assert_says(&error, &["`switch`", "TRUNKD_SWITCH", "TOML"]);
}

#[test]
fn two_switches_with_one_name_or_one_address_are_both_named() {
    let switch = |name, address| format!("[[switch]]\nname = '{name}'\naddress = '{address}'\npassword = 'x'\n");
    let error = Given::file(&(switch("fs1", "10.0.0.1:8021") + &switch("fs1", "10.0.0.2:8021"))).error();
    assert_says(&error, &["named \"fs1\"", "10.0.0.1:8021", "10.0.0.2:8021"]);
    let error = Given::file(&(switch("fs1", "FS.example.net:8021") + &switch("fs2", "fs.example.net:8021"))).error();
    assert_says(&error, &["\"fs1\"", "\"fs2\"", "the same address, fs.example.net:8021"]);
}

#[test]
fn secrets_can_stand_in_files_and_lose_their_line_break() {
    let given = Given::nothing();
    let redis = given.write("redis", "p w\n");
    let switch = given.write("switch", "clue\r\n");
    let pairs = given.write("pairs", "# the fleet\nfs1:a\n\nfs2:b:c \n");
    let file = given.write(
        "trunkd.toml",
        &format!(
            "[http]\ncredentials_file = {pairs:?}\n[redis]\npassword_file = {redis:?}\n\
             [[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword_file = {switch:?}"
        ),
    );
    let settings = Settings::load_from(
        &Sources {
            config: Some(file),
            ..Sources::default()
        },
        Flags::new(),
    )
    .unwrap();
    assert_eq!(settings.redis.password.unwrap().expose_secret(), "p w");
    assert_eq!(settings.switches[0].password.expose_secret(), "clue");
    assert_eq!(settings.http.credentials[1].user, "fs2");
    assert_eq!(settings.http.credentials[1].password.expose_secret(), "b:c ");
}

#[test]
fn a_secret_file_that_cant_be_used_is_named() {
    let error = Given::file("[redis]\npassword_file = '/nowhere/redis'").error();
    assert_says(
        &error,
        &[
            "`redis.password_file` (in /",
            "can't read /nowhere/redis",
            "No such file",
        ],
    );

    let given = Given::nothing();
    let empty = given.write("empty", "\n");
    let given = given.variable("TRUNKD_REDIS__PASSWORD_FILE", empty.to_str().unwrap());
    assert_says(&given.error(), &["TRUNKD_REDIS__PASSWORD_FILE", "/empty is empty"]);

    let given = Given::nothing();
    let pairs = given.write("pairs", &format!("fs1:a\n{SECRET}\n"));
    let given = given.variable("TRUNKD_HTTP__CREDENTIALS_FILE", pairs.to_str().unwrap());
    assert_says(&given.error(), &["/pairs: line 2", "user:password"]);

    let given = Given::nothing();
    let none = given.write("none", "# nobody yet\n");
    let given = given.variable("TRUNKD_HTTP__CREDENTIALS_FILE", none.to_str().unwrap());
    assert_says(&given.error(), &["/none", "no `user:password` line"]);
}

#[test]
fn a_secret_given_twice_is_refused_with_both_places() {
    let given = Given::nothing();
    let secret = given.write("secret", SECRET);
    let file = |text: &str| Given::file(&text.replace("FILE", secret.to_str().unwrap()).replace("SECRET", SECRET));

    let given = file("[redis]\npassword = 'SECRET'").variable("TRUNKD_REDIS__PASSWORD_FILE", secret.to_str().unwrap());
    assert_says(
        &given.error(),
        &[
            "`redis.password` (in /",
            "`redis.password_file` (from",
            "TRUNKD_REDIS__PASSWORD_FILE",
        ],
    );
    let given = file("[http]\ncredentials = ['fs1:SECRET']\ncredentials_file = 'FILE'");
    assert_says(
        &given.error(),
        &["`http.credentials`", "`http.credentials_file`", "keep one"],
    );
    let given = file("[[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword = 'SECRET'\npassword_file = 'FILE'");
    assert_says(
        &given.error(),
        &["switch \"fs1\": password", "`password_file`", "keep one"],
    );
    let given = file("[redis]\nurl = 'redis://u:SECRET@redis'\npassword_file = 'FILE'");
    assert_says(
        &given.error(),
        &["`redis.password_file`", "`redis.url` has a password too"],
    );
}

#[test]
fn no_secret_shows_in_debug_nor_in_any_error() {
    let text = format!(
        "[http]\ncredentials = ['fs1:{SECRET}']\n[redis]\nurl = 'redis://trunkd:{SECRET}@redis'\n\
         [[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword = '{SECRET}'"
    );
    let settings = Given::file(&text).load().unwrap();
    assert!(!format!("{settings:?}{settings:#?}").contains(SECRET));
    assert_eq!(settings.redis.shown_url(), "redis://trunkd:***@redis");
    let settings = Given::nothing()
        .variable("TRUNKD_REDIS__PASSWORD", SECRET)
        .load()
        .unwrap();
    assert!(!format!("{settings:?}").contains(SECRET));

    // Each secret in each wrong shape: `error` itself checks that the secret doesn't show.
    for text in [
        "[http]\ncredentials = ['SECRET']",
        "[http]\ncredentials = ['fs1:x', ':SECRET']",
        "[http]\ncredentials = [['SECRET']]",
        "[http]\ncredentials = { SECRET = 1 }",
        "[redis]\nurl = 'SECRET'",
        "[redis]\nurl = 'http://u:SECRET@redis'",
        "[redis]\nurl = ['SECRET']",
        "[redis]\npassword = ['SECRET']",
        "[redis]\npassword = { file = 'SECRET' }",
        "[[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword = ['SECRET']",
        "[[switch]]\nname = 'fs1'\naddress = 'fs1:8021'\npassword = \"SECRET\\n\"",
        "[[webhook]]\nurl = 'SECRET'",
        "[[webhook]]\nurl = 'https://u:SECRET@h'",
        "[[webhook]]\nurl = 'https://SECRET@h'",
        "[[webhook]]\nurl = 'ftp://h/SECRET'",
        "[[webhook]]\nurl = 'https://h/SECRET#x'",
        "[[webhook]]\nurl = ['SECRET']",
        "[[webhook]]\nurl = 'https://h/SECRET'\nevents = []",
        "[[webhook]]\nurl = 'https://h/SECRET'\n[[webhook]]\nurl = 'https://h/SECRET'",
        "[[webhook]]\nurl = 'https://h'\nsecret = ['SECRET']",
    ] {
        Given::file(&text.replace("SECRET", SECRET)).error();
    }
    let error = Given::file("[redis]\npassword = 90210").error();
    assert!(
        error.contains("`redis.password`") && error.contains("in quotes") && !error.contains("90210"),
        "{error}"
    );
}

#[test]
fn either_a_redis_url_or_the_embedded_one_is_needed_and_never_both() {
    let error = Given::nothing().load().unwrap().validate_for_serve().unwrap_err();
    assert_says(
        &shown(&error),
        &[
            "redis.url",
            "TRUNKD_REDIS__URL",
            "embedded = true",
            "TRUNKD_REDIS__EMBEDDED",
        ],
    );

    let url = format!("redis://:{SECRET}@redis");
    let given = Given::nothing().variable("TRUNKD_REDIS__URL", &url);
    given.load().unwrap().validate_for_serve().unwrap();
    let both = given
        .load_with(Flags::new().set("--embedded", "redis.embedded", Some(true)))
        .unwrap();
    assert_says(
        &shown(&both.validate_store().unwrap_err()),
        &["redis.embedded", "redis://:***@redis"],
    );
}

#[test]
fn sentinel_takes_the_place_of_the_url_and_of_the_embedded_redis() {
    let sentinel = "sentinel = { master = 'm', nodes = ['10.0.0.1:26379', '10.0.0.2:26379'] }";
    let given = Given::file(&format!("[redis]\n{sentinel}"));
    let settings = given.load().unwrap();
    settings.validate_for_serve().unwrap();
    assert_eq!(
        settings.redis.shown_url(),
        "m by Sentinel at 10.0.0.1:26379, 10.0.0.2:26379"
    );
    for (other, name) in [
        (format!("url = 'redis://:{SECRET}@redis'"), "`redis.url`"),
        ("embedded = true".to_owned(), "`redis.embedded = true`"),
    ] {
        let both = Given::file(&format!("[redis]\n{other}\n{sentinel}")).load().unwrap();
        assert_says(
            &shown(&both.validate_store().unwrap_err()),
            &[name, "`redis.sentinel`", "10.0.0.2:26379", "TRUNKD_REDIS__SENTINEL__"],
        );
    }
}

#[test]
fn sentinel_can_be_set_by_variables_and_its_secret_by_a_file() {
    let given = Given::nothing();
    let file = given.write("secret", &format!("{SECRET}\n"));
    let given = given
        .variable("TRUNKD_REDIS__SENTINEL__MASTER", "m")
        .variable("TRUNKD_REDIS__SENTINEL__NODES", "10.0.0.1:26379, [::1]:26379")
        .variable("TRUNKD_REDIS__SENTINEL__USERNAME", "u")
        .variable("TRUNKD_REDIS__SENTINEL__PASSWORD_FILE", file.to_str().unwrap())
        .variable("TRUNKD_REDIS__SENTINEL__TLS", "true")
        .variable("TRUNKD_REDIS__SENTINEL__DATABASE", "3")
        .variable("TRUNKD_REDIS__TLS__CA", "/etc/ca.pem");
    let settings = given.load().unwrap();
    settings.validate_store().unwrap();
    assert!(!format!("{settings:?}").contains(SECRET));
    assert_eq!(
        settings.redis.tls.unwrap().ca.as_deref(),
        Some(Path::new("/etc/ca.pem"))
    );
    let sentinel = settings.redis.sentinel.unwrap();
    let nodes: Vec<_> = sentinel.nodes.iter().map(ToString::to_string).collect();
    assert_eq!(nodes, ["10.0.0.1:26379", "[::1]:26379"]);
    assert_eq!((sentinel.tls, sentinel.database), (true, 3));
    assert_eq!(sentinel.password.unwrap().expose_secret(), SECRET);

    let twice = given.variable("TRUNKD_REDIS__SENTINEL__PASSWORD", SECRET);
    assert_says(
        &twice.error(),
        &["redis.sentinel.password", "redis.sentinel.password_file"],
    );
}

#[test]
fn what_cannot_be_meant_of_sentinel_and_of_certificates_is_refused() {
    for (redis, says) in [
        ("sentinel = { master = '', nodes = ['h:1'] }", "redis.sentinel.master"),
        ("sentinel = { master = 'm', nodes = [] }", "redis.sentinel.nodes"),
        ("sentinel = { master = 'm', nodes = ['h'] }", "not a host with a port"),
        ("sentinel = { nodes = ['h:1'] }", "redis.sentinel.master"),
        (
            "sentinel = { master = 'm', nodes = ['h:1'], db = 1 }",
            "the keys here are",
        ),
        ("url = 'rediss://h'\ntls = { cert = 'f' }", "`cert` and `key`"),
    ] {
        assert_says(&Given::file(&format!("[redis]\n{redis}")).error(), &[says]);
    }
    for (redis, says) in [
        ("url = 'redis://h'", "rediss://"),
        ("sentinel = { master = 'm', nodes = ['h:1'] }", "`tls = true`"),
        ("embedded = true", "embedded Redis"),
    ] {
        let given = Given::file(&format!("[redis]\n{redis}\ntls = {{ ca = 'f' }}"));
        let error = given.load().unwrap().validate_store().unwrap_err();
        assert_says(&shown(&error), &["`redis.tls`", says]);
    }
}

#[test]
fn beyond_loopback_something_must_guard_the_passwords() {
    let serve = |http: &str| {
        let settings = Given::file(&format!("[redis]\nembedded = true\n[http]\n{http}"))
            .load()
            .unwrap();
        settings.validate_for_serve().map(|()| settings)
    };
    for open in ["0.0.0.0:8080", "[::]:8080", "192.0.2.7:8080", "[::ffff:192.0.2.7]:8080"] {
        let error = serve(&format!("listen = '{open}'")).unwrap_err();
        assert_says(
            &shown(&error),
            &["http.credentials", "client_ca", "127.0.0.1", "allow_open"],
        );
        // A server's certificate alone asks nobody who they are.
        serve(&format!("listen = '{open}'\ntls = {{ cert = 'c', key = 'k' }}")).unwrap_err();

        serve(&format!("listen = '{open}'\nallow_open = true")).unwrap();
        serve(&format!("listen = '{open}'\ncredentials = ['fs1:x']")).unwrap();
        serve(&format!(
            "listen = '{open}'\ntls = {{ cert = 'c', key = 'k', client_ca = 'a' }}"
        ))
        .unwrap();
    }
    for closed in [
        "127.0.0.1:8080",
        "127.8.8.8:8080",
        "[::1]:8080",
        "[::ffff:127.0.0.1]:8080",
    ] {
        assert_eq!(serve(&format!("listen = '{closed}'")).unwrap().http.allow.len(), 2);
    }
}

#[test]
fn the_allow_list_follows_the_address_unless_it_is_set() {
    let load = |http: &str| {
        Given::file(&format!("[http]\ncredentials = ['fs1:x']\n{http}"))
            .load()
            .unwrap()
    };
    let open = load("listen = '0.0.0.0:8080'");
    assert!(open.http.allow.is_empty(), "everybody");
    assert_says(
        &open.warnings().join("\n"),
        &["without TLS", "http.allow", "no [[switch]]"],
    );
    assert_eq!(
        load("listen = '0.0.0.0:8080'\nallow = ['10.0.0.0/8']").http.allow.len(),
        1
    );
    assert!(load("allow = []").http.allow.is_empty());
    assert_eq!(load("").warnings().len(), 1, "only that there is no switch");
    let unguarded = Given::file("[http]\nlisten = '0.0.0.0:8080'\nallow_open = true")
        .load()
        .unwrap();
    assert_says(
        &unguarded.warnings()[0],
        &["http.allow_open", "password of every gateway"],
    );
    let refused = Given::file("[http]\nlisten = '0.0.0.0:8080'").load().unwrap();
    assert!(refused.validate_for_serve().is_err());
    assert!(!refused.warnings().iter().any(|warning| warning.contains("allow_open")));
}

#[test]
fn an_origin_can_be_matched_on() {
    let error = Given::nothing()
        .variable("TRUNKD_LOG__LEVLE", "info")
        .load()
        .unwrap_err();
    match error {
        SettingsError::UnknownKey {
            key,
            origin,
            suggestion,
            known,
        } => {
            assert_eq!(key, "log.levle");
            assert_eq!(origin, Origin::Variable("TRUNKD_LOG__LEVLE".to_owned()));
            assert_eq!(suggestion.as_deref(), Some("TRUNKD_LOG__LEVEL"));
            assert_eq!(known, ["level", "format"]);
        }
        other => panic!("{other:?}"),
    }
}

/// A line `#key = …` or `#[[switch]]` of the example is a setting; one that begins `# ` is text.
fn uncommented(example: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    example.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn example() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("trunkd.example.toml")).unwrap()
}

#[test]
fn the_example_as_it_is_shipped_changes_nothing() {
    let settings = Given::file(&example()).load().unwrap();
    assert_eq!(format!("{settings:#?}"), format!("{:#?}", defaults_beside(&settings)));
}

/// The defaults as the settings file that was read has them: its folder is where theirs start.
fn defaults_beside(settings: &Settings) -> Settings {
    let folder = settings.config_file.as_ref().unwrap().parent().unwrap();
    let mut defaults = Settings::default();
    defaults.data_dir = folder.join(defaults.data_dir);
    defaults.templates.dir = folder.join(defaults.templates.dir);
    defaults.config_file.clone_from(&settings.config_file);
    defaults
}

#[test]
fn the_example_with_everything_uncommented_loads() {
    let whole = uncommented(&example());
    // Of each secret and its file one can be given.
    let without_files: String = whole
        .lines()
        .filter(|line| !line.contains("_file = "))
        .collect::<Vec<_>>()
        .join("\n");
    let without_files = format!("{without_files}\n").replace("10.0.0.12:8021\"", "10.0.0.12:8021\"\npassword = \"x\"");
    // `address` is given twice; only the second switch has lost its password with its file.
    let settings = Given::file(&without_files).load().unwrap();
    assert_eq!((settings.switches.len(), settings.webhooks.len()), (2, 2));
    assert_eq!(settings.http.credentials.len(), 2);
    assert!(settings.redis.sentinel.is_some() && settings.redis.tls.is_some() && settings.http.tls.is_some());

    let given = Given::nothing();
    let secret = given.write("secret", "user:password");
    let with_files: Vec<String> = whole
        .lines()
        .filter(|line| {
            !["credentials = ", "password = \"a-"]
                .iter()
                .any(|secret| line.starts_with(secret))
        })
        .map(|line| match line.split_once("_file = ") {
            Some((key, _)) => format!("{key}_file = {secret:?}"),
            None => line.to_owned(),
        })
        .collect();
    let settings = Given::file(&with_files.join("\n")).load().unwrap();
    assert_eq!(settings.redis.password.unwrap().expose_secret(), "user:password");
    assert_eq!(settings.switches[1].password.expose_secret(), "user:password");
}

#[test]
fn every_key_is_in_the_example_and_every_key_of_the_example_exists() {
    let mut table = String::new();
    let mut written = BTreeSet::new();
    for line in uncommented(&example()).lines() {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            let key = if table.is_empty() {
                key.to_owned()
            } else {
                format!("{table}.{key}")
            };
            match value.strip_prefix('{') {
                // Inline tables: the words before each `=` are keys.
                Some(inline) => {
                    let words: Vec<&str> = inline.split([' ', ',']).filter(|word| !word.is_empty()).collect();
                    let names = words
                        .windows(2)
                        .filter(|pair| pair[1] == "=")
                        .map(|pair| format!("{key}.{}", pair[0]));
                    written.extend(names);
                }
                None => {
                    written.insert(key);
                }
            }
        }
    }
    let keys: BTreeSet<String> = Settings::keys().into_iter().collect();
    assert!(keys.len() > 30, "{keys:?}");
    assert_eq!(written, keys);
}

/// The values that the example calls defaults are the defaults.
#[test]
fn a_value_of_the_example_that_is_not_called_an_example_is_the_default() {
    let mut defaults = Vec::new();
    let mut is_example = false;
    let text = example();
    for line in text.lines() {
        let is_setting = line.starts_with('#') && !line.starts_with("# ") && line.len() > 1;
        match line {
            _ if is_setting && !is_example => defaults.push(&line[1..]),
            _ if is_setting => {}
            _ if line.starts_with("# ") => is_example = line.ends_with("Example:"),
            _ if line.starts_with('[') || line.is_empty() => {
                is_example = is_example && line.is_empty();
                defaults.push(line);
            }
            _ => {}
        }
    }
    let settings = Given::file(&defaults.join("\n")).load().unwrap();
    assert_eq!(format!("{settings:#?}"), format!("{:#?}", defaults_beside(&settings)));
    assert!(defaults.len() > 30, "{defaults:#?}");
}
