use super::super::tests::rendered;
use super::*;

#[test]
fn domains_over_the_limit_share_a_label_and_gone_ones_fall_to_zero() {
    let domains: Vec<String> = (0..DOMAIN_LABELS_MAX + 50).map(|n| format!("tenant-{n:03}")).collect();
    let text = rendered(|| {
        let mut gauges = GatewayGauges::default();
        gauges.set(domains.iter().map(|domain| (domain.as_str(), "valid", 3)));
        // The first tenant leaves and its label stays taken; a new one does not get a label of its
        // own.
        gauges.set(
            domains[1..]
                .iter()
                .map(String::as_str)
                .chain(["newcomer"])
                .map(|domain| (domain, "valid", 2)),
        );
    });
    let series: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("trunkd_gateways{"))
        .collect();
    assert_eq!(series.len(), DOMAIN_LABELS_MAX + 1);
    assert!(series.contains(&r#"trunkd_gateways{domain="tenant-000",validity="valid"} 0"#));
    assert!(series.contains(&r#"trunkd_gateways{domain="tenant-199",validity="valid"} 2"#));
    assert!(series.contains(&r#"trunkd_gateways{domain="other",validity="valid"} 102"#));
}
