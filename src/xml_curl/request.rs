//! The form that mod_xml_curl sends → what it asks for.
//!
//! Never a copy of the whole form: of some thirty pairs this reads ten. FreeSWITCH asks for every configuration it
//! has at each start and reload (FACTS 2), so a form for anything but `sofia.conf` is told by its first pairs, with nothing
//! allocated.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Instant;

use crate::shown::shown;
use crate::throttle::Throttle;

/// What a form asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    SofiaConf(SofiaConf),
    /// Another configuration, or a section that is none: the directory, the dialplan.
    Other,
}

/// A request for `sofia.conf`. The names are as FreeSWITCH sent them: whether such a profile or gateway exists is for the
/// answer to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SofiaConf {
    /// `None` asks for all profiles (FACTS 3).
    pub profile: Option<String>,
    pub gateway: Gateway,
    /// `reconfig=true`: the profile runs already.
    pub reconfig: bool,
    /// The switchname of who asks (FACTS 37); empty when the form names none.
    pub node: String,
    /// Tells the run of FreeSWITCH that asks from others (FACTS 32). An `enable-post-var` in the binding may leave it out.
    pub core_uuid: Option<String>,
}

/// The form's `gateway` (FACTS 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gateway {
    /// No such pair: the profile whole, settings and gateways.
    NotAsked,
    /// `_all_`, in these letters only: config_gateway (sofia.c) compares with strcmp, so `_ALL_` is a name to it. It then takes
    /// every gateway of the answer.
    All,
    /// Takes the gateway of this name from the answer and passes over all others.
    One(String),
}

/// Which step of FreeSWITCH's a request belongs to; the label `kind` of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// All profiles, asked once when mod_sofia loads.
    Startup,
    /// One profile, as it starts.
    Profile,
    Rescan,
    Startgw,
    StartgwAll,
    /// Not `sofia.conf`, or no form at all.
    Other,
}

impl Kind {
    pub const COUNT: usize = Kind::Other as usize + 1;

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Startup => "startup",
            Kind::Profile => "profile",
            Kind::Rescan => "rescan",
            Kind::Startgw => "startgw",
            Kind::StartgwAll => "startgw_all",
            Kind::Other => "other",
        }
    }
}

/// Why a form is no request of mod_xml_curl's: sent back as plain text with 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    #[error(
        "Content-Type is {0:?}, not {FORM}. mod_xml_curl POSTs a form (or sends the same pairs in the query of a GET): {LIKE}"
    )]
    NotAForm(String),
    #[error("the form has no `section`. mod_xml_curl sends: {LIKE}")]
    NoSection,
    #[error("`{0}` holds a '%' that two hexadecimal digits do not follow; mod_xml_curl writes a '%' itself as %25")]
    BrokenEscape(&'static str),
    #[error("`{0}` is not UTF-8 once its percent-encoding is undone")]
    NotUtf8(&'static str),
    #[error(
        "the switchname is {0} bytes long; at most {MAX_SWITCHNAME_BYTES} are taken: set `switchname` in switch.conf.xml"
    )]
    LongSwitchname(usize),
}

const FORM: &str = "application/x-www-form-urlencoded";
const LIKE: &str = "hostname=<switchname>&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf, \
                    and then the event's headers, profile=, reconfig= and gateway=";

impl Request {
    /// Reads the body of a POST. The request's own query is not read: mod_xml_curl puts every pair in the body, and what stands
    /// in the URL is the operator's own `gateway-url`.
    ///
    /// # Errors
    /// See [`BadRequest`]. A missing Content-Type is taken for a form's.
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

    pub fn kind(&self) -> Kind {
        match self {
            Request::SofiaConf(request) => request.kind(),
            Request::Other => Kind::Other,
        }
    }

    /// Of two pairs with one name the first counts.
    ///
    /// `section` and the names and keys beside it are compared as the bytes they are, since FreeSWITCH does not encode
    /// them (FACTS 1).
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

impl SofiaConf {
    pub fn kind(&self) -> Kind {
        match (&self.gateway, &self.profile) {
            (Gateway::All, _) => Kind::StartgwAll,
            (Gateway::One(_), _) => Kind::Startgw,
            (Gateway::NotAsked, None) => Kind::Startup,
            (Gateway::NotAsked, Some(_)) if self.reconfig => Kind::Rescan,
            (Gateway::NotAsked, Some(_)) => Kind::Profile,
        }
    }
}

const SWITCHNAME: &str = "FreeSWITCH-Switchname";
const CORE_UUID: &str = "Core-UUID";
/// Longer than any host's name, and short enough to be remembered.
const MAX_SWITCHNAME_BYTES: usize = 255;
/// How many fields stand first in every request.
const FIVE: usize = 5;

/// The pairs that count, still encoded.
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

    /// Whether what is read so far can no longer become a request for `sofia.conf`.
    fn is_other(&self) -> bool {
        let differs = |field: Option<&[u8]>, wanted: &[u8]| field.is_some_and(|value| value != wanted);
        self.section.is_some()
            && (differs(self.section, b"configuration")
                || differs(self.tag_name, b"configuration")
                || differs(self.key_name, b"name")
                || differs(self.key_value, b"sofia.conf"))
    }

    /// What FreeSWITCH sends in every request (FACTS 1), in its order.
    fn five(&self) -> [(&'static str, bool); FIVE] {
        [
            ("hostname", self.hostname.is_some()),
            ("section", self.section.is_some()),
            ("tag_name", self.tag_name.is_some()),
            ("key_name", self.key_name.is_some()),
            ("key_value", self.key_value.is_some()),
        ]
    }

    /// Says why a form that may be meant for us is "not found". Anybody can send one: for each set of missing fields
    /// there is a line a minute.
    fn warn_of_missing_fields(&self) {
        static THROTTLES: LazyLock<[Throttle; 1 << FIVE]> =
            LazyLock::new(|| std::array::from_fn(|_| Throttle::default()));
        let (mut missing, mut set) = (Vec::with_capacity(FIVE), 0);
        for (bit, (name, is_there)) in self.five().into_iter().enumerate() {
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
                "answered \"not found\", since the form lacks {}; mod_xml_curl sends hostname, section, tag_name, key_name and \
                 key_value with each request: something else asks, or a proxy changes its requests",
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
            None => Gateway::NotAsked,
            Some(name) if name == "_all_" => Gateway::All,
            Some(name) => Gateway::One(name),
        };
        // The same name twice, but this one is encoded and so exact. An `enable-post-var` in the binding may leave it out.
        let node = match decode(SWITCHNAME, self.switchname)?.filter(|name| !name.is_empty()) {
            Some(name) => name,
            None => String::from_utf8_lossy(&unescape(self.hostname.unwrap_or_default()).0).into_owned(),
        };
        if node.len() > MAX_SWITCHNAME_BYTES {
            return Err(BadRequest::LongSwitchname(node.len()));
        }
        Ok(Request::SofiaConf(SofiaConf {
            profile,
            gateway,
            reconfig: decode("reconfig", self.reconfig)?.as_deref() == Some("true"),
            node,
            // A UUID has nothing to be encoded: what has is none of FreeSWITCH's, and no reason to refuse a request.
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

/// Undoes percent-encoding; a '%' that begins no escape stays, and makes the flag false. A '+' is a plus: FreeSWITCH writes a
/// space as `%20` and a plus as `%2B`.
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
