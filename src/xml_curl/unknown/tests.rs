use super::*;

fn unknown() -> UnknownSwitches {
    UnknownSwitches::new(["fs1".to_owned()])
}

#[test]
fn who_is_in_the_settings_is_not_reported_and_without_settings_nobody_is() {
    let now = Instant::now();
    assert!(!unknown().note("fs1", now) && unknown().report(now).is_none());
    let none = UnknownSwitches::new([]);
    assert!(!none.note("fs7", now) && none.report(now).is_none());
}

#[test]
fn names_are_shown_safely_and_forgotten_an_hour_after_they_asked_last() {
    let (unknown, start) = (unknown(), Instant::now());
    assert!(unknown.note("FS1", start) && unknown.note("\x1b[2J", start));
    assert!(!unknown.note("FS1", start + REMEMBERED / 2), "it is known by now");
    let report = unknown.report(start + REMEMBERED / 2).unwrap();
    assert!(
        report.starts_with("2 switch names") && report.contains(r#""\u{1b}[2J", "FS1";"#),
        "{report}"
    );
    let report = unknown.report(start + REMEMBERED).unwrap();
    assert!(
        report.starts_with("1 switch names") && report.contains("\"FS1\";"),
        "{report}"
    );
    assert!(unknown.report(start + 2 * REMEMBERED).is_none());
}

#[test]
fn made_up_names_take_no_more_room_than_there_is() {
    let (unknown, start) = (unknown(), Instant::now());
    let news = (0..5000)
        .filter(|number| unknown.note(&format!("name{number}"), start))
        .count();
    assert_eq!(
        news,
        MOST_NAMES + 1,
        "each that is remembered, and once that there are more"
    );
    assert_eq!(unknown.lock().names.len(), MOST_NAMES);
    let report = unknown.report(start).unwrap();
    assert!(report.starts_with("more than 64 switch names"), "{report}");
    assert!(
        report.contains("\"name0\"") && report.contains(", …;") && report.len() < 500,
        "{report}"
    );
    assert!(unknown.note("later", start + REMEMBERED));
    assert!(unknown.report(start + REMEMBERED).unwrap().contains("\"later\""));
}
