use ::metrics::{counter, histogram, with_local_recorder};

use super::*;

pub(super) fn rendered(record: impl FnOnce()) -> String {
    let recorder = build_recorder();
    with_local_recorder(&recorder, record);
    recorder.handle().render()
}

#[test]
fn histograms_have_buckets_of_their_unit() {
    let text = rendered(|| {
        describe();
        histogram!(XML_CURL_SECONDS, "kind" => "rescan").record(0.0007);
        histogram!(XML_CURL_BYTES, "kind" => "rescan").record(900_000.0);
    });
    assert!(
        text.contains(r#"trunkd_xml_curl_seconds_bucket{kind="rescan",le="0.001"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"trunkd_xml_curl_bytes_bucket{kind="rescan",le="1048576"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"trunkd_xml_curl_bytes_bucket{kind="rescan",le="524288"} 0"#),
        "{text}"
    );
    assert!(text.contains("# HELP trunkd_xml_curl_seconds "), "{text}");
    assert!(text.contains("trunkd_build_info{version="), "{text}");
}

#[test]
fn installing_twice_gives_the_same_recorder() {
    let (first, second) = (install(), install());
    counter!(XML_CURL_OVERSIZED).increment(1);
    assert!(first.render().contains("trunkd_xml_curl_oversized_total 1"));
    assert!(second.render().contains("trunkd_xml_curl_oversized_total 1"));
}

#[test]
fn an_unknown_state_is_labelled_other() {
    assert_eq!(state_label("REGED"), "REGED");
    assert_eq!(state_label("reged; rm -rf"), "other");
}

#[test]
fn every_metric_is_described_with_its_type() {
    let text = rendered(|| {
        describe();
        for metric in ALL {
            match metric.kind {
                MetricKind::Counter => counter!(metric.name).increment(1),
                MetricKind::Gauge => gauge!(metric.name).set(1.0),
                MetricKind::Histogram => histogram!(metric.name).record(1.0),
            }
        }
    });
    for Metric { name, kind, help, .. } in ALL {
        assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name} in {text}");
        assert!(
            text.contains(&format!("# TYPE {name} {}\n", kind.as_str())),
            "{name} in {text}"
        );
    }
}
