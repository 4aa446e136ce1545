//! Parses the JSON value of a gateway.

mod fields;
mod notes;
mod object;
mod placement;
mod settings;
mod top;

use std::sync::Arc;

use super::check::check_params;
use super::finding::{Report, shown};
use super::{Finding, Gateway, GatewayName, Rules, Severity};
use crate::language::{Bilingual, Message, Text, text};
use fields::{read_params, read_variables};
use placement::{check_prefer, read_placement};
use settings::{read_bool, read_nodes, read_profile};
use top::{Top, read_top};

/// The result: a gateway if FreeSWITCH would accept it, and the findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// `None` if and only if a finding is an error.
    pub gateway: Option<Gateway>,
    pub findings: Vec<Finding>,
}

/// Reads one field of a `cti_gateway@<domain>` hash, under FreeSWITCH's rules.
///
/// A value with `enabled: false` is never refused for the rest: a gateway can always be removed.
pub fn parse(domain: &str, field: &[u8], value: &[u8], rules: &Rules) -> Parsed {
    match parse_name(domain, field) {
        Ok(name) => parse_value(&Arc::from(domain), &name, value, rules),
        Err(finding) => Parsed {
            gateway: None,
            findings: vec![*finding],
        },
    }
}

/// The name, from the hash field. The error names the rule that it breaks.
pub(super) fn parse_name(domain: &str, field: &[u8]) -> Result<GatewayName, Box<Finding>> {
    let finding = |reason: Message, fix: Text| {
        Box::new(Finding {
            domain: domain.to_owned(),
            gateway: Some(shown(&String::from_utf8_lossy(field))),
            field: None,
            severity: Severity::Error,
            reason,
            fix: fix.into(),
        })
    };
    let name = std::str::from_utf8(field).map_err(|_| {
        finding(
            text("the name is not UTF-8", "名称不是 UTF-8 编码").into(),
            text(
                "name it with letters, digits, '_', '.' and '-' only",
                "名称请只使用字母、数字、'_'、'.' 和 '-'",
            ),
        )
    })?;
    GatewayName::parse(name).map_err(|error| finding(error.message(), error.fix()))
}

/// The gateway of a name, from the field's value.
pub(super) fn parse_value(domain: &Arc<str>, name: &GatewayName, value: &[u8], rules: &Rules) -> Parsed {
    let mut report = Report {
        domain,
        gateway: name.as_str(),
        findings: Vec::new(),
    };
    let gateway = read_top(&mut report, value).map(|top| read_gateway(&mut report, domain, name, top, rules));
    let mut findings = report.findings;
    findings.sort_unstable();
    findings.dedup();
    let refused = findings.iter().any(|f| f.severity == Severity::Error);
    match gateway {
        Some(gateway) if !refused => Parsed {
            gateway: Some(gateway),
            findings,
        },
        Some(gateway) if !gateway.enabled => {
            // Not served anyway, so the errors become warnings: it may be enabled later.
            for finding in &mut findings {
                finding.severity = Severity::Warning;
            }
            Parsed {
                gateway: Some(gateway),
                findings,
            }
        }
        _ => Parsed {
            gateway: None,
            findings,
        },
    }
}

fn read_gateway(
    report: &mut Report<'_>,
    domain: &Arc<str>,
    name: &GatewayName,
    top: Top<'_>,
    rules: &Rules,
) -> Gateway {
    let enabled = read_bool(report, "enabled", top.enabled);
    let rollback = read_bool(report, "rollback", top.rollback);
    let profile = read_profile(report, top.profile, rules);
    let nodes = read_nodes(report, top.nodes, &rules.policy).map(Vec::into_boxed_slice);
    let placement = read_placement(report, top.placement, &rules.policy).map(|mut one| {
        one.nodes.clone_from(&nodes);
        check_prefer(report, &one);
        Box::new(one)
    });
    let params = read_params(report, top.params);
    let variables = read_variables(report, top.variables, &rules.policy);
    let facts = profile.as_ref().and_then(|profile| rules.profiles.get(profile));
    check_params(report, &params, facts);
    Gateway {
        domain: Arc::clone(domain),
        name: name.clone(),
        profile: profile.unwrap_or_else(|| rules.default_profile.clone()),
        enabled,
        // Until it is placed, no switch has it.
        nodes: if placement.is_some() {
            Some(Box::default())
        } else {
            nodes
        },
        placement,
        carrier: top.carrier,
        rollback,
        params: params.set.iter().map(|(name, param)| (name, &param.value)).collect(),
        variables,
    }
}

#[cfg(test)]
mod tests;
