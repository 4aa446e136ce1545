//! Which part of the configuration is asked for, and the document that answers.

use std::sync::Arc;

use super::Templates;
use super::blocks::{Block, Changed, Place, Text, Writer, next_blocks};
use super::escape::escape_attribute;
use super::parts::{Part, Profile};
use super::render::push_gateway;
use crate::all_cores::on_all_cores;
use crate::gateway::{Desired, Entries, Entry, EntryChange, Gateway, GatewayName, RevisionKey};

/// The constant answer to everything trunkd doesn't serve (FACTS 7).
pub const NOT_FOUND: &str = r#"<document type="freeswitch/xml">
  <section name="result">
    <result status="not found"/>
  </section>
</document>
"#;

/// About what a gateway takes in a document, in bytes.
const GATEWAY_BYTES: usize = 1024;

/// So many are written on all cores.
const MANY: usize = 1000;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The profile alone; `None` is all of them: with their settings, they come without our gateways then.
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

/// A document in which every gateway of ours can be found again, so that the next one is made from it.
#[derive(Debug)]
pub struct Document {
    text: Text,
    blocks: Vec<Arc<Block>>,
    /// What it was made from.
    served: Entries,
}

impl Document {
    pub fn text(&self) -> &Text {
        &self.text
    }

    fn new(blocks: Vec<Arc<Block>>, served: &Entries) -> Self {
        Self {
            text: blocks.iter().map(|block| block.text()).collect(),
            blocks,
            served: served.clone(),
        }
    }

    /// Whether there are gateways of these profiles, by number.
    fn has_gateways(&self, profiles: usize) -> Vec<bool> {
        let mut has = vec![false; profiles];
        for profile in self.blocks.iter().flat_map(|block| block.profiles()) {
            if let Some(has) = has.get_mut(profile) {
                *has = true;
            }
        }
        has
    }
}

impl Templates {
    /// The document that answers, or `None` when there is no template for the profile that is asked for.
    ///
    /// A document for one gateway never costs a walk over the others (FACTS 21). One for a profile has the global
    /// settings too: FreeSWITCH sets some of them back to its defaults whenever it reads a profile (`config_sofia` in
    /// sofia.c).
    pub fn document(&self, desired: &Desired, key: &RevisionKey, query: &Query<'_>) -> Option<String> {
        Some(self.next_document(desired, key, query, None)?.text.to_string())
    }

    /// As [`Templates::document`]. Of what did not change since `before`, the text is taken from there: that must be of these templates, under this key, and
    /// of the same question.
    pub fn next_document(
        &self,
        desired: &Desired,
        key: &RevisionKey,
        query: &Query<'_>,
        before: Option<&Document>,
    ) -> Option<Document> {
        let asked = match query.profile {
            Some(name) => Some(self.find_profile(name)?),
            None => None,
        };
        let answer = Answer {
            desired,
            key,
            query,
            asked,
        };
        if let Some(next) = before.and_then(|before| self.change(&answer, before)) {
            return Some(next);
        }
        let blocks = match query.gateway {
            GatewayQuery::None => self.with_settings(&answer),
            GatewayQuery::One(_) | GatewayQuery::All => self.gateways_only(&answer),
        };
        Some(Document::new(blocks, desired.served()))
    }

    /// Writes those gateways alone that are others than before. `None` when that is not enough.
    fn change(&self, answer: &Answer<'_>, before: &Document) -> Option<Document> {
        if matches!(answer.query.gateway, GatewayQuery::One(_)) {
            return None;
        }
        let place = |name: &GatewayName, entry: &Entry| {
            let (profile, _) = self
                .profiles()
                .enumerate()
                .find(|(_, profile)| answer.is_of(entry, profile))?;
            Some(Place {
                profile,
                name: name.clone(),
            })
        };
        let mut changes: Vec<Changed<'_>> = Vec::new();
        for change in EntryChange::between(&before.served, answer.desired.served()) {
            let old = change.before.and_then(|entry| place(change.name, entry));
            let new = change.now.and_then(|entry| Some((place(change.name, entry)?, entry)));
            if let Some(old) = old.filter(|old| new.as_ref().is_none_or(|(new, _)| new != old)) {
                changes.push((old, None));
            }
            changes.extend(new.map(|(place, entry)| (place, Some(entry))));
        }
        changes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let profiles: Vec<_> = self.profiles().collect();
        let blocks = next_blocks(&before.blocks, changes, |text, place, entry| {
            let indent = profiles
                .get(place.profile)
                .map_or("", |profile| match answer.query.gateway {
                    GatewayQuery::None => &profile.indent,
                    _ => INDENT,
                });
            push_gateway(text, &entry.gateway, answer.key, indent);
        })?;
        let next = Document::new(blocks, answer.desired.served());
        // A profile without any gateway of ours stands as it is in its template.
        let has = |document: &Document| document.has_gateways(profiles.len());
        (has(&next) == has(before)).then_some(next)
    }

    /// FreeSWITCH compares profile names in any case.
    fn find_profile(&self, name: &str) -> Option<&Profile> {
        self.profiles()
            .find(|profile| profile.name.as_str().eq_ignore_ascii_case(name))
    }

    /// The templates as they stand, with our gateways at `<gateways>`.
    fn with_settings(&self, answer: &Answer<'_>) -> Vec<Arc<Block>> {
        let mut out = Writer::new(self.text_bytes() + 2 * GATEWAY_BYTES);
        out.push_str("<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n");
        out.push_str(&self.head);
        let mut number = 0;
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Profile(profile) => {
                    if answer.asked.is_none_or(|asked| asked.name == profile.name) {
                        answer.push_profile(&mut out, number, profile);
                    }
                    number += 1;
                }
            }
        }
        out.push_str(&self.tail);
        out.push_str("</section>\n</document>\n");
        out.finish()
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
    fn gateways_only(&self, answer: &Answer<'_>) -> Vec<Arc<Block>> {
        let mut out = Writer::new(2 * GATEWAY_BYTES);
        out.push_str(concat!(
            "<document type=\"freeswitch/xml\">\n",
            "  <section name=\"configuration\">\n",
            "    <configuration name=\"sofia.conf\" description=\"sofia Endpoint\">\n",
            "      <profiles>\n",
        ));
        let asked = answer.asked;
        for (number, profile) in self
            .profiles()
            .enumerate()
            .filter(|(_, p)| asked.is_none_or(|asked| asked.name == p.name))
        {
            if asked.is_none() && !answer.has_any(profile) {
                continue;
            }
            out.push_str("        <profile name=\"");
            out.push_str(&escape_attribute(profile.name.as_str()));
            out.push_str("\">\n          <gateways>\n");
            answer.push_gateways_only(&mut out, number, profile);
            out.push_str("          </gateways>\n        </profile>\n");
        }
        out.push_str("      </profiles>\n    </configuration>\n  </section>\n</document>\n");
        out.finish()
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
    asked: Option<&'a Profile>,
}

/// Of the gateways of a document that is not a profile's own.
const INDENT: &str = "            ";

impl<'a> Answer<'a> {
    fn push_profile(&self, out: &mut Writer, number: usize, profile: &Profile) {
        let mut ours = self.ours(profile).peekable();
        if ours.peek().is_none() {
            return out.push_str(&profile.untouched);
        }
        out.push_str(&profile.before);
        self.push_gateways(out, number, ours, &profile.indent);
        out.push_str(&profile.after);
    }

    fn push_gateways_only(&self, out: &mut Writer, number: usize, profile: &Profile) {
        match self.query.gateway {
            GatewayQuery::One(name) => match self.one(name, profile) {
                Some(One::Ours(gateway)) => {
                    push_gateway(out.text(), gateway, self.key, INDENT);
                }
                Some(One::Own(text)) => out.push_str(text),
                None => {}
            },
            GatewayQuery::All | GatewayQuery::None => {
                out.push_str(&profile.own_section);
                self.push_gateways(out, number, self.ours(profile), INDENT);
            }
        }
    }

    fn push_gateways<'e>(
        &self,
        out: &mut Writer,
        profile: usize,
        entries: impl Iterator<Item = &'e Arc<Entry>>,
        indent: &str,
    ) {
        let write = |out: &mut Writer, entries: &[&Arc<Entry>]| {
            for entry in entries {
                let place = Place {
                    profile,
                    name: entry.gateway.name.clone(),
                };
                out.gateway(place, |text| {
                    push_gateway(text, &entry.gateway, self.key, indent);
                });
            }
        };
        let entries: Vec<_> = entries.collect();
        if entries.len() < MANY {
            return write(out, &entries);
        }
        let parts = on_all_cores(&entries, |part| {
            let mut out = Writer::new(MANY * GATEWAY_BYTES);
            write(&mut out, part);
            out.finish()
        });
        for part in parts {
            out.append(part);
        }
    }

    /// Whether anything would stand in a profile that holds gateways alone.
    fn has_any(&self, profile: &'a Profile) -> bool {
        match self.query.gateway {
            GatewayQuery::One(name) => self.one(name, profile).is_some_and(|one| !one.is_empty()),
            GatewayQuery::All | GatewayQuery::None => {
                !profile.own_section.is_empty() || self.ours(profile).next().is_some()
            }
        }
    }

    /// The one gateway that is asked for, if the profile has it.
    fn one(&self, name: &str, profile: &'a Profile) -> Option<One<'a>> {
        let desired = self.desired;
        let ours = desired.get(name).filter(|entry| self.is_of(entry, profile));
        if let Some(entry) = ours {
            return Some(One::Ours(&entry.gateway));
        }
        if let Some((_, text)) = profile.own_gateways.iter().find(|(own, _)| own.as_str() == name) {
            return Some(One::Own(text));
        }
        // It may be in a file on FreeSWITCH's disk; of what it gets, FreeSWITCH takes the one it wants.
        let may_be_there = profile.own_section_has_more && desired.get(name).is_none();
        may_be_there.then_some(One::Own(&profile.own_section))
    }

    /// Our gateways of a profile.
    fn ours(&self, profile: &'a Profile) -> impl Iterator<Item = &'a Arc<Entry>> {
        let entries = self.desired.served().values();
        entries.filter(move |entry| self.is_of(entry, profile))
    }

    /// Whether FreeSWITCH makes use of gateways in this document. At its start it asks for all profiles and takes their
    /// settings alone, then asks for each of them and takes the gateways; parsing those takes it seconds, the time
    /// growing with the square of their number (FACTS 52).
    fn has_gateways(&self) -> bool {
        self.asked.is_some() || self.query.gateway != GatewayQuery::None
    }

    /// Whether the gateway is to stand in that profile of this document.
    fn is_of(&self, entry: &Entry, profile: &Profile) -> bool {
        self.has_gateways()
            && entry.gateway.profile == profile.name
            && entry.gateway.serves(self.query.node)
            && self.asked.is_none_or(|asked| asked.name == profile.name)
    }
}

/// A gateway that is asked for by name.
enum One<'a> {
    Ours(&'a Gateway),
    /// Text of the template.
    Own(&'a str),
}

impl One<'_> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Own(""))
    }
}
