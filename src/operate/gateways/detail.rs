//! Everything that is known of one gateway.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::service::Service;
use super::super::status::{Gateway, Switch};
use super::super::{Caller, OperateError};
use super::{ETag, GatewayRef};
use crate::desired::Current;
use crate::gateway::{Document, Finding, RawDomain, Severity, revision};

/// One gateway: what Redis holds, what trunkd thinks of it, and what each switch does with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct GatewayDetail {
    pub domain: String,
    pub name: String,
    /// The value in Redis without its secrets: `param`, `variables`, `profile`, `enabled`, `nodes` and
    /// whatever else stands in it. `null` if it is no JSON object.
    #[schema(value_type = Option<Object>)]
    pub value: Option<Box<RawValue>>,
    /// The secrets that are set, such as `param.password`. They can be written, and are never shown.
    pub secrets: Vec<String>,
    pub validity: Validity,
    /// What is wrong with the value, and what may not be as intended.
    pub findings: Vec<ProblemField>,
    /// The revision that a switch runs when the value has taken effect; `null` if it is not served.
    pub desired_revision: Option<String>,
    /// The gateway on each switch.
    pub switches: Vec<OnSwitch>,
    #[serde(skip)]
    pub etag: Option<ETag>,
}

/// Whether FreeSWITCH gets the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It is served.
    Valid,
    /// `enabled` is false.
    Disabled,
    /// The value is refused, and its last valid version is served.
    Kept,
    /// The value is refused, and nothing is served.
    Invalid,
    /// Another domain has a gateway of this name, and comes first.
    Shadowed,
}

/// A problem at one place of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemField {
    /// `error`: FreeSWITCH would refuse it. `warning`: it is served, but perhaps not as intended.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// A JSON pointer into the value, such as `/param/realm`; empty for the whole value.
    pub pointer: String,
    pub reason: String,
    pub fix: String,
}

/// A gateway on one switch.
#[derive(Debug, Serialize, ToSchema)]
pub struct OnSwitch {
    pub switch: String,
    /// Whether a trunkd is connected to the switch. If not, the rest is the last known state.
    pub watched: bool,
    #[serde(flatten)]
    pub gateway: Gateway,
}

impl ProblemField {
    pub fn of(finding: &Finding) -> Self {
        Self {
            severity: finding.severity,
            pointer: finding.field.as_deref().map_or_else(String::new, pointer),
            reason: finding.reason.clone(),
            fix: finding.fix.clone(),
        }
    }
}

/// `param.realm` → `/param/realm`; `nodes[1]` → `/nodes/1`. A name below `param` or `variables` may have
/// dots of its own.
pub(super) fn pointer(field: &str) -> String {
    let (top, rest) = field
        .split_once('.')
        .map_or((field, None), |(top, rest)| (top, Some(rest)));
    let mut out = String::new();
    for part in std::iter::once(top).chain(rest) {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(index)),
            _ => (part, None),
        };
        out.push('/');
        out.push_str(&name.replace('~', "~0").replace('/', "~1"));
        if let Some(index) = index {
            out.push('/');
            out.push_str(index);
        }
    }
    out
}

impl Service {
    /// One gateway.
    ///
    /// # Errors
    /// Redis can't be read, the caller may not see the domain, or there is no such gateway.
    pub async fn gateway(&self, caller: &Caller, of: &GatewayRef) -> Result<GatewayDetail, OperateError> {
        caller.check_sees(of.domain.text())?;
        let current = self
            .catalog
            .all()
            .await
            .map_err(OperateError::unavailable(&self.settings))?;
        let value = stored(&current, of).map(<[u8]>::to_vec);
        let Some(value) = value else {
            return Err(Self::missing(&current, of));
        };
        self.detail(&current, of, &value).await
    }

    /// What FreeSWITCH would get, with the secrets replaced.
    ///
    /// # Errors
    /// As [`Service::gateway`]; and [`OperateError::NotServed`].
    pub async fn gateway_xml(&self, caller: &Caller, of: &GatewayRef) -> Result<String, OperateError> {
        caller.check_sees(of.domain.text())?;
        let current = self
            .catalog
            .all()
            .await
            .map_err(OperateError::unavailable(&self.settings))?;
        if stored(&current, of).is_none() {
            return Err(Self::missing(&current, of));
        }
        let entry = current.desired.get(of.name.as_str());
        let entry = entry.filter(|entry| *entry.gateway.domain == **of.domain.text());
        let entry = entry.ok_or_else(|| OperateError::NotServed(of.name.to_string()))?;
        Ok(crate::sofia_conf::masked_gateway(&entry.gateway, &current.key))
    }

    pub(super) async fn detail(
        &self,
        current: &Current,
        of: &GatewayRef,
        value: &[u8],
    ) -> Result<GatewayDetail, OperateError> {
        let document = Document::parse(value).ok();
        let parsed = crate::gateway::parse(
            of.domain.text(),
            of.name.as_str().as_bytes(),
            value,
            &self.catalog.rules(),
        );
        let served = current.desired.get(of.name.as_str());
        let ours = served.filter(|entry| *entry.gateway.domain == **of.domain.text());
        let validity = match (&parsed.gateway, ours) {
            (Some(gateway), _) if !gateway.enabled => Validity::Disabled,
            (Some(_), None) => Validity::Shadowed,
            (Some(_), Some(_)) => Validity::Valid,
            (None, Some(_)) => Validity::Kept,
            (None, None) => Validity::Invalid,
        };
        let switches = self.status.of_gateway(current, of.name.as_str()).await?;
        Ok(GatewayDetail {
            domain: of.domain.text().to_string(),
            name: of.name.to_string(),
            value: document.as_ref().map(|document| document.without_secrets().to_raw()),
            secrets: document.as_ref().map(Document::secrets).unwrap_or_default(),
            validity,
            findings: parsed.findings.iter().map(ProblemField::of).collect(),
            desired_revision: ours.map(|entry| revision(&entry.gateway, &current.key)),
            switches: switches.into_iter().flat_map(on_switch).collect(),
            etag: Some(ETag::of(&current.key, value)),
        })
    }

    /// Which of the two is missing.
    pub(super) fn missing(current: &Current, of: &GatewayRef) -> OperateError {
        match current.domains.get(&of.domain) {
            Some(RawDomain::Hash(_)) => OperateError::NoSuchGateway {
                domain: of.domain.to_string(),
                gateway: of.name.to_string(),
            },
            Some(RawDomain::WrongType(kind)) => OperateError::WrongType {
                domain: of.domain.to_string(),
                kind: kind.clone(),
            },
            None => OperateError::NoSuchDomain(of.domain.to_string()),
        }
    }
}

/// The bytes in Redis, as the catalog has them.
pub(super) fn stored<'a>(current: &'a Current, of: &GatewayRef) -> Option<&'a [u8]> {
    match current.domains.get(&of.domain)? {
        RawDomain::Hash(fields) => fields
            .iter()
            .find(|(name, _)| *name == of.name.as_str().as_bytes())
            .map(|(_, value)| value),
        RawDomain::WrongType(_) => None,
    }
}

fn on_switch(switch: Switch) -> impl Iterator<Item = OnSwitch> {
    let (name, watched) = (switch.name, switch.watched);
    switch.gateways.into_iter().map(move |gateway| OnSwitch {
        switch: name.clone(),
        watched,
        gateway,
    })
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn a_field_becomes_a_json_pointer() {
        for (field, expected) in [
            ("param.realm", "/param/realm"),
            ("profile", "/profile"),
            ("nodes[1]", "/nodes/1"),
            ("variables.a.b/c~d", "/variables/a.b~1c~0d"),
            ("tags", "/tags"),
        ] {
            assert_eq!(pointer(field), expected);
        }
    }
}
