//! Kinds of trunks, and what their forms begin with.

use serde::Deserialize;

use super::stored::Stored;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::web::gateway) enum Preset {
    /// It registers with user and password.
    Account,
    /// The carrier knows our address.
    Ip,
    /// It registers with a public identity in a home domain, through the carrier's SBC.
    Ims,
}

impl Preset {
    pub(super) const ALL: [Self; 3] = [Self::Account, Self::Ip, Self::Ims];

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.word() == word)
    }

    /// As in the address.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Ip => "ip",
            Self::Ims => "ims",
        }
    }

    /// The id of its name.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Account => "preset-account",
            Self::Ip => "preset-ip",
            Self::Ims => "preset-ims",
        }
    }

    /// The id of what it is for.
    pub(super) fn purpose(self) -> &'static str {
        match self {
            Self::Account => "preset-account-text",
            Self::Ip => "preset-ip-text",
            Self::Ims => "preset-ims-text",
        }
    }

    /// The params that its form begins with.
    pub(super) fn params(self) -> &'static [&'static str] {
        match self {
            Self::Account => &["realm", "username", "password"],
            Self::Ip => &["realm", "ping"],
            // From's host is `proxy`, so the SBC goes into the two others, and the realm stays in From.
            Self::Ims => &[
                "realm",
                "username",
                "auth-username",
                "password",
                "from-user",
                "from-domain",
                "register-proxy",
                "outbound-proxy",
            ],
        }
    }

    /// What is filled in.
    pub(super) fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ip => &[("register", "false"), ("ping", "25")],
            Self::Account | Self::Ims => &[],
        }
    }

    /// What a gateway looks like.
    pub(super) fn of(stored: &Stored) -> Self {
        let is_set = |param: &str| !stored.param(param).is_empty();
        if is_set("register") && !crate::gateway::is_true(&stored.param("register")) {
            Self::Ip
        } else if is_set("from-domain") && (is_set("register-proxy") || is_set("outbound-proxy")) {
            Self::Ims
        } else {
            Self::Account
        }
    }
}
