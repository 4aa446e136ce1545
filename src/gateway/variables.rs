//! What is known of a gateway's variables: the catalog of those that operators use, and what FreeSWITCH does with a
//! value (FACTS 16).

use crate::language::{Text, text};

/// One variable of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariableSpec {
    pub name: &'static str,
    /// What it is for: one sentence.
    pub purpose: Text,
    /// What to do with it: one sentence.
    pub advice: Text,
    pub example: &'static str,
}

/// The variables that operators set most. FreeSWITCH has hundreds, and any may be set.
pub const VARIABLES: [VariableSpec; 5] = [
    VariableSpec {
        name: "absolute_codec_string",
        purpose: text("The codecs offered on calls, in order.", "呼叫时按此顺序提供的编解码。"),
        advice: text("`PCMA,PCMU`.", "例如 `PCMA,PCMU`。"),
        example: "PCMA,PCMU",
    },
    VariableSpec {
        name: "p:caller_id_number",
        purpose: text(
            "The caller's number shown on outbound calls; `p:` sets a field of the caller profile.",
            "呼出时显示的主叫号码；`p:` 表示设置主叫资料（caller profile）中的字段。",
        ),
        advice: text(
            "A number of yours that the carrier knows.",
            "填运营商已登记给您的号码。",
        ),
        example: "1001",
    },
    VariableSpec {
        name: "sip_cid_type",
        purpose: text(
            "The header that carries the caller's number: `rpid`, `pid` (P-Asserted-Identity) or `none`.",
            "携带主叫号码的头域：`rpid`、`pid`（P-Asserted-Identity）或 `none`。",
        ),
        advice: text("What the carrier asks for.", "按运营商的要求填写。"),
        example: "pid",
    },
    VariableSpec {
        name: "sip_sticky_contact",
        purpose: text(
            "Keep talking to the address that a call came from.",
            "始终向呼叫的来源地址发送信令。",
        ),
        advice: text("`true` against trouble with NAT.", "遇到 NAT 问题时设为 `true`。"),
        example: "true",
    },
    VariableSpec {
        name: "rtp_secure_media",
        purpose: text("Encrypt the media of calls (SRTP).", "加密通话媒体（SRTP）。"),
        advice: text("`true` where the carrier offers it.", "运营商支持时设为 `true`。"),
        example: "true",
    },
];

/// Whether a name is that of a variable rather than a param: one of the catalog, or of a family that FreeSWITCH has.
pub(crate) fn is_variable(name: &str) -> bool {
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
