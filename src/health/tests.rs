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
fn one_degraded_part_degrades_the_status_and_so_does_not_serving() {
    let health = Health::new();
    health.set(Part::Templates, State::Ok, None);
    assert_eq!(health.report().status, State::Degraded);
    health.set_serving(true);
    assert_eq!(health.report().status, State::Ok);
    health.set(Part::Switch("fs1".into()), State::Degraded, None);
    assert_eq!(health.report().status, State::Degraded);
}

#[test]
fn the_order_of_the_parts_is_fixed() {
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

#[test]
fn gateway_counts_stay_when_the_state_of_their_switch_changes() {
    let (health, part) = (Health::new(), Part::Switch("fs1".into()));
    health.set_gateways(&part, Some(GatewayCounts::default()));
    assert!(
        health.report().parts.is_empty(),
        "a switch that has not reported has no counts"
    );
    health.set(part.clone(), State::Ok, None);
    health.set_gateways(&part, Some(GatewayCounts::default()));
    health.set(part.clone(), State::Degraded, None);
    assert!(health.report().parts[0].gateways.is_some());
    health.set_gateways(&part, None);
    let json = serde_json::to_value(health.report()).unwrap();
    assert_eq!(json["parts"][0]["name"], "switch:fs1");
    assert!(json["parts"][0].get("gateways").is_none());
}

#[test]
fn a_degraded_part_names_a_runbook_that_exists() {
    let runbooks = include_str!("../../docs/runbooks.md");
    let anchors: Vec<_> = runbooks
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches(['#', ' ']).to_lowercase())
        .collect();
    let name = || "fs1".to_owned();
    let health = Health::new();
    for part in [
        Part::Redis,
        Part::Gateways,
        Part::Templates,
        Part::Backup,
        Part::Control,
        Part::Switch(name()),
        Part::Reconcile(name()),
        Part::Lease(name()),
        Part::Webhook(name()),
    ] {
        let anchor = part.runbook().unwrap().strip_prefix("docs/runbooks.md#").unwrap();
        assert!(anchors.iter().any(|known| known == anchor), "{anchor}");
        health.set(part, State::Degraded, None);
    }
    health.set(Part::DataDir, State::Degraded, None);
    let report = health.report();
    let without: Vec<_> = report.parts.iter().filter(|part| part.runbook.is_none()).collect();
    assert!(without.len() == 1 && without[0].name == Part::DataDir, "{without:?}");
    health.set(Part::Redis, State::Ok, None);
    assert_eq!(health.report().parts[0].runbook, None);
}
