use super::*;
use crate::language::Message;
use crate::operate::calls::{CallTally, FailedCall};
use crate::operate::listing::ListState;
use crate::operate::status::OnSwitch;

const NOW: &str = "2026-11-26T10:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn on(switch: &str, condition: Condition) -> Gateway {
    let mut gateway = Gateway::gone(OnSwitch { switch, watched: true }, "gw");
    gateway.condition = condition;
    gateway.failing = condition < Condition::Unknown;
    gateway.reason = Some("403 Forbidden".to_owned());
    gateway
}

fn listed(name: &str, validity: Validity, switches: Vec<Gateway>) -> ListedGateway {
    ListedGateway {
        name: name.to_owned(),
        domain: Some("default".to_owned()),
        description: None,
        carrier: None,
        tags: Vec::new(),
        profile: "external".to_owned(),
        enabled: true,
        validity: Some(validity),
        state: ListState::Down,
        placement: Some(PlacementMode::All),
        switch: None,
        switches,
        call_stats: None,
    }
}

fn page(items: Vec<ListedGateway>, total: usize) -> Page {
    Page {
        next: (total > items.len()).then(|| "next".to_owned()),
        total,
        items,
        counts: Default::default(),
        stale_since: None,
    }
}

#[test]
fn the_worst_switch_says_what_is_wrong() {
    let switches = vec![on("fs1", Condition::Up), on("fs2", Condition::Down)];
    let items = vec![
        listed("carrier1", Validity::Valid, switches),
        listed("carrier2", Validity::Disabled, Vec::new()),
    ];
    let text = list(&page(items, 3), None, now());
    assert_eq!(
        text,
        "GATEWAY   DOMAIN   PROFILE   STATE  UP   NOTE\n\
         carrier1  default  external  down   1/2  403 Forbidden, down\n\
         carrier2  default  external  down   -    disabled\n\
         … and 1 more: name fewer, or raise --limit\n"
    );
    assert_eq!(list(&page(Vec::new(), 0), None, now()), "No gateway is selected.\n");
}

#[test]
fn a_list_fits_80_columns_however_long_the_names_are() {
    let size = Size { columns: 80, lines: 24 };
    let mut long = listed(&"顶".repeat(60), Validity::Kept, vec![on("fs1", Condition::Down)]);
    long.domain = Some("a-domain-with-a-long-name.example.net".to_owned());
    long.profile = "a-long-profile".to_owned();
    let text = list(&page(vec![long], 1), Some(size), now());
    let widths: Vec<_> = text.lines().map(width_of).collect();
    assert!(widths.iter().all(|width| *width <= 80), "{widths:?}\n{text}");
    assert!(text.contains("403 Forb"), "{text}");
}

#[test]
fn one_gateway_is_shown_as_it_is_assigned_and_its_secrets_masked() {
    let value =
        r#"{"param":{"realm":"sip.example.net","ping":25},"variables":{"p:x":"1"},"tags":["a","b"],"enabled":false}"#;
    let gateway = GatewayDetail {
        domain: "default".to_owned(),
        name: "carrier1".to_owned(),
        value: serde_json::from_str(value).unwrap(),
        secrets: vec!["param.password".to_owned()],
        validity: Validity::Disabled,
        findings: vec![ProblemField {
            severity: Severity::Warning,
            pointer: "/param/a~1b".to_owned(),
            reason: Message::same("is odd"),
            fix: Message::same("leave it out"),
        }],
        desired_revision: None,
        placement: None,
        switches: vec![on("fs1", Condition::Down)],
        call_stats: None,
        stale_since: None,
        etag: None,
    };
    assert_eq!(
        detail(&gateway, None, now()),
        "carrier1 in default: disabled\n\
         \x20 param.realm     sip.example.net\n\
         \x20 param.ping      25\n\
         \x20 param.password  ********\n\
         \x20 variables.p:x   1\n\
         \x20 tags            a, b\n\
         \x20 enabled         false\n\
         fs1: down, 403 Forbidden, down\n\
         warning: param.a/b is odd; leave it out\n"
    );
}

#[test]
fn calls_have_a_line_for_each_span_and_one_for_the_last_failure() {
    let now = now();
    let none = CallTally { answered: 0, failed: 0 };
    let figures = |answered, failed, asr_percent, acd_seconds| CallFigures {
        answered,
        failed,
        asr_percent,
        acd_seconds,
        inbound: none,
        outbound: none,
        causes: Default::default(),
    };
    let stats = CallStats {
        since: Some(now),
        as_of: now,
        complete_since: Some(now),
        last_5m: figures(0, 0, None, None),
        last_1h: figures(3, 1, Some(75.0), Some(61.5)),
        last_24h: figures(9, 1, Some(90.0), Some(60.0)),
        last_failure: Some(FailedCall {
            at: now,
            switch: "fs1".to_owned(),
            direction: "out",
            cause: "USER_BUSY",
            sip_status: Some(486),
        }),
    };
    let lines = call_lines(&stats, now);
    assert_eq!(
        lines[..3],
        [
            "calls of the last 5m: none",
            "calls of the last 1h: 3 answered, 1 failed, ASR 75 %, ACD 61.5 s",
            "calls of the last 24h: 9 answered, 1 failed, ASR 90 %, ACD 60 s",
        ]
    );
    assert!(
        lines[3].starts_with("last failed call: USER_BUSY (SIP 486) on fs1, "),
        "{}",
        lines[3]
    );
    assert_eq!(lines.len(), 4);
    let unknown = CallStats { since: None, ..stats };
    assert!(call_lines(&unknown, now).is_empty());
}

#[test]
fn a_gateway_on_one_switch_is_listed_with_it() {
    let up = Gateway {
        reason: None,
        ..on("fs2", Condition::Up)
    };
    let there = ListedGateway {
        state: ListState::Up,
        placement: Some(PlacementMode::One),
        switch: Some("fs2".to_owned()),
        ..listed("there", Validity::Valid, vec![up])
    };
    let nowhere = ListedGateway {
        state: ListState::Missing,
        placement: Some(PlacementMode::One),
        ..listed("nowhere", Validity::Valid, Vec::new())
    };
    let text = list(&page(vec![there, nowhere], 2), None, now());
    let notes: Vec<_> = text
        .lines()
        .map(|line| line.split("  ").last().unwrap().trim())
        .collect();
    assert_eq!(notes[1..], ["on fs2 alone", "on no switch"], "{text}");
}
