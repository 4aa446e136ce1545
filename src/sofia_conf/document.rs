//! Which part of the configuration is asked for, and the document that answers.

use super::escape::push_attribute;
use super::render::push_gateway;
use super::templates::{Part, Profile};
use super::{RevisionKey, Templates};
use crate::gateway::{Desired, Gateway};

/// The constant answer to everything trunkd doesn't serve (FACTS 7).
pub const NOT_FOUND: &str = r#"<document type="freeswitch/xml">
  <section name="result">
    <result status="not found"/>
  </section>
</document>
"#;

/// About what a gateway takes in a document, in bytes.
const GATEWAY_BYTES: usize = 1024;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The profile alone; `None` is all of them.
    pub profile: Option<&'a str>,
    pub gateway: GatewayQuery<'a>,
    /// The switchname of who asks: it gets the gateways that name it, and those that name nobody. `None` gets all.
    pub node: Option<&'a str>,
}

/// The `gateway=` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayQuery<'a> {
    /// Not given: profiles with settings.
    None,
    /// That gateway alone, without settings.
    One(&'a str),
    /// `_all_`: every gateway of the profile, without settings.
    All,
}

impl Templates {
    /// The document that answers, or `None` when there is no template for the profile that is asked for.
    ///
    /// A document for one gateway never costs a walk over the others (FACTS 21). One for a profile has the global
    /// settings too: FreeSWITCH sets some of them back to its defaults whenever it reads a profile (`config_sofia` in
    /// sofia.c).
    pub fn document(&self, desired: &Desired, key: &RevisionKey, query: &Query<'_>) -> Option<String> {
        let asked = match query.profile {
            Some(name) => Some(self.find_profile(name)?),
            None => None,
        };
        let answer = Answer { desired, key, query };
        Some(match query.gateway {
            GatewayQuery::None => self.with_settings(&answer, asked),
            GatewayQuery::One(_) | GatewayQuery::All => self.gateways_only(&answer, asked),
        })
    }

    /// FreeSWITCH compares profile names in any case.
    fn find_profile(&self, name: &str) -> Option<&Profile> {
        self.profiles()
            .find(|profile| profile.name.as_str().eq_ignore_ascii_case(name))
    }

    /// The templates as they stand, with our gateways at `<gateways>`.
    fn with_settings(&self, answer: &Answer<'_>, asked: Option<&Profile>) -> String {
        let gateways = answer.desired.served().len() * GATEWAY_BYTES;
        let mut out = String::with_capacity(self.text_bytes() + gateways + 256);
        out.push_str("<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n");
        out.push_str(&self.head);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Profile(profile) if asked.is_none_or(|asked| asked.name == profile.name) => {
                    answer.push_profile(&mut out, profile);
                }
                Part::Profile(_) => {}
            }
        }
        out.push_str(&self.tail);
        out.push_str("</section>\n</document>\n");
        out
    }

    /// The profiles without our gateways: what FreeSWITCH keeps on its disk for when trunkd is away (FACTS 7), as
    /// `autoload_configs/sofia.conf.xml`. A file there holds the configuration and nothing around it.
    pub fn without_gateways(&self) -> String {
        let mut out = String::with_capacity(self.text_bytes());
        out.push_str(&self.head);
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Profile(profile) => out.push_str(&profile.untouched),
            }
        }
        out.push_str(&self.tail);
        out
    }

    fn text_bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(Part::len).sum();
        self.head.len() + parts + self.tail.len()
    }

    /// Profile → gateways → gateway, which is all that `startgw` reads (FACTS 17).
    fn gateways_only(&self, answer: &Answer<'_>, asked: Option<&Profile>) -> String {
        let mut out = String::with_capacity(2 * GATEWAY_BYTES);
        out.push_str(concat!(
            "<document type=\"freeswitch/xml\">\n",
            "  <section name=\"configuration\">\n",
            "    <configuration name=\"sofia.conf\" description=\"sofia Endpoint\">\n",
            "      <profiles>\n",
        ));
        for profile in self
            .profiles()
            .filter(|p| asked.is_none_or(|asked| asked.name == p.name))
        {
            let mut inside = String::new();
            answer.push_gateways_only(&mut inside, profile);
            if inside.is_empty() && asked.is_none() {
                continue;
            }
            out.push_str("        <profile name=\"");
            push_attribute(&mut out, profile.name.as_str());
            out.push_str("\">\n          <gateways>\n");
            out.push_str(&inside);
            out.push_str("          </gateways>\n        </profile>\n");
        }
        out.push_str("      </profiles>\n    </configuration>\n  </section>\n</document>\n");
        out
    }
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Profile(profile) => profile.untouched.len(),
        }
    }
}

/// What one document is made from.
struct Answer<'a> {
    desired: &'a Desired,
    key: &'a RevisionKey,
    query: &'a Query<'a>,
}

impl Answer<'_> {
    fn push_profile(&self, out: &mut String, profile: &Profile) {
        let mut ours = self.ours(profile).peekable();
        if ours.peek().is_none() {
            return out.push_str(&profile.untouched);
        }
        out.push_str(&profile.before);
        for gateway in ours {
            push_gateway(out, gateway, self.key, &profile.indent);
        }
        out.push_str(&profile.after);
    }

    fn push_gateways_only(&self, out: &mut String, profile: &Profile) {
        const INDENT: &str = "            ";
        match self.query.gateway {
            GatewayQuery::One(name) => {
                if let Some(gateway) = self.one(name).filter(|gateway| gateway.profile == profile.name) {
                    push_gateway(out, gateway, self.key, INDENT);
                } else if let Some((_, text)) = profile.own_gateways.iter().find(|(own, _)| own.as_str() == name) {
                    out.push_str(text);
                } else if profile.own_section_has_more && self.desired.get(name).is_none() {
                    // It may be in a file on FreeSWITCH's disk; of what it gets, FreeSWITCH takes the one it wants.
                    out.push_str(&profile.own_section);
                }
            }
            GatewayQuery::All | GatewayQuery::None => {
                out.push_str(&profile.own_section);
                for gateway in self.ours(profile) {
                    push_gateway(out, gateway, self.key, INDENT);
                }
            }
        }
    }

    fn one(&self, name: &str) -> Option<&Gateway> {
        let entry = self.desired.get(name)?;
        Some(&entry.gateway).filter(|gateway| gateway.serves(self.query.node))
    }

    /// Our gateways of a profile.
    fn ours(&self, profile: &Profile) -> impl Iterator<Item = &Gateway> {
        let gateways = self.desired.served().values().map(|entry| &entry.gateway);
        gateways.filter(|gateway| gateway.profile == profile.name && gateway.serves(self.query.node))
    }
}
