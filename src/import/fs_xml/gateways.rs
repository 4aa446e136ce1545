//! Finds the gateways in FreeSWITCH's XML, where FreeSWITCH itself looks for them (`parse_gateways`
//! and `parse_domain_tag` in sofia.c).

use super::super::draft::Remarks;
use super::super::words::quoted;
use super::super::{Level, Place, Remark};
use super::element::{Element, Elements, Malformed, Step};
use super::gateway::{Owner, RawGateway};
use super::text::Text;
use crate::gateway::is_true;
use crate::language::{message, text};

/// The elements around a gateway: in a profile, and at a user of the directory in both of its forms. A
/// file may begin inside of any of them.
const GATEWAYS: [&[&str]; 3] = [
    &["configuration", "profiles", "profile", "gateways", "gateway"],
    &["domain", "groups", "group", "users", "user", "gateways", "gateway"],
    &["domain", "user", "gateways", "gateway"],
];
/// Profiles and what is read of them, likewise.
const PROFILE: &[&str] = &["configuration", "profiles", "profile"];
const SETTINGS: &[&str] = &["configuration", "profiles", "profile", "settings"];
const PROFILE_DOMAIN: &[&str] = &["configuration", "profiles", "profile", "domains", "domain"];

/// What the texts of an import have.
#[derive(Default)]
pub(super) struct Found {
    pub(super) gateways: Vec<RawGateway>,
    pub(super) profiles: Vec<Profile>,
}

/// A profile, and the domains of the directory whose users' gateways it takes.
pub(super) struct Profile {
    pub(super) name: String,
    /// `all`, or names.
    pub(super) domains: Vec<String>,
}

/// An element that is open.
struct Frame {
    name: String,
    /// Its attribute `name`.
    named: String,
    has_gateways: bool,
    /// A second `<gateways>`, which FreeSWITCH doesn't see.
    is_ignored: bool,
}

/// Adds what a text has. `file_profile` is the profile of gateways that stand alone in it.
pub(super) fn read(text: &Text, file_profile: Option<&str>, found: &mut Found, remarks: &mut Remarks) {
    let mut elements = Elements::of(text);
    let mut reader = Reader {
        found,
        remarks,
        file_profile,
        frames: Vec::new(),
        gateway: None,
    };
    loop {
        match elements.next() {
            Ok(Some(Step::Open(element))) => reader.open(&element),
            Ok(Some(Step::Close)) => reader.close(),
            Ok(None) => break,
            Err(Malformed { place, reason }) => {
                let fix = crate::language::text(
                    "correct it: FreeSWITCH doesn't load it either, and what follows was not imported",
                    "请更正：FreeSWITCH 也无法加载它，其后的内容没有导入",
                );
                reader
                    .remarks
                    .push(Remark::new(place, Level::Error, reason).with_fix(fix));
                break;
            }
        }
    }
}

struct Reader<'a> {
    found: &'a mut Found,
    remarks: &'a mut Remarks,
    file_profile: Option<&'a str>,
    frames: Vec<Frame>,
    /// The gateway that is open.
    gateway: Option<RawGateway>,
}

impl Reader<'_> {
    fn open(&mut self, element: &Element) {
        if let Some(gateway) = &mut self.gateway {
            return gateway.open(element);
        }
        let named = element.attribute("name").unwrap_or_default();
        self.frames.push(Frame {
            name: element.name.clone(),
            named: named.to_owned(),
            has_gateways: false,
            is_ignored: false,
        });
        match element.name.as_str() {
            "gateway" if self.is_gateway() => self.gateway = Some(RawGateway::new(element, self.owner())),
            "gateways" => self.check_first(&element.place),
            "profile" if self.is_at(PROFILE, 1) => self.found.profiles.push(Profile {
                name: named.to_owned(),
                domains: Vec::new(),
            }),
            "domain" if self.is_at(PROFILE_DOMAIN, 3) && is_true(element.attribute("parse").unwrap_or_default()) => {
                if let Some(profile) = self.found.profiles.last_mut() {
                    profile.domains.push(named.to_owned());
                }
            }
            "settings" if self.is_at(SETTINGS, 2) => self.report_settings(&element.place),
            _ => {}
        }
    }

    fn close(&mut self) {
        match self.gateway.take() {
            Some(mut gateway) if gateway.is_inside() => {
                gateway.close();
                self.gateway = Some(gateway);
            }
            gateway => {
                self.found.gateways.extend(gateway);
                self.frames.pop();
            }
        }
    }

    /// Whether the open elements are the last of these, and at least so many of them.
    fn is_at(&self, chain: &[&str], least: usize) -> bool {
        let names = self.frames.iter().map(|frame| frame.name.as_str());
        let path: Vec<_> = names
            .skip_while(|name| matches!(*name, "document" | "section"))
            .collect();
        path.len() >= least && chain.ends_with(&path) && self.is_sofia()
    }

    /// Whether the configuration around, if there is one, is that of mod_sofia.
    fn is_sofia(&self) -> bool {
        let configuration = self.frame("configuration");
        configuration.is_none_or(|frame| frame.named.eq_ignore_ascii_case("sofia.conf"))
    }

    fn is_gateway(&self) -> bool {
        let is_ignored = self.frames.iter().any(|frame| frame.is_ignored);
        !is_ignored && GATEWAYS.iter().any(|chain| self.is_at(chain, 1))
    }

    fn frame(&self, name: &str) -> Option<&Frame> {
        self.frames.iter().rfind(|frame| frame.name == name)
    }

    fn owner(&self) -> Owner {
        let domain = || self.frame("domain").map(|frame| frame.named.clone());
        match (self.frame("profile"), self.frame("user")) {
            (Some(profile), _) => Owner::Profile(profile.named.clone()),
            (None, Some(_)) => Owner::User { domain: domain() },
            (None, None) => Owner::File(self.file_profile.map(str::to_owned)),
        }
    }

    /// FreeSWITCH reads the first `<gateways>` of a profile or user alone (`switch_xml_child`).
    fn check_first(&mut self, place: &Place) {
        let [.., parent, frame] = &mut self.frames[..] else {
            return;
        };
        if !matches!(parent.name.as_str(), "profile" | "user") {
            return;
        }
        frame.is_ignored = std::mem::replace(&mut parent.has_gateways, true);
        if frame.is_ignored {
            let name = quoted(&parent.name);
            let reason = message!(
                "FreeSWITCH reads only the first `<gateways>` of a {name}, so this one was left out",
                "FreeSWITCH 只读取{name}的第一个 `<gateways>`，此处已略过"
            );
            let fix = text("put all gateways into one", "请将所有网关放在一起");
            self.remarks
                .push(Remark::new(place.clone(), Level::Warning, reason).with_fix(fix));
        }
    }

    fn report_settings(&mut self, place: &Place) {
        let Some(profile) = self.frame("profile") else { return };
        let name = quoted(&profile.named);
        let reason = message!(
            "the settings of the profile {name} are not a gateway's, and were not imported",
            "profile {name} 的设置不属于网关，没有导入"
        );
        let fix = text(
            "put the profile's file into templates/sip_profiles/ if trunkd is to serve it",
            "如果由 trunkd 下发该 profile，请将其文件放入 templates/sip_profiles/",
        );
        self.remarks
            .push(Remark::new(place.clone(), Level::Note, reason).with_fix(fix));
    }
}
