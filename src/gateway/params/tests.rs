use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use utoipa::PartialSchema as _;

use super::super::value_keys::KEYS;
use super::super::variables::VARIABLES;
use super::super::{Finding, Rules, Severity, parse};
use super::*;
use crate::gateway::ProfileName;

/// The text between two marks of docs/gateways.md.
fn of_page(mark: &str) -> &'static str {
    let page = include_str!("../../../docs/gateways.md");
    let (_, rest) = page
        .split_once(&format!("<!-- {mark} -->\n"))
        .expect("docs/gateways.md has the mark");
    rest.split_once("<!-- end -->")
        .expect("docs/gateways.md has the end mark")
        .0
}

/// The tables of params that docs/gateways.md must have.
fn params_in_markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let _ = writeln!(
            text,
            "\n**{}**\n\n| param | what it is for | default | advice |\n| --- | --- | --- | --- |",
            group.title().en
        );
        for spec in PARAMS.iter().filter(|spec| spec.group == group) {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                spec.name,
                spec.purpose.en,
                spec.default.in_language(Language::En),
                spec.advice.map_or("", |advice| advice.en)
            );
        }
    }
    text.push('\n');
    text
}

fn variables_in_markdown() -> String {
    let mut text = "\n| variable | what it is for | advice |\n| --- | --- | --- |\n".to_owned();
    for spec in VARIABLES {
        let _ = writeln!(text, "| `{}` | {} | {} |", spec.name, spec.purpose.en, spec.advice.en);
    }
    text.push('\n');
    text
}

fn keys_in_markdown() -> String {
    let mut text = "\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n".to_owned();
    for key in KEYS {
        let other = key.other_name.map(|other| format!(" (also `{other}`)"));
        let _ = writeln!(
            text,
            "| `{}`{} | {} | {} | {} |",
            key.name,
            other.unwrap_or_default(),
            key.kind.title().en,
            key.default.in_language(Language::En),
            key.purpose.en
        );
    }
    text.push('\n');
    text
}

#[test]
fn the_docs_have_the_catalog() {
    for (mark, expected) in [
        ("keys", keys_in_markdown()),
        ("params", params_in_markdown()),
        ("variables", variables_in_markdown()),
    ] {
        assert!(
            of_page(mark) == expected,
            "docs/gateways.md between the marks `{mark}` must be:\n{expected}"
        );
    }
}

#[test]
fn every_param_is_there_once_and_under_one_group() {
    let names: BTreeSet<_> = PARAMS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), PARAMS.len());
    assert!(PARAMS.is_sorted_by_key(|spec| spec.group));
    for spec in PARAMS {
        assert_eq!(param(spec.name), Some(&spec));
        for (text, end) in [spec.purpose]
            .into_iter()
            .chain(spec.advice)
            .flat_map(|text| [(text.en, '.'), (text.zh, '。')])
        {
            assert!(text.ends_with(end), "{}: {text}", spec.name);
        }
        assert!(spec.alias_of.is_none_or(|name| param(name).is_some()), "{}", spec.name);
        assert!(
            spec.required_when.is_none_or(|when| param(when.param).is_some()),
            "{}",
            spec.name
        );
    }
    assert_eq!(param("Realm"), None);
    assert_eq!(PARAMS.iter().filter(|spec| spec.secret).count(), 1);
    assert_eq!(PARAMS.iter().filter(|spec| spec.is_common).count(), 11);
}

/// Every text of the catalog, with its place.
fn texts() -> Vec<(String, Text)> {
    let mut texts = Vec::new();
    let mut add = |place: &str, what: &str, text: Text| texts.push((format!("{what} of {place}"), text));
    for group in Group::ALL {
        add(&format!("{group:?}"), "title", group.title());
    }
    for spec in PARAMS {
        add(spec.name, "purpose", spec.purpose);
        if let Some(advice) = spec.advice {
            add(spec.name, "advice", advice);
        }
        if let Fallback::Is(words) = spec.default {
            add(spec.name, "default", words);
        }
        if let Some(below) = spec.number().map(|number| number.below) {
            let in_language = |language| below.in_language(language).into_owned().leak();
            add(
                spec.name,
                "below",
                text(in_language(Language::En), in_language(Language::Zh)),
            );
        }
    }
    for key in KEYS {
        add(key.name, "purpose", key.purpose);
        add(key.name, "type", key.kind.title());
        if let Fallback::Is(words) = key.default {
            add(key.name, "default", words);
        }
    }
    for variable in VARIABLES {
        add(variable.name, "purpose", variable.purpose);
        add(variable.name, "advice", variable.advice);
    }
    texts
}

/// What is between backticks.
fn code(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_text_is_in_english_and_in_chinese() {
    let is_ideograph = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    // Ideographs, and the punctuation that goes with them.
    let is_chinese = |c: char| is_ideograph(c) || matches!(c, '\u{3000}'..='\u{303f}' | '\u{ff00}'..='\u{ffef}');
    let texts = texts();
    assert!(texts.len() > 100, "only {} texts found", texts.len());
    for (place, text) in texts {
        assert!(
            !text.en.is_empty() && !text.en.contains(is_chinese),
            "{place}: {}",
            text.en
        );
        assert!(text.zh.contains(is_ideograph), "{place}: {}", text.zh);
        for words in [text.en, text.zh] {
            assert!(
                !words.contains('|') && !words.contains('\n') && !words.contains("  "),
                "{place}: {words}"
            );
            assert_eq!(words.matches('`').count() % 2, 0, "{place}: {words}");
        }
        assert_eq!(code(text.en), code(text.zh), "{place}");
    }
}

/// What there is to say about a gateway with these params, on a profile that nothing is known of.
fn findings(params: &[(&str, &str)]) -> Vec<Finding> {
    let params: serde_json::Map<_, _> = params
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    findings_of(&serde_json::json!({ "param": params }))
}

fn findings_of(value: &Value) -> Vec<Finding> {
    let rules = Rules::new(ProfileName::parse("external").unwrap(), [].into());
    let findings = parse("acme", b"gw", value.to_string().as_bytes(), &rules).findings;
    for finding in &findings {
        finding.reason.check();
        finding.fix.check();
    }
    findings
}

#[test]
fn every_default_and_every_example_is_accepted() {
    for spec in PARAMS {
        for value in spec
            .default
            .value()
            .into_iter()
            .chain([spec.example])
            .chain(spec.special_values.iter().map(|special| special.word))
        {
            let set = [("register", "false"), ("realm", "sip.example.net"), (spec.name, value)];
            // What it takes for the value to have an effect.
            let beside = match spec.name {
                "register" => vec![("username", "1001"), ("password", "change-me")],
                "rfc-5626" => vec![("reg-id", "1")],
                "ping-min" | "ping-max" => vec![("ping", "25")],
                "extension" => vec![("extension-in-contact", "true")],
                _ => Vec::new(),
            };
            let found = findings(&[&set[..], &beside].concat());
            if spec.not_served.is_some() {
                assert_eq!(found.len(), 1, "{}", spec.name);
            } else {
                assert_eq!(found, [], "{} = {value}", spec.name);
            }
        }
    }
    for key in KEYS {
        let example: Value = serde_json::from_str(key.example).unwrap();
        let default = key.default.value().map(|value| serde_json::from_str(value).unwrap());
        for name in [Some(key.name), key.other_name].into_iter().flatten() {
            for value in [Some(example.clone()), default.clone()].into_iter().flatten() {
                let mut gateway = serde_json::json!({"param": {"register": false}});
                if name == "params" {
                    gateway = serde_json::json!({});
                }
                gateway[name] = value;
                assert_eq!(findings_of(&gateway), [], "{gateway}");
            }
        }
    }
}

#[test]
fn a_gateway_without_what_is_required_is_refused() {
    // An account trunk that has all it needs.
    let whole = [
        ("register", "true"),
        ("realm", "sip.example.net"),
        ("username", "1001"),
        ("password", "change-me"),
    ];
    assert_eq!(findings(&whole), []);
    for spec in PARAMS {
        let without: Vec<_> = whole.iter().copied().filter(|(name, _)| *name != spec.name).collect();
        let found = findings(&without);
        let is_refused = found.iter().any(|finding| {
            finding.severity == Severity::Error && finding.field.as_deref() == Some(&format!("param.{}", spec.name))
        });
        assert_eq!(is_refused, spec.required_when.is_some(), "{}", spec.name);
        let Some(when) = spec.required_when else { continue };
        // By default as much as by value, and not at all otherwise.
        assert_eq!(param(when.param).unwrap().default, Fallback::Value(when.value));
        let other = ["true", "false"]
            .into_iter()
            .find(|value| *value != when.value)
            .unwrap();
        let with = |value| {
            let beside = without.iter().copied().filter(|(name, _)| *name != when.param);
            findings(&beside.chain([(when.param, value)]).collect::<Vec<_>>())
        };
        assert_eq!((with(when.value).len(), with(other).len()), (1, 0), "{}", spec.name);
    }
}

#[test]
fn what_is_below_a_range_is_found_and_what_is_in_it_is_not() {
    for (spec, number) in PARAMS.iter().filter_map(|spec| Some((spec, spec.number()?))) {
        let found = |value: i32| {
            // A ping, so that its counts matter.
            let pings = [("ping", "25"), ("ping-max", "9")];
            let trunk = [("register", "false"), ("realm", "sip.example.net")];
            let value = value.to_string();
            findings(&[&trunk[..], &pings, &[(spec.name, &value)]].concat()).len()
        };
        assert_eq!((found(number.least), found(number.least + 1)), (0, 0), "{}", spec.name);
        // 0 says "none" where FreeSWITCH takes it so.
        let is_off = number.least == 1 && matches!(number.below, Below::Without(_));
        assert!(is_off || found(number.least - 1) == 1, "{}", spec.name);
        assert_eq!(found(-1), 1, "{}", spec.name);
    }
}

/// The answer without what is written for people.
fn without_texts(mut value: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(object) => {
                for name in ["title", "purpose", "advice", "default_text", "below", "language"] {
                    if let Some(text) = object.get_mut(name).filter(|text| text.is_string()) {
                        *text = Value::from("…");
                    }
                }
                object.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut value);
    value
}

#[test]
fn the_descriptions_differ_in_their_texts_alone() {
    let [en, zh] = Language::ALL.map(|language| serde_json::to_value(describe(language)).unwrap());
    assert_ne!(en, zh);
    assert_eq!(without_texts(en.clone()), without_texts(zh));
    let params: Vec<_> = en["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["params"].as_array().unwrap())
        .collect();
    assert_eq!(params.len(), PARAMS.len());
    assert_eq!(en["keys"].as_array().unwrap().len(), KEYS.len());
}

#[test]
fn every_field_of_the_description_is_documented() {
    let mut schemas = Vec::new();
    Description::schemas(&mut schemas);
    schemas.push((Description::name().into_owned(), Description::schema()));
    let mut fields = 0;
    for (name, schema) in schemas {
        let schema = serde_json::to_value(schema).unwrap();
        assert!(schema["description"].is_string(), "{name} says nothing: {schema}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            // A field that may be null is one of two schemas, and the first has the description.
            let property = property.get("oneOf").map_or(property, |either| &either[0]);
            assert!(property["description"].is_string(), "{name}.{field} says nothing");
            fields += 1;
        }
    }
    assert!(fields > 35, "only {fields} fields found");
}

#[test]
fn a_param_is_described_as_a_form_needs_it() {
    let of = |language, name: &str| {
        let groups = describe(language).groups;
        let found = groups
            .into_iter()
            .flat_map(|group| group.params)
            .find(|param| param.name == name);
        serde_json::to_value(found.unwrap()).unwrap()
    };
    assert_eq!(
        of(Language::En, "password"),
        serde_json::json!({
            "name": "password", "group": "account", "type": "text",
            "default": null, "default_text": "required to register",
            "least": null, "below": null, "choices": [], "special_values": [], "when_empty": null,
            "required_when": {"param": "register", "value": "true"},
            "alias_of": null, "served": true, "secret": true, "common": true,
            "purpose": "The account's password.",
            "advice": "At most 255 bytes together with scheme, realm, account name and three `:`.",
            "example": "change-me", "fact": 12,
        })
    );
    assert_eq!(
        of(Language::Zh, "expire-seconds"),
        serde_json::json!({
            "name": "expire-seconds", "group": "timers", "type": "number",
            "default": "3600", "default_text": "`3600`",
            "least": 5, "below": "FreeSWITCH 改用 3600", "choices": [], "special_values": [], "when_empty": null,
            "required_when": null,
            "alias_of": null, "served": true, "secret": false, "common": true,
            "purpose": "注册有效期（秒），至少 5。",
            "advice": "位于 NAT 之后时填 60。",
            "example": "600", "fact": 15,
        })
    );
    assert_eq!(
        of(Language::En, "register-transport")["choices"],
        serde_json::json!(["udp", "tcp", "tls", "sctp"])
    );
    assert_eq!(of(Language::En, "ping-user-agent")["served"], false);
}

#[test]
fn every_param_is_named_where_its_fact_is_told() {
    let facts = include_str!("../../../docs/freeswitch.md");
    for spec in PARAMS {
        let (_, text) = facts.split_once(&format!("\n{}. ", spec.fact())).unwrap();
        let known = facts.split_once("\n12. ").unwrap().1.split_once("\n13. ").unwrap().0;
        assert!(
            known.contains(&format!("`{}`", spec.name)),
            "{} is not among the params of fact 12",
            spec.name
        );
        assert!(!text.is_empty());
    }
}

#[test]
fn a_default_that_is_a_value_is_one_of_its_kind() {
    for spec in PARAMS {
        let Fallback::Value(value) = spec.default else { continue };
        match spec.kind {
            Kind::Bool => assert!(matches!(value, "true" | "false"), "{}", spec.name),
            Kind::Number(number) => assert!(value.parse::<i32>().unwrap() >= number.least, "{}", spec.name),
            _ => assert!(!value.is_empty()),
        }
        if let Kind::Number(Number {
            below: Below::Takes(instead),
            ..
        }) = spec.kind
        {
            assert_eq!(value, instead.to_string(), "{}", spec.name);
        }
    }
}
