use super::*;

fn unknown() -> UnknownSwitches {
    UnknownSwitches::new(["fs1".to_owned()])
}

#[test]
fn a_configured_switch_is_not_reported_and_without_settings_none_is() {
    let now = Instant::now();
    assert!(!unknown().record("fs1", now) && unknown().report(now).is_none());
    let none = UnknownSwitches::new([]);
    assert!(!none.record("fs7", now) && none.report(now).is_none());
}

#[test]
fn names_are_shown_safely_and_expire_an_hour_after_their_last_request() {
    let (unknown, start) = (unknown(), Instant::now());
    assert!(unknown.record("FS1", start) && unknown.record("\x1b[2J", start));
    assert!(!unknown.record("FS1", start + REPORTED_FOR / 2), "it is not new");
    let report = unknown.report(start + REPORTED_FOR / 2).unwrap();
    assert!(
        report.starts_with("2 switch names") && report.contains(r#""\u{1b}[2J", "FS1";"#),
        "{report}"
    );
    let report = unknown.report(start + REPORTED_FOR).unwrap();
    assert!(
        report.starts_with("1 switch names") && report.contains("\"FS1\";"),
        "{report}"
    );
    assert!(unknown.report(start + 2 * REPORTED_FOR).is_none());
}

#[test]
fn made_up_names_take_no_more_room_than_allowed() {
    let (unknown, start) = (unknown(), Instant::now());
    let news = (0..5000)
        .filter(|number| unknown.record(&format!("name{number}"), start))
        .count();
    assert_eq!(
        news,
        MAX_NAMES + 1,
        "each name that is stored, and once that there are more"
    );
    assert_eq!(unknown.lock().names.len(), MAX_NAMES);
    let report = unknown.report(start).unwrap();
    assert!(report.starts_with("more than 64 switch names"), "{report}");
    assert!(
        report.contains("\"name0\"") && report.contains(", …;") && report.len() < 500,
        "{report}"
    );
    assert!(unknown.record("later", start + REPORTED_FOR));
    assert!(unknown.report(start + REPORTED_FOR).unwrap().contains("\"later\""));
}
