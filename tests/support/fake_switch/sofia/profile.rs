//! A profile, and what its `<settings>` say.

use super::super::super::fs_xml::Element;
use super::conf::{atoi, is_true};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug, Clone)]
pub struct Profile {
    pub name: String,
    pub running: bool,
    pub started: i64,
    pub sip_ip: String,
    pub sip_port: u16,
    pub ext_sip_ip: Option<String>,
    pub tls: bool,
    pub tls_port: u16,
    pub context: Option<String>,
    /// The newest first, as `xmlstatus` lists them
    pub gateways: VecDeque<usize>,
    /// Its SIP thread sleeps through its first second: answers of the first tick come after that tick.
    pub(super) sleeps: bool,
}

impl Profile {
    pub fn new(name: &str, sip_port: u16) -> Self {
        Profile {
            name: name.to_owned(),
            running: false,
            started: 0,
            sip_ip: "127.0.0.1".to_owned(),
            sip_port,
            ext_sip_ip: None,
            tls: false,
            tls_port: 5061,
            context: Some("public".to_owned()),
            gateways: VecDeque::new(),
            sleeps: true,
        }
    }

    /// From `<profile name><settings>`; None where there are no settings ("No Settings, check the new config!").
    pub fn from_xml(profile: &Element) -> Option<Self> {
        let settings = profile.child("settings")?;
        let mut made = Profile {
            context: None,
            ..Profile::new(profile.attribute("name").unwrap_or_default(), 5060)
        };
        for param in settings.children_named("param") {
            let name = param.attribute("name").unwrap_or_default().to_ascii_lowercase();
            let value = param.attribute("value").unwrap_or_default();
            match name.as_str() {
                "sip-port" => made.sip_port = atoi(value) as u16,
                "sip-ip" if value.parse::<IpAddr>().is_ok() => made.sip_ip = value.to_owned(),
                "ext-sip-ip" if value.parse::<IpAddr>().is_ok() => made.ext_sip_ip = Some(value.to_owned()),
                "tls" => made.tls = is_true(value),
                "tls-sip-port" => made.tls_port = atoi(value) as u16,
                "context" => made.context = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(made)
    }

    /// Where a gateway's Contact points to; `contact_host` is the param.
    pub(super) fn contact_address(&self, contact_host: Option<&str>, transport: &str) -> String {
        let host = match contact_host {
            Some("sip-ip") => &self.sip_ip,
            Some(host) => host,
            None => self.ext_sip_ip.as_ref().unwrap_or(&self.sip_ip),
        };
        let port = if transport == "tls" {
            self.tls_port
        } else {
            self.sip_port
        };
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// Its `sip-ip` if that is one of loopback, else 127.0.0.1
    pub fn loopback_ip(&self) -> IpAddr {
        let given = self.sip_ip.parse().ok();
        given.filter(IpAddr::is_loopback).unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    pub(super) fn url(&self, port: u16) -> String {
        let ip = self.ext_sip_ip.as_ref().unwrap_or(&self.sip_ip);
        if ip.contains(':') {
            format!("sip:mod_sofia@[{ip}]:{port}")
        } else {
            format!("sip:mod_sofia@{ip}:{port}")
        }
    }
}
