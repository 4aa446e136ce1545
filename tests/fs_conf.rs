//! The files that operators copy to FreeSWITCH, held against what FreeSWITCH would make of them.

// The lint's own exception for tests stops at the functions that they share.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use quick_xml::events::{BytesStart, Event};

/// What mod_xml_curl and mod_event_socket read, by name (`do_config` in mod_xml_curl.c, `config` in mod_event_socket.c). Anything
/// else they pass over in silence, so that a misspelt one would never be noticed.
const KNOWN: [(&str, &[&str]); 3] = [
    (
        "xml_curl.conf.xml",
        &[
            "gateway-url",
            "gateway-credentials",
            "auth-scheme",
            "timeout",
            "enable-cacert-check",
            "enable-ssl-verifyhost",
            "ssl-cacert-file",
            "ssl-cert-path",
            "ssl-key-path",
            "response-max-bytes",
        ],
    ),
    (
        "event_socket.conf.xml",
        &["nat-map", "listen-ip", "listen-port", "password", "apply-inbound-acl"],
    ),
    ("pre_load_modules.conf.xml", &[]),
];

fn text_of(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fs-conf/autoload_configs");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    tag.try_get_attribute(name)
        .unwrap()
        .map(|found| found.value.into_owned())
}

/// The tags of a file: those in force, or those that stand in comments for the reader to uncomment.
fn params(text: &str) -> Vec<String> {
    let mut params = Vec::new();
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event().unwrap() {
            Event::Empty(tag) | Event::Start(tag) if tag.name().as_ref() == "param" => {
                assert!(attribute(&tag, "value").is_some(), "{tag:?}");
                params.push(attribute(&tag, "name").unwrap());
            }
            Event::Comment(comment) => {
                let inner = comment.to_string();
                if inner.trim_start().starts_with("<param") {
                    params.extend(self::params(&inner));
                }
            }
            Event::Eof => return params,
            _ => {}
        }
    }
}

#[test]
fn every_param_is_one_that_freeswitch_reads() {
    for (file, known) in KNOWN {
        let params = params(&text_of(file));
        assert_eq!(params.is_empty(), known.is_empty(), "{file}");
        for param in params {
            assert!(known.contains(&param.as_str()), "{param} in {file}");
        }
    }
}

/// FACT 8: the preprocessor sees every line, comments included.
#[test]
fn nothing_in_them_is_a_directive_to_freeswitchs_preprocessor() {
    for (file, _) in KNOWN {
        let text = text_of(file);
        for directive in ["$${", "<?", "<include>", "</include>", "x-pre-process", "<!--#"] {
            assert!(!text.to_ascii_lowercase().contains(directive), "{directive} in {file}");
        }
    }
}

#[test]
fn the_binding_has_a_time_limit_and_room_for_a_fleet() {
    let text = text_of("xml_curl.conf.xml");
    for needed in [
        r#"<param name="gateway-url" value="http://127.0.0.1:8080/xml_curl" bindings="configuration"/>"#,
        r#"<param name="timeout" value="3"/>"#,
        r#"<param name="response-max-bytes" value="67108864"/>"#,
    ] {
        let line = text.lines().find(|line| line.trim() == needed);
        assert!(line.is_some(), "{needed} is in force");
    }
}
