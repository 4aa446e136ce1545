use super::*;

fn since(health: &Health, part: &Part) -> Timestamp {
    health.lock()[part].since
}

#[test]
fn since_moves_only_when_the_state_does() {
    let health = Health::new();
    health.set(Part::Redis, State::Degraded, Some("refused".into()));
    let first = since(&health, &Part::Redis);

    health.set(Part::Redis, State::Degraded, Some("timed out".into()));
    assert_eq!(since(&health, &Part::Redis), first);
    assert_eq!(health.report().parts[0].reason.as_deref(), Some("timed out"));

    while Timestamp::now() == first {}
    health.set(Part::Redis, State::Ok, None);
    assert!(since(&health, &Part::Redis) > first);
}

#[test]
fn one_bad_part_degrades_the_whole_and_so_does_not_serving() {
    let health = Health::new();
    health.set(Part::Templates, State::Ok, None);
    assert_eq!(health.report().status, State::Degraded);
    health.set_serving(true);
    assert_eq!(health.report().status, State::Ok);
    health.set(Part::Switch("fs1".into()), State::Degraded, None);
    assert_eq!(health.report().status, State::Degraded);
}

#[test]
fn the_parts_come_in_one_order_whoever_reports_first() {
    let health = Health::new();
    for part in [
        Part::Switch("b".into()),
        Part::Templates,
        Part::Switch("a".into()),
        Part::Redis,
    ] {
        health.set(part, State::Ok, None);
    }
    let names: Vec<_> = health
        .report()
        .parts
        .iter()
        .map(|part| part.name.name().into_owned())
        .collect();
    assert_eq!(names, ["redis", "templates", "switch:a", "switch:b"]);
}
