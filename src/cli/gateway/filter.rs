//! Which gateways `list` and `restart` mean: the filters of the API.

use super::target::domain;
use crate::gateway::DomainName;
use crate::operate::gateways::Validity;
use crate::operate::listing::ListQuery;

#[derive(clap::Args)]
pub(super) struct Filter {
    /// Only this domain
    #[arg(long, value_parser = domain)]
    pub(super) domain: Option<DomainName>,
    /// Only these states: up, down, missing, trying, unknown, idle, parked, or FreeSWITCH's own, such as
    /// REGED
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',')]
    states: Vec<String>,
    /// Only gateways that this switch has or is to have, and only there; --state then means that on it
    #[arg(long, visible_alias = "node", value_name = "SWITCHNAME")]
    pub(super) switch: Option<String>,
    #[arg(long)]
    profile: Option<String>,
    #[arg(long)]
    carrier: Option<String>,
    #[arg(long)]
    tag: Option<String>,
    /// Only these: valid, disabled, kept, invalid, shadowed
    #[arg(long, value_name = "WORD", value_delimiter = ',', value_parser = validity)]
    validity: Vec<Validity>,
}

impl Filter {
    pub(super) fn query(&self) -> ListQuery {
        ListQuery {
            domain: self.domain.as_ref().map(ToString::to_string),
            states: self.states.clone(),
            switch: self.switch.clone(),
            profile: self.profile.clone(),
            carrier: self.carrier.clone(),
            tag: self.tag.clone(),
            validity: self.validity.clone(),
            ..ListQuery::default()
        }
    }

    /// Whether it looks at more than domain and switch.
    pub(super) fn is_more_than_place(&self) -> bool {
        let is_text = [&self.profile, &self.carrier, &self.tag]
            .into_iter()
            .any(Option::is_some);
        is_text || !self.states.is_empty() || !self.validity.is_empty()
    }
}

fn validity(word: &str) -> Result<Validity, String> {
    let names = || Validity::ALL.map(Validity::as_str).join(", ");
    Validity::parse(word).ok_or_else(|| format!("write some of {}", names()))
}
