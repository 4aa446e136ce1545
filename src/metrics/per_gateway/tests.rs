use super::*;

fn written(samples: Vec<GatewaySample>) -> String {
    GatewayText::new(Arc::new(samples)).collect()
}

fn series(text: &str, name: &str) -> Vec<String> {
    let of_metric = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    of_metric.map(str::to_owned).collect()
}

#[test]
fn a_gateway_has_a_series_for_each_state_and_one_of_them_is_1() {
    let text = written(vec![GatewaySample::of_state(
        GatewayLabels::new("fs1", "gw", None, None),
        "REGED",
        1.5,
    )]);
    let states = series(&text, "trunkd_gateway_state");
    assert_eq!(states.len(), STATE_LABELS.len());
    let ones: Vec<_> = states.iter().filter(|line| line.ends_with(" 1")).collect();
    assert_eq!(
        ones,
        [r#"trunkd_gateway_state{switch="fs1",gateway="gw",state="REGED"} 1"#]
    );
    assert_eq!(
        states.iter().filter(|line| line.ends_with(" 0")).count(),
        states.len() - 1
    );
}

#[test]
fn what_is_not_known_has_no_series() {
    let text = written(vec![GatewaySample::of_state(
        GatewayLabels::new("fs1", "gw", None, None),
        "other",
        1_700_000_000.25,
    )]);
    let known: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("trunkd_gateway_state{"))
        .collect();
    assert_eq!(
        known,
        [
            r#"trunkd_gateway_info{switch="fs1",gateway="gw"} 1"#,
            r#"trunkd_gateway_since_timestamp_seconds{switch="fs1",gateway="gw"} 1700000000.25"#
        ]
    );
}

#[test]
fn label_values_are_escaped() {
    let sample = GatewaySample::of_state(
        GatewayLabels::new("a\\b", "say \"hi\"\n", Some("external"), Some("dömäin")),
        "NOREG",
        0.0,
    );
    let text = written(vec![sample]);
    assert_eq!(
        series(&text, "trunkd_gateway_since_timestamp_seconds"),
        [
            r#"trunkd_gateway_since_timestamp_seconds{switch="a\\b",gateway="say \"hi\"\n",profile="external",domain="dömäin"} 0"#
        ]
    );
}

#[test]
fn each_metric_is_described_once_before_its_series() {
    let samples: Vec<_> = (0..2_000)
        .map(|number| GatewaySample {
            usable: Some(number % 2 == 0),
            ping_ms: Some(12.5),
            host: Some("sip.example.net".into()),
            refusals: vec![("403".into(), 3), ("other".into(), 1)],
            calls: Some(CallTotals {
                inbound: 1,
                outbound: 2,
                failed_in: 3,
                failed_out: 4,
            }),
            windows: vec![WindowSample {
                window: "5m",
                ended: [
                    ("in", "answered", 1),
                    ("in", "failed", 0),
                    ("out", "answered", 2),
                    ("out", "failed", 1),
                ],
                causes: vec![("USER_BUSY", 1)],
                asr: Some(0.75),
                acd: Some(12.5),
            }],
            ..GatewaySample::of_state(
                GatewayLabels::new("fs1", &format!("gw{number}"), Some("external"), None),
                "REGED",
                1.0,
            )
        })
        .collect();
    let chunks: Vec<_> = GatewayText::new(Arc::new(samples)).collect();
    assert!(chunks.len() > 10 && chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + 4096));
    let text = chunks.concat();
    let mut names: Vec<_> = text
        .lines()
        .map(|line| {
            let line = line
                .strip_prefix("# HELP ")
                .or(line.strip_prefix("# TYPE "))
                .unwrap_or(line);
            line.split(['{', ' ']).next().unwrap()
        })
        .collect();
    names.dedup();
    assert_eq!(
        names,
        OF_GATEWAYS.map(|metric| metric.name),
        "a metric's lines are together"
    );
    for metric in &OF_GATEWAYS {
        let (name, kind) = (metric.name, metric.kind.as_str());
        let header = format!("# HELP {name} {}\n# TYPE {name} {kind}\n", metric.help);
        assert_eq!(text.matches(&header).count(), 1, "{name}");
    }
    let of_first: Vec<_> = text.lines().filter(|line| line.contains("gateway=\"gw0\"")).collect();
    let counters = &of_first[of_first.len() - 13..];
    let values: Vec<_> = counters
        .iter()
        .map(|line| line.rsplit_once(",profile=\"external\",").unwrap().1)
        .collect();
    assert_eq!(
        values,
        [
            r#"code="403"} 3"#,
            r#"code="other"} 1"#,
            r#"direction="in"} 1"#,
            r#"direction="out"} 2"#,
            r#"direction="in"} 3"#,
            r#"direction="out"} 4"#,
            r#"window="5m",direction="in",outcome="answered"} 1"#,
            r#"window="5m",direction="in",outcome="failed"} 0"#,
            r#"window="5m",direction="out",outcome="answered"} 2"#,
            r#"window="5m",direction="out",outcome="failed"} 1"#,
            r#"window="5m",cause="USER_BUSY"} 1"#,
            r#"window="5m"} 0.75"#,
            r#"window="5m"} 12.5"#,
        ]
    );
}
