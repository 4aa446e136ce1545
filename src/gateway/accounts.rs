//! Accounts that several gateways register. A carrier takes the last registration for the only one, or
//! counts the others as an attack.

use std::collections::BTreeMap;

use super::Gateway;
use super::finding::{Finding, Severity, shown};
use crate::language::{Message, message, text};

/// What a carrier knows a registration by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Account {
    user: String,
    /// Where REGISTER goes.
    registrar: String,
}

impl Account {
    /// `None` if the gateway never registers.
    fn of(gateway: &Gateway) -> Option<Self> {
        let user = user(gateway).filter(|_| gateway.enabled && gateway.registers())?;
        Some(Self {
            user: user.to_owned(),
            registrar: gateway.carrier_host()?,
        })
    }
}

fn user(gateway: &Gateway) -> Option<&str> {
    let names = ["auth-username", "username"];
    names
        .iter()
        .find_map(|name| gateway.param(name).filter(|user| !user.is_empty()))
}

/// A finding for each gateway that registers the account of an earlier one, in whatever domain.
pub fn shared_accounts<'a>(gateways: impl Iterator<Item = &'a Gateway>) -> Vec<Finding> {
    let mut by_account: BTreeMap<Account, Vec<&Gateway>> = BTreeMap::new();
    for gateway in gateways {
        if let Some(account) = Account::of(gateway) {
            by_account.entry(account).or_default().push(gateway);
        }
    }
    let mut findings = Vec::new();
    for (account, gateways) in &by_account {
        for (at, gateway) in gateways.iter().enumerate() {
            let earlier = gateways[..at].iter().find(|earlier| share_a_switch(earlier, gateway));
            findings.extend(earlier.map(|earlier| {
                let (other, domain) = (&earlier.name, shown(&earlier.domain));
                let other = message!("gateway {other} of domain {domain}", "域 {domain} 的网关 {other}");
                finding(gateway, account, &other)
            }));
        }
    }
    findings
}

/// The finding for a gateway that is not among `others` yet. It doesn't name gateways of other domains.
pub fn shared_account<'a>(gateway: &Gateway, mut others: impl Iterator<Item = &'a Gateway>) -> Option<Finding> {
    let account = Account::of(gateway)?;
    let other = others.find(|other| {
        let is_user = user(other) == Some(account.user.as_str()) && other.name != gateway.name;
        is_user && share_a_switch(other, gateway) && Account::of(other).as_ref() == Some(&account)
    })?;
    let other = match other.domain == gateway.domain {
        true => {
            let other = &other.name;
            message!("gateway {other}", "网关 {other}")
        }
        false => text("a gateway of another domain", "另一个域的网关").into(),
    };
    Some(finding(gateway, &account, &other))
}

/// Whether some switch may get both. One that runs on exactly one switch may come to each of its `nodes`.
fn share_a_switch(one: &Gateway, other: &Gateway) -> bool {
    match (reach(one), reach(other)) {
        (Some(one), Some(other)) => one.iter().any(|node| other.contains(node)),
        (Some(nodes), None) | (None, Some(nodes)) => !nodes.is_empty(),
        (None, None) => true,
    }
}

/// The switches that it may come to; `None` is every switch.
fn reach(gateway: &Gateway) -> Option<&[String]> {
    match &gateway.placement {
        Some(rule) => rule.nodes.as_deref(),
        None => gateway.nodes.as_deref(),
    }
}

fn finding(gateway: &Gateway, account: &Account, other: &Message) -> Finding {
    let (user, registrar) = (shown(&account.user), shown(&account.registrar));
    let fix = text(
        "disable one, or let them run on different switches by `nodes`",
        "请停用其中一个，或用 `nodes` 让它们在不同的 FreeSWITCH 上运行",
    );
    Finding {
        domain: gateway.domain.to_string(),
        gateway: Some(gateway.name.to_string()),
        field: Some("param.username".to_owned()),
        severity: Severity::Warning,
        reason: message!(
            "{other} registers the same account, {user} at {registrar}: many carriers take one registration of an \
             account, and ban addresses that send two",
            "{other}也注册同一账号（{registrar} 上的 {user}）：许多运营商只接受一个账号的一个注册，并会封禁重复注册的地址",
            other = other
        ),
        fix: fix.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{ProfileName, Rules, parse};

    fn gateway(name: &str, domain: &str, user: &str, more: &str) -> Gateway {
        let rules = Rules::new(ProfileName::parse("external").unwrap(), Default::default());
        let value = format!(r#"{{"param":{{"realm":"Sip.test","username":"{user}","password":"p"}}{more}}}"#);
        parse(domain, name.as_bytes(), value.as_bytes(), &rules)
            .gateway
            .unwrap()
    }

    #[test]
    fn one_account_in_two_gateways_that_run_at_once_is_found() {
        let all = [
            gateway("a", "acme", "u", ""),
            gateway("b", "acme", "u", ""),
            gateway("c", "other", "u", r#","nodes":["fs1"]"#),
            gateway("nowhere", "acme", "u", r#","nodes":[]"#),
            gateway("off", "acme", "u", r#","enabled":false"#),
            gateway("alone", "acme", "v", ""),
        ];
        let found = shared_accounts(all.iter());
        let names: Vec<_> = found
            .iter()
            .map(|finding| finding.gateway.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["b", "c"]);
        assert!(
            found[0].reason.en().contains("gateway a of domain acme") && found[0].reason.en().contains("u at sip.test")
        );
        found.iter().for_each(|finding| finding.reason.check());
    }

    #[test]
    fn nodes_that_have_no_switch_in_common_may_share_an_account() {
        let on = |name, nodes| gateway(name, "acme", "u", &format!(r#","nodes":["{nodes}"]"#));
        assert_eq!(shared_accounts([on("a", "fs1"), on("b", "fs2")].iter()), []);
    }

    #[test]
    fn gateways_on_one_switch_are_compared_by_where_they_may_come_and_not_by_where_they_are() {
        let on_one = |name, owner: &str, more: &str| {
            let mut gateway = gateway(name, "acme", "u", &format!(r#","placement":"one"{more}"#));
            gateway.nodes = Some([owner.to_owned()].into());
            gateway
        };
        let found = shared_accounts([on_one("a", "fs1", ""), on_one("b", "fs2", "")].iter());
        assert_eq!(found.len(), 1);
        let apart = [
            on_one("a", "fs1", r#","nodes":["fs1"]"#),
            on_one("b", "fs2", r#","nodes":["fs2"]"#),
        ];
        assert_eq!(shared_accounts(apart.iter()), []);
    }

    #[test]
    fn a_new_gateway_is_compared_with_the_others_and_no_other_domain_is_named() {
        let others = [gateway("theirs", "other", "u", "")];
        let found = shared_account(&gateway("mine", "acme", "u", ""), others.iter()).unwrap();
        assert!(found.reason.en().contains("a gateway of another domain") && !found.reason.en().contains("theirs"));
        found.reason.check();
        assert_eq!(shared_account(&others[0], others.iter()), None, "an edit of itself");
        assert_eq!(shared_account(&gateway("mine", "acme", "v", ""), others.iter()), None);
    }
}
