//! Reads one gateway.

use std::sync::Arc;

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::model::{GatewayDetail, ProblemField, Validity};
use super::{ETag, GatewayRef};
use crate::carriers::Carriers;
use crate::desired::Current;
use crate::gateway::{Desired, Document, RawDomain, RawDomains, Rules, revision};
use crate::sofia_conf::masked_gateway;

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
        self.detail(caller, &current, of, &value).await
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
        let entry = current.desired.get_in(of.domain.text(), of.name.as_str());
        let entry = entry.ok_or_else(|| OperateError::NotServed(of.name.to_string()))?;
        let carriers = Carriers::new(&self.settings.carriers);
        Ok(masked_gateway(&entry.gateway, &current.key, &carriers))
    }

    pub(super) async fn detail(
        &self,
        caller: &Caller,
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
        let ours = current.desired.get_in(of.domain.text(), of.name.as_str());
        let validity = match (&parsed.gateway, ours) {
            (Some(gateway), _) if !gateway.enabled => Validity::Disabled,
            (Some(_), None) => Validity::Shadowed,
            (Some(_), Some(entry)) if entry.rollback.is_some() => Validity::Kept,
            (Some(_), Some(_)) => Validity::Valid,
            (None, Some(_)) => Validity::Kept,
            (None, None) => Validity::Invalid,
        };
        let switches = match validity {
            // What runs under its name is the gateway of another domain.
            Validity::Shadowed => Vec::new(),
            _ => self.of_gateway(caller, current, of.name.as_str()).await?,
        };
        let rolled_back = ours.and_then(|entry| entry.rolled_back(value));
        let findings = parsed.findings.iter().chain(&rolled_back);
        let call_stats = match validity {
            Validity::Shadowed => None,
            _ => {
                let on: Vec<_> = switches.iter().filter(|switch| !switch.gateways.is_empty()).collect();
                let on: Vec<_> = on.iter().map(|switch| &*switch.name).collect();
                self.gateway_calls(of.name.as_str(), &on).await
            }
        };
        let placement = match ours {
            Some(entry) => Some(self.located(current, &entry.gateway).await?),
            None => None,
        };
        Ok(GatewayDetail {
            domain: of.domain.text().to_string(),
            name: of.name.to_string(),
            value: document.as_ref().map(|document| document.without_secrets().to_raw()),
            secrets: document.as_ref().map(Document::secrets).unwrap_or_default(),
            validity,
            findings: findings.map(ProblemField::of).collect(),
            placement,
            desired_revision: ours.map(|entry| revision(&entry.gateway, &current.key)),
            switches: switches.into_iter().flat_map(|switch| switch.gateways).collect(),
            call_stats,
            stale_since: self.listing().read().age_with(current),
            etag: Some(ETag::of(&current.key, value)),
        })
    }

    /// Which of the two is missing.
    pub(in crate::operate) fn missing(current: &Current, of: &GatewayRef) -> OperateError {
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

/// The state after a write, as far as this gateway goes: reading a large domain again takes longer than the
/// write. `None` if it must be read, because the name doesn't simply become this gateway's.
pub(super) fn with_value(current: &Current, of: &GatewayRef, value: &[u8], rules: &Rules) -> Option<Current> {
    let name = of.name.as_str();
    let served = current.desired.get(name).map(|entry| &entry.gateway.domain);
    let refused = current.desired.refused().get(name).map(|refused| &refused.domain);
    if served
        .into_iter()
        .chain(refused)
        .any(|domain| domain != of.domain.text())
    {
        return None;
    }
    let fields = RawDomain::hash([(name.as_bytes().to_vec(), value.to_vec())]);
    let domains: RawDomains = [(of.domain.clone(), fields)].into();
    let desired = Desired::build_with(&domains, current.desired.records(), rules, None);
    // A refused value leaves the last valid one, and a disabled one the name to another domain.
    desired.get(name)?;
    Some(Current {
        desired: Arc::new(desired),
        domains: Arc::new(domains),
        key: current.key.clone(),
        is_whole: false,
        stale: None,
    })
}

/// The bytes in Redis, as the catalog has them.
pub(in crate::operate) fn stored<'a>(current: &'a Current, of: &GatewayRef) -> Option<&'a [u8]> {
    match current.domains.get(&of.domain)? {
        RawDomain::Hash(fields) => fields.get(of.name.as_str().as_bytes()),
        RawDomain::WrongType(_) => None,
    }
}
