//! Reads one gateway.

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::model::{GatewayDetail, ProblemField, Validity};
use super::{ETag, GatewayRef};
use crate::desired::Current;
use crate::gateway::{Document, RawDomain, revision};

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
        let switches = match validity {
            // What runs under its name is the gateway of another domain.
            Validity::Shadowed => Vec::new(),
            _ => self.status.of_gateway(current, of.name.as_str()).await?,
        };
        Ok(GatewayDetail {
            domain: of.domain.text().to_string(),
            name: of.name.to_string(),
            value: document.as_ref().map(|document| document.without_secrets().to_raw()),
            secrets: document.as_ref().map(Document::secrets).unwrap_or_default(),
            validity,
            findings: parsed.findings.iter().map(ProblemField::of).collect(),
            desired_revision: ours.map(|entry| revision(&entry.gateway, &current.key)),
            switches: switches.into_iter().flat_map(|switch| switch.gateways).collect(),
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
