//! The form that mod_xml_curl sends → what it asks for.
//!
//! FreeSWITCH asks for every configuration it has at each start and reload (FACTS 2), so a form for
//! anything but `sofia.conf` is recognized by its first pairs, without an allocation. Of a form's
//! thirty or so pairs, ten are read.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Instant;

use crate::shown::shown;
use crate::throttle::Throttle;

/// What a form asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    SofiaConf(SofiaConfRequest),
    /// Another configuration, or another section, such as the directory or the dialplan.
    Other,
}

/// A request for `sofia.conf`. The names are as FreeSWITCH sent them; such a profile or gateway
/// need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SofiaConfRequest {
    /// `None` means all profiles (FACTS 3).
    pub profile: Option<String>,
    pub gateway: RequestedGateway,
    /// `reconfig=true`: the profile already runs.
    pub reconfig: bool,
    /// The switchname of the FreeSWITCH that asks (FACTS 37); empty if the form has none.
    pub node: String,
    /// Changes at each start of FreeSWITCH (FACTS 32). An `enable-post-var` in the binding may
    /// leave it out.
    pub core_uuid: Option<String>,
}

/// The form's `gateway` (FACTS 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedGateway {
    /// The form has none: the whole profile, settings and gateways.
    Absent,
    /// `_all_`, and only in lower case: config_gateway (sofia.c) compares with strcmp, so `_ALL_`
    /// is a name. FreeSWITCH adds every gateway of the answer.
    All,
    /// FreeSWITCH adds the gateway of this name and ignores all others in the answer.
    One(String),
}

/// What makes FreeSWITCH ask; the label `kind` of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// All profiles: mod_sofia asks once, when it loads.
    Startup,
    /// One profile, when it starts.
    Profile,
    Rescan,
    Startgw,
    StartgwAll,
    /// Not `sofia.conf`, or no form at all.
    Other,
}

impl RequestKind {
    pub const ALL: [Self; 6] = [
        Self::Startup,
        Self::Profile,
        Self::Rescan,
        Self::Startgw,
        Self::StartgwAll,
        Self::Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Profile => "profile",
            Self::Rescan => "rescan",
            Self::Startgw => "startgw",
            Self::StartgwAll => "startgw_all",
            Self::Other => "other",
        }
    }
}

/// Why a form cannot be from mod_xml_curl: sent back as plain text with status 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error(
        "Content-Type is {0:?}, not {FORM}. mod_xml_curl POSTs a form (or sends the same pairs in the query \
         of a GET): {EXPECTED}"
    )]
    NotAForm(String),
    #[error("the form has no `section`. mod_xml_curl sends: {EXPECTED}")]
    NoSection,
    #[error("`{0}` has a '%' without two hexadecimal digits after it; mod_xml_curl encodes a literal '%' as %25")]
    BrokenEscape(&'static str),
    #[error("`{0}` is not UTF-8 after percent-decoding")]
    NotUtf8(&'static str),
    #[error(
        "the switchname is {0} bytes long, and the limit is {MAX_SWITCHNAME_BYTES}: set `switchname` in switch.conf.xml"
    )]
    LongSwitchname(usize),
}

const FORM: &str = "application/x-www-form-urlencoded";
const EXPECTED: &str = "hostname=<switchname>&section=configuration&tag_name=configuration&key_name=name\
                        &key_value=sofia.conf, and then the event's headers, profile=, reconfig= and gateway=";

impl Request {
    /// Reads the body of a POST. The query is ignored: mod_xml_curl puts every pair into the body,
    /// and the URL is the operator's `gateway-url`. A missing Content-Type counts as that of a
    /// form.
    ///
    /// # Errors
    /// See [`BadRequest`].
    pub fn from_body(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, BadRequest> {
        if let Some(content_type) = content_type {
            let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
            if !essence.trim_ascii().eq_ignore_ascii_case(FORM.as_bytes()) {
                let shown = &content_type[..content_type.len().min(100)];
                return Err(BadRequest::NotAForm(String::from_utf8_lossy(shown).into_owned()));
            }
        }
        Self::from_form(body)
    }

    /// Reads the query of a GET: the same pairs (FACTS 1).
    ///
    /// # Errors
    /// See [`BadRequest`].
    pub fn from_query(query: &[u8]) -> Result<Self, BadRequest> {
        Self::from_form(query)
    }

    /// If two pairs have the same name, the first one wins.
    ///
    /// `section`, `tag_name`, `key_name` and `key_value` are compared as raw bytes, because
    /// FreeSWITCH does not encode them (FACTS 1).
    fn from_form(form: &[u8]) -> Result<Self, BadRequest> {
        let mut pairs = Pairs::default();
        for pair in form.split(|&byte| byte == b'&') {
            let (name, value) = match pair.iter().position(|&byte| byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            if let Some(field) = pairs.field(name) {
                field.get_or_insert(value);
                if pairs.is_other() {
                    return Ok(Request::Other);
                }
            }
        }
        pairs.sofia_conf()
    }
}

impl SofiaConfRequest {
    pub fn kind(&self) -> RequestKind {
        match (&self.gateway, &self.profile) {
            (RequestedGateway::All, _) => RequestKind::StartgwAll,
            (RequestedGateway::One(_), _) => RequestKind::Startgw,
            (RequestedGateway::Absent, None) => RequestKind::Startup,
            (RequestedGateway::Absent, Some(_)) if self.reconfig => RequestKind::Rescan,
            (RequestedGateway::Absent, Some(_)) => RequestKind::Profile,
        }
    }
}

const SWITCHNAME: &str = "FreeSWITCH-Switchname";
const CORE_UUID: &str = "Core-UUID";
/// Longer than any host name, and short enough to store.
const MAX_SWITCHNAME_BYTES: usize = 255;
/// The fields that are first in every request.
const FIRST_FIELDS: usize = 5;

/// The pairs that are read, still encoded.
#[derive(Default)]
struct Pairs<'a> {
    section: Option<&'a [u8]>,
    tag_name: Option<&'a [u8]>,
    key_name: Option<&'a [u8]>,
    key_value: Option<&'a [u8]>,
    hostname: Option<&'a [u8]>,
    switchname: Option<&'a [u8]>,
    core_uuid: Option<&'a [u8]>,
    profile: Option<&'a [u8]>,
    reconfig: Option<&'a [u8]>,
    gateway: Option<&'a [u8]>,
}

impl<'a> Pairs<'a> {
    fn field(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        Some(match name {
            b"section" => &mut self.section,
            b"tag_name" => &mut self.tag_name,
            b"key_name" => &mut self.key_name,
            b"key_value" => &mut self.key_value,
            b"hostname" => &mut self.hostname,
            b"profile" => &mut self.profile,
            b"reconfig" => &mut self.reconfig,
            b"gateway" => &mut self.gateway,
            name if name == SWITCHNAME.as_bytes() => &mut self.switchname,
            name if name == CORE_UUID.as_bytes() => &mut self.core_uuid,
            _ => return None,
        })
    }

    /// Whether the pairs so far rule out a request for `sofia.conf`.
    fn is_other(&self) -> bool {
        let differs = |field: Option<&[u8]>, wanted: &[u8]| field.is_some_and(|value| value != wanted);
        self.section.is_some()
            && (differs(self.section, b"configuration")
                || differs(self.tag_name, b"configuration")
                || differs(self.key_name, b"name")
                || differs(self.key_value, b"sofia.conf"))
    }

    /// What FreeSWITCH sends in every request (FACTS 1), in its order.
    fn first_fields(&self) -> [(&'static str, bool); FIRST_FIELDS] {
        [
            ("hostname", self.hostname.is_some()),
            ("section", self.section.is_some()),
            ("tag_name", self.tag_name.is_some()),
            ("key_name", self.key_name.is_some()),
            ("key_value", self.key_value.is_some()),
        ]
    }

    /// Logs why a form that may be meant for trunkd is "not found". Anybody can send one, so each
    /// set of missing fields gets one line a minute.
    fn warn_of_missing_fields(&self) {
        static THROTTLES: LazyLock<[Throttle; 1 << FIRST_FIELDS]> =
            LazyLock::new(|| std::array::from_fn(|_| Throttle::default()));
        let (mut missing, mut set) = (Vec::with_capacity(FIRST_FIELDS), 0);
        for (bit, (name, is_there)) in self.first_fields().into_iter().enumerate() {
            if !is_there {
                missing.push(name);
                set |= 1 << bit;
            }
        }
        if let Some(held) = THROTTLES[set].pass(Instant::now()) {
            let hostname = String::from_utf8_lossy(&unescape(self.hostname.unwrap_or_default()).0).into_owned();
            tracing::warn!(
                hostname = %shown(&hostname),
                held,
                "answered \"not found\", because the form lacks {}; mod_xml_curl sends hostname, section, \
                 tag_name, key_name and key_value with each request: something else sent this, or a proxy \
                 changed it",
                missing.join(", ")
            );
        }
    }

    fn sofia_conf(self) -> Result<Request, BadRequest> {
        if self.section.is_none() {
            return Err(BadRequest::NoSection);
        }
        if self.tag_name.is_none() || self.key_name.is_none() || self.key_value.is_none() {
            self.warn_of_missing_fields();
            return Ok(Request::Other);
        }
        let decode = |name, value: Option<&[u8]>| value.map(|value| decode(name, value)).transpose();
        let profile = decode("profile", self.profile)?.filter(|name| !name.is_empty());
        let gateway = match decode("gateway", self.gateway)? {
            None => RequestedGateway::Absent,
            Some(name) if name == "_all_" => RequestedGateway::All,
            Some(name) => RequestedGateway::One(name),
        };
        // `hostname` holds the same name but is not encoded. An `enable-post-var` in the binding
        // may leave this one out.
        let node = match decode(SWITCHNAME, self.switchname)?.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => String::from_utf8_lossy(&unescape(self.hostname.unwrap_or_default()).0).into_owned(),
        };
        if node.len() > MAX_SWITCHNAME_BYTES {
            return Err(BadRequest::LongSwitchname(node.len()));
        }
        Ok(Request::SofiaConf(SofiaConfRequest {
            profile,
            gateway,
            reconfig: decode("reconfig", self.reconfig)?.as_deref() == Some("true"),
            node,
            // Never encoded. Anything but a UUID is not from FreeSWITCH, and no reason to refuse a
            // request.
            core_uuid: self.core_uuid.and_then(|uuid| String::from_utf8(uuid.to_vec()).ok()),
        }))
    }
}

fn decode(name: &'static str, value: &[u8]) -> Result<String, BadRequest> {
    match unescape(value) {
        (_, false) => Err(BadRequest::BrokenEscape(name)),
        (bytes, true) => String::from_utf8(bytes.into_owned()).map_err(|_| BadRequest::NotUtf8(name)),
    }
}

/// Decodes percent-encoding. A '%' that begins no escape stays, and makes the flag false. A '+' is
/// a plus: FreeSWITCH encodes a space as `%20` and a plus as `%2B`.
fn unescape(value: &[u8]) -> (Cow<'_, [u8]>, bool) {
    if !value.contains(&b'%') {
        return (Cow::Borrowed(value), true);
    }
    let digit = |byte: Option<&u8>| {
        byte.and_then(|&byte| char::from(byte).to_digit(16))
            .map(|digit| digit as u8)
    };
    let mut whole = true;
    let mut bytes = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        at += 1;
        if byte == b'%' {
            if let (Some(high), Some(low)) = (digit(value.get(at)), digit(value.get(at + 1))) {
                bytes.push(high << 4 | low);
                at += 2;
                continue;
            }
            whole = false;
        }
        bytes.push(byte);
    }
    (Cow::Owned(bytes), whole)
}

#[cfg(test)]
mod tests;
