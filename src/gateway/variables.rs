//! What is known of a gateway's variables: the catalog of those that operators use, and what FreeSWITCH does with a
//! value (FACTS 16).

/// One variable of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariableSpec {
    pub name: &'static str,
    /// What it is for: one sentence.
    pub purpose: &'static str,
    /// What to do with it: one sentence, or nothing.
    pub advice: &'static str,
}

/// The variables that operators set most. FreeSWITCH has hundreds, and any may be set.
pub const VARIABLES: [VariableSpec; 5] = [
    VariableSpec {
        name: "absolute_codec_string",
        purpose: "The codecs offered on calls, in order.",
        advice: "`PCMA,PCMU`.",
    },
    VariableSpec {
        name: "p:caller_id_number",
        purpose: "The caller's number shown on outbound calls; `p:` sets a field of the caller profile.",
        advice: "A number of yours that the carrier knows.",
    },
    VariableSpec {
        name: "sip_cid_type",
        purpose: "The header that carries the caller's number: `rpid`, `pid` (P-Asserted-Identity) or `none`.",
        advice: "What the carrier asks for.",
    },
    VariableSpec {
        name: "sip_sticky_contact",
        purpose: "Keep talking to the address that a call came from.",
        advice: "`true` against trouble with NAT.",
    },
    VariableSpec {
        name: "rtp_secure_media",
        purpose: "Encrypt the media of calls (SRTP).",
        advice: "`true` where the carrier offers it.",
    },
];

/// Whether a name is that of a variable rather than a param: one of the catalog, or of a family that FreeSWITCH has.
pub(super) fn is_variable(name: &str) -> bool {
    const FAMILIES: [&str; 7] = [
        "sip_",
        "rtp_",
        "p:",
        "effective_",
        "origination_",
        "absolute_",
        "ignore_",
    ];
    VARIABLES.iter().any(|known| known.name == name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// The field of the caller profile that a variable sets on outbound calls (`sofia_outgoing_channel` in mod_sofia.c).
pub(super) fn caller_profile_field(name: &str) -> Option<&str> {
    name.strip_prefix("p:")
}

/// Whether FreeSWITCH takes a value for one that is to be expanded (`switch_string_var_check_const` in switch_utils.h).
pub(super) fn is_expandable(value: &str) -> bool {
    let mut after_dollar = false;
    value.bytes().any(|byte| {
        let found = byte == b'{' && after_dollar;
        after_dollar = byte == b'$' || (byte == b'\\' && after_dollar);
        found
    })
}
