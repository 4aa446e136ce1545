use super::*;

fn read(log: &ChangeLog, cursor: &mut Cursor) -> Option<Vec<String>> {
    match log.read(cursor) {
        Changes::All => None,
        Changes::Only(names) => Some(names.iter().map(ToString::to_string).collect()),
    }
}

fn only(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(ToString::to_string).collect())
}

#[test]
fn two_readers_each_see_every_change_once() {
    let mut log = ChangeLog::default();
    let (mut fast, mut slow) = (Cursor::default(), Cursor::default());
    assert_eq!(
        (read(&log, &mut fast), read(&log, &mut slow)),
        (None, None),
        "both are new"
    );
    log.record(&"a".into());
    assert_eq!(read(&log, &mut fast), only(&["a"]));
    assert_eq!(read(&log, &mut fast), only(&[]));
    log.record(&"b".into());
    log.record(&"a".into());
    assert_eq!(read(&log, &mut fast), only(&["b", "a"]));
    assert_eq!(read(&log, &mut slow), only(&["b", "a"]), "each name once");
    assert_eq!(read(&log, &mut slow), only(&[]));
}

#[test]
fn a_reader_that_fell_behind_is_told_to_start_over() {
    let mut log = ChangeLog::with_capacity(3);
    let (mut behind, mut up_to_date) = (Cursor::default(), Cursor::default());
    read(&log, &mut behind);
    for name in ["a", "b", "c"] {
        log.record(&name.into());
    }
    read(&log, &mut up_to_date);
    let mut just_in_time = Cursor::default();
    just_in_time.clone_from(&behind);
    assert_eq!(read(&log, &mut just_in_time), only(&["a", "b", "c"]));
    log.record(&"d".into());
    assert_eq!(read(&log, &mut behind), None);
    assert_eq!(read(&log, &mut behind), only(&[]), "it started over");
    assert_eq!(read(&log, &mut up_to_date), only(&["d"]));
}

#[test]
fn every_reader_reads_all_after_everything_changed() {
    let mut log = ChangeLog::default();
    let mut cursor = Cursor::default();
    read(&log, &mut cursor);
    log.record(&"a".into());
    log.record_all();
    log.record(&"b".into());
    assert_eq!(read(&log, &mut cursor), None);
    assert_eq!(read(&log, &mut cursor), only(&[]));
}

#[test]
fn the_log_is_bounded_however_many_names_change() {
    let mut log = ChangeLog::with_capacity(100);
    for number in 0..10_000 {
        log.record(&format!("g{}", number % 700).into());
        assert!(log.by_number.len() <= 100 && log.numbers.len() == log.by_number.len());
    }
    let mut cursor = Cursor::default();
    read(&log, &mut cursor);
    for _ in 0..10_000 {
        log.record(&"flapping".into());
    }
    assert_eq!(read(&log, &mut cursor), only(&["flapping"]));
}
