//! Which hosts of gateways have no address, as seen from this machine. FreeSWITCH may ask other name
//! servers, so these are warnings.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use tokio::time::{sleep, timeout};

use crate::gateway::{Finding, Gateway, Severity};
use crate::language::{message, text};
use crate::shown::shown;

/// Hosts that are asked for at the same time, and at most.
const AT_ONCE: usize = 32;
const MOST: usize = 5000;
/// One host takes four questions at most.
const LIMIT: Duration = Duration::from_secs(5);
/// For all hosts of all gateways, and for those of one. Hosts without an answer by then are not reported.
pub(super) const ALL_LIMIT: Duration = Duration::from_secs(60);
pub(super) const FORM_LIMIT: Duration = Duration::from_secs(2);
/// The SRV records that SIP stacks look for (RFC 3263).
const SERVICES: [&str; 3] = ["_sip._udp", "_sip._tcp", "_sips._tcp"];

/// What became of the questions.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// A finding for each gateway whose carrier has no address.
    pub(super) findings: Vec<Finding>,
    /// Why some hosts could not be asked for, if so.
    pub(super) problem: Option<String>,
}

enum Answer {
    Found,
    Nothing,
    /// The name servers don't say.
    Unknown(String),
}

/// Asks the name servers of this machine.
pub(super) async fn resolve<'a>(gateways: impl Iterator<Item = &'a Gateway>, limit: Duration) -> Resolved {
    match TokioResolver::builder_tokio().and_then(|builder| builder.build()) {
        Ok(resolver) => ask_all(&resolver, gateways, limit).await,
        Err(error) => Resolved {
            findings: Vec::new(),
            problem: Some(format!("no host could be looked up: {error}")),
        },
    }
}

async fn ask_all<'a>(
    resolver: &TokioResolver,
    gateways: impl Iterator<Item = &'a Gateway>,
    limit: Duration,
) -> Resolved {
    let mut by_host: BTreeMap<String, Vec<(&Gateway, &str)>> = BTreeMap::new();
    for gateway in gateways {
        for (host, param) in gateway.route_hosts().into_iter().filter(|(host, _)| is_name(host)) {
            by_host.entry(host).or_default().push((gateway, param));
        }
    }
    let asking = futures_util::stream::iter(by_host.into_iter().take(MOST))
        .map(async |(host, gateways)| (ask(resolver, &host).await, host, gateways))
        .buffer_unordered(AT_ONCE);
    let answers: Vec<_> = asking.take_until(sleep(limit)).collect().await;
    let mut resolved = Resolved::default();
    let mut unknown = BTreeSet::new();
    for (answer, host, gateways) in answers {
        match answer {
            Answer::Found => {}
            Answer::Nothing => resolved.findings.extend(
                gateways
                    .into_iter()
                    .map(|(gateway, param)| finding(gateway, param, &host)),
            ),
            Answer::Unknown(reason) => drop(unknown.insert((host, reason))),
        }
    }
    resolved.findings.sort_unstable();
    if let Some((host, reason)) = unknown.first() {
        let (count, host) = (unknown.len(), shown(host));
        resolved.problem = Some(format!(
            "{count} hosts could not be looked up, such as {host}: {reason}"
        ));
    }
    resolved
}

/// A name that DNS can know.
fn is_name(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_err()
}

async fn ask(resolver: &TokioResolver, host: &str) -> Answer {
    let asking = async {
        // With the dot it is not looked for in the domains of this machine.
        let name = format!("{}.", host.trim_end_matches('.'));
        match resolver.lookup_ip(name.as_str()).await {
            Ok(_) => return Answer::Found,
            Err(error) if !says_nothing(&error) => return Answer::Unknown(error.to_string()),
            Err(_) => {}
        }
        for service in SERVICES {
            match resolver.srv_lookup(format!("{service}.{name}")).await {
                Ok(_) => return Answer::Found,
                Err(error) if !says_nothing(&error) => return Answer::Unknown(error.to_string()),
                Err(_) => {}
            }
        }
        Answer::Nothing
    };
    let late = |_| Answer::Unknown(format!("no answer within {} s", LIMIT.as_secs()));
    timeout(LIMIT, asking).await.unwrap_or_else(late)
}

/// There is no such record, in contrast to no answer.
fn says_nothing(error: &NetError) -> bool {
    error.is_no_records_found() || error.is_nx_domain()
}

fn finding(gateway: &Gateway, param: &str, host: &str) -> Finding {
    let host = shown(host);
    Finding {
        domain: gateway.domain.to_string(),
        gateway: Some(gateway.name.to_string()),
        field: Some(format!("param.{param}")),
        severity: Severity::Warning,
        reason: message!(
            "{host} has no address, as seen from this machine: neither A, AAAA nor SRV records",
            "从本机查询，{host} 没有地址：既没有 A、AAAA 记录，也没有 SRV 记录"
        ),
        fix: text("check how it is written, and DNS", "请检查拼写和 DNS").into(),
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    use tokio::net::UdpSocket;

    use super::*;
    use crate::gateway::{ProfileName, Rules, parse};

    fn gateway(name: &str, params: &str) -> Gateway {
        let rules = Rules::new(ProfileName::parse("external").unwrap(), Default::default());
        let value = format!(r#"{{"param":{{"register":false,{params}}}}}"#);
        parse("acme", name.as_bytes(), value.as_bytes(), &rules)
            .gateway
            .unwrap()
    }

    /// `.invalid` and `localhost` need no name server (RFC 6761).
    #[tokio::test]
    async fn a_host_without_an_address_is_found_and_an_address_is_none() {
        let all = [
            gateway("good", r#""realm":"localhost:5060""#),
            gateway("address", r#""realm":"192.0.2.7""#),
            gateway("v6", r#""proxy":"[2001:db8::7]:5060""#),
            gateway("bad", r#""realm":"x","proxy":"SIP.carrier.invalid:5070""#),
            gateway("outbound", r#""realm":"localhost","outbound-proxy":"sbc.invalid""#),
        ];
        let resolved = resolve(all.iter(), ALL_LIMIT).await;
        let names: Vec<_> = resolved
            .findings
            .iter()
            .map(|finding| finding.gateway.clone().unwrap())
            .collect();
        assert_eq!(names, ["bad", "outbound"], "{resolved:?}");
        assert!(
            resolved.findings[0]
                .reason
                .en()
                .starts_with("sip.carrier.invalid has no address")
        );
        resolved.findings.iter().for_each(|finding| finding.reason.check());
        assert_eq!(resolved.problem, None);
    }

    /// A name server on loopback, and a resolver that asks it alone.
    async fn name_server(answers: bool) -> TokioResolver {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((_, from)) = socket.recv_from(&mut query).await {
                let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
                let no_such_name = [0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0];
                let reply = [&query[..2], &no_such_name, &query[12..end]].concat();
                if answers {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        let mut connection = ConnectionConfig::udp();
        connection.port = address.port();
        let server = NameServerConfig::new(address.ip(), true, vec![connection]);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.build().unwrap()
    }

    #[tokio::test]
    async fn no_such_name_is_a_finding_at_its_field_and_no_answer_is_none() {
        let all = [gateway(
            "gw",
            r#""realm":"sip.example.net","outbound-proxy":"sbc.example.net""#,
        )];
        let resolver = name_server(true).await;
        let resolved = ask_all(&resolver, all.iter(), ALL_LIMIT).await;
        let fields: Vec<_> = resolved
            .findings
            .iter()
            .map(|finding| finding.field.as_deref())
            .collect();
        assert_eq!(
            fields,
            [Some("param.outbound-proxy"), Some("param.realm")],
            "{resolved:?}"
        );

        let resolver = name_server(false).await;
        let resolved = ask_all(&resolver, all.iter(), Duration::from_millis(100)).await;
        assert_eq!((resolved.findings, resolved.problem), (Vec::new(), None));
    }
}
