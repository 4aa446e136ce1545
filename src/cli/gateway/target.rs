//! Which gateway a command means, and how it is to be written.

use std::time::Duration;

use crate::gateway::{DomainName, GatewayName, MAX_DOMAIN_BYTES};
use crate::operate::gateways::{GatewayRef, WriteOptions};
use crate::operate::{Caller, OperateError, Service};

/// The longest that a command waits for the effect of a write.
const MAX_WAIT: Duration = Duration::from_secs(600);

#[derive(clap::Args)]
pub(super) struct Target {
    pub(super) name: GatewayName,
    /// Its domain; may be left out if only one domain has a gateway of this name
    #[arg(long, value_parser = domain)]
    pub(super) domain: Option<DomainName>,
}

#[derive(clap::Args)]
pub(super) struct Writing {
    /// Only show what would happen; exit status 2 if something would
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Write it even if FreeSWITCH would refuse it
    #[arg(long)]
    force: bool,
    /// Wait this long for the effect on the switches, such as 10s
    #[arg(long, value_name = "TIME", value_parser = wait)]
    wait: Option<Duration>,
}

impl Target {
    pub(super) async fn find(&self, service: &Service, caller: &Caller) -> Result<GatewayRef, OperateError> {
        let domain = match &self.domain {
            Some(domain) => domain.clone(),
            None => service.domain_of(caller, &self.name).await?,
        };
        Ok(GatewayRef {
            domain,
            name: self.name.clone(),
        })
    }
}

impl Writing {
    pub(super) fn options(&self) -> WriteOptions {
        WriteOptions {
            dry_run: self.dry_run,
            force: self.force,
            wait: self.wait,
            ..WriteOptions::default()
        }
    }
}

/// As lists show it.
pub(in crate::cli) fn domain(text: &str) -> Result<DomainName, String> {
    let domain = DomainName::from_text(text);
    match domain.is_writable() {
        true => Ok(domain),
        false => Err(format!(
            "a domain is a text of 1 to {MAX_DOMAIN_BYTES} bytes without control characters"
        )),
    }
}

pub(in crate::cli) fn wait(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(wait) if wait <= MAX_WAIT => Ok(wait),
        Ok(_) => Err(format!("wait at most {} s", MAX_WAIT.as_secs())),
        Err(error) => Err(format!("{error}: write a time such as 10s")),
    }
}
