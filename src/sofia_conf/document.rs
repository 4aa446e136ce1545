//! The document that answers a request for a part of the configuration.

use std::fmt;
use std::sync::Arc;

use quick_xml::events::{BytesStart, Event};

use super::blocks::{Block, BlockWriter, GatewayChange, SortKey, Text, apply_changes};
use super::render::{attribute, write_gateway, write_line};
use super::templates::{Part, Profile};
use super::{RevisionKey, Templates};
use crate::all_cores::on_all_cores;
use crate::carriers::Carriers;
use crate::gateway::{Desired, Entries, Entry, EntryChange, Gateway, GatewayName};

/// The constant answer to everything trunkd doesn't serve (FACTS 7).
pub const NOT_FOUND: &str = r#"<document type="freeswitch/xml">
  <section name="result">
    <result status="not found"/>
  </section>
</document>
"#;

/// Typical size of a gateway in a document, in bytes.
const GATEWAY_BYTES: usize = 1024;

/// From this many gateways on, all cores write: 10,000 take one core a tenth of a second while a request waits.
const PARALLEL_FROM: usize = 1000;

/// The part of the configuration that a request asks for.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// One profile, or all of them (`None`). All profiles with their settings come without our gateways.
    pub profile: Option<&'a str>,
    pub gateway: GatewayQuery<'a>,
    /// The switchname of the FreeSWITCH that asks. It gets the gateways whose `nodes` list it, and those without
    /// `nodes`. `None` gets all gateways.
    pub node: Option<&'a str>,
}

/// The `gateway=` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayQuery<'a> {
    /// Absent: profiles with settings.
    None,
    /// One gateway, without settings.
    One(&'a str),
    /// `_all_`: every gateway of the profile, without settings.
    All,
}

/// A document that knows where each of our gateways is, so that the next version can reuse it.
pub struct Document {
    text: Text,
    blocks: Vec<Arc<Block>>,
    /// The gateways it was made from.
    served: Entries,
}

impl fmt::Debug for Document {
    /// Without the text, which contains passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.text).finish()
    }
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

    /// For each profile, whether the document has gateways of ours in it.
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
    /// The document for a query, or `None` if no template has the requested profile.
    ///
    /// A document for one gateway never walks over the others (FACTS 21). A document for a profile includes the global
    /// settings: FreeSWITCH resets some of them to defaults whenever it reads a profile (`config_sofia` in sofia.c).
    pub fn document(&self, desired: &Desired, key: &RevisionKey, query: &Query<'_>) -> Option<String> {
        Some(self.next_document(desired, key, query, None)?.text.to_string())
    }

    /// As [`Templates::document`], but text that did not change is shared with `before`, which must come from the same
    /// templates, key and query.
    pub fn next_document(
        &self,
        desired: &Desired,
        key: &RevisionKey,
        query: &Query<'_>,
        before: Option<&Document>,
    ) -> Option<Document> {
        let only_profile = match query.profile {
            Some(name) => Some(self.find_profile(name)?),
            None => None,
        };
        let builder = DocumentBuilder {
            desired,
            key,
            query,
            only_profile,
            carriers: &self.carriers,
        };
        if let Some(next) = before.and_then(|before| self.update(&builder, before)) {
            return Some(next);
        }
        let blocks = match query.gateway {
            GatewayQuery::None => self.with_settings(&builder),
            GatewayQuery::One(_) | GatewayQuery::All => self.gateways_only(&builder),
        };
        Some(Document::new(blocks, desired.served()))
    }

    /// Rewrites only the gateways that changed since `before`. `None` if the document must be written from scratch.
    fn update(&self, builder: &DocumentBuilder<'_>, before: &Document) -> Option<Document> {
        if matches!(builder.query.gateway, GatewayQuery::One(_)) {
            return None;
        }
        let profiles: Vec<_> = self.profiles().collect();
        let changes = builder.changes_since(before, &profiles);
        let blocks = apply_changes(&before.blocks, changes, |text, key, entry| {
            let indent = match (builder.query.gateway, profiles.get(key.profile)) {
                (GatewayQuery::None, Some(profile)) => &profile.indent,
                _ => INDENT,
            };
            builder.write(text, &entry.gateway, indent);
        })?;
        let next = Document::new(blocks, builder.desired.served());
        // A profile with no gateway of ours is copied from its template as it is.
        let has = |document: &Document| document.has_gateways(profiles.len());
        (has(&next) == has(before)).then_some(next)
    }

    /// FreeSWITCH compares profile names in any case.
    fn find_profile(&self, name: &str) -> Option<&Profile> {
        self.profiles()
            .find(|profile| profile.name.as_str().eq_ignore_ascii_case(name))
    }

    /// The templates unchanged, with our gateways at the end of `<gateways>`.
    fn with_settings(&self, builder: &DocumentBuilder<'_>) -> Vec<Arc<Block>> {
        let mut out = BlockWriter::new(self.text_bytes() + 2 * GATEWAY_BYTES);
        out.push_str("<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n");
        out.push_str(&self.head);
        let mut number = 0;
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Profile(profile) => {
                    if builder.only_profile.is_none_or(|only| only.name == profile.name) {
                        builder.push_profile(&mut out, number, profile);
                    }
                    number += 1;
                }
            }
        }
        out.push_str(&self.tail);
        out.push_str("</section>\n</document>\n");
        out.finish()
    }

    /// The profiles without our gateways, for FreeSWITCH's `autoload_configs/sofia.conf.xml`, which
    /// it reads while trunkd is unreachable (FACTS 7). That file has no `<document>` around the
    /// configuration.
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

    /// Only profiles, their `<gateways>` and the gateways: `startgw` reads nothing else (FACTS 17).
    fn gateways_only(&self, builder: &DocumentBuilder<'_>) -> Vec<Arc<Block>> {
        let mut out = BlockWriter::new(2 * GATEWAY_BYTES);
        out.push_str(concat!(
            "<document type=\"freeswitch/xml\">\n",
            "  <section name=\"configuration\">\n",
            "    <configuration name=\"sofia.conf\" description=\"sofia Endpoint\">\n",
            "      <profiles>\n",
        ));
        let only_profile = builder.only_profile;
        for (number, profile) in self
            .profiles()
            .enumerate()
            .filter(|(_, p)| only_profile.is_none_or(|only| only.name == p.name))
        {
            if only_profile.is_none() && !builder.has_any(profile) {
                continue;
            }
            let tag = BytesStart::new("profile").with_attributes([attribute("name", profile.name.as_str())]);
            write_line(out.text(), "        ", "", Event::Start(tag));
            out.push_str("          <gateways>\n");
            builder.push_gateways_only(&mut out, number, profile);
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

/// The inputs of one document.
struct DocumentBuilder<'a> {
    desired: &'a Desired,
    key: &'a RevisionKey,
    query: &'a Query<'a>,
    only_profile: Option<&'a Profile>,
    carriers: &'a Carriers,
}

/// Indentation of gateways in a document without settings.
const INDENT: &str = "            ";

impl<'a> DocumentBuilder<'a> {
    /// What changed since `before`, sorted.
    fn changes_since(&self, before: &'a Document, profiles: &[&Profile]) -> Vec<GatewayChange<'a>> {
        let sort_key = |name: &GatewayName, entry: &Entry| {
            let profile = profiles.iter().position(|profile| self.is_of(entry, profile))?;
            Some(SortKey {
                profile,
                name: name.clone(),
            })
        };
        let mut changes: Vec<GatewayChange<'_>> = Vec::new();
        for change in EntryChange::between(&before.served, self.desired.served()) {
            let old = change.before.and_then(|entry| sort_key(change.name, entry));
            let new = change
                .now
                .and_then(|entry| Some((sort_key(change.name, entry)?, entry)));
            if let Some(old) = old.filter(|old| new.as_ref().is_none_or(|(new, _)| new != old)) {
                changes.push((old, None));
            }
            changes.extend(new.map(|(key, entry)| (key, Some(entry))));
        }
        changes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        changes
    }

    fn write(&self, out: &mut Vec<u8>, gateway: &Gateway, indent: &str) {
        write_gateway(out, gateway, self.key, self.carriers, indent);
    }

    fn push_profile(&self, out: &mut BlockWriter, number: usize, profile: &Profile) {
        let mut ours = self.ours(profile).peekable();
        if ours.peek().is_none() {
            return out.push_str(&profile.untouched);
        }
        out.push_str(&profile.before);
        self.push_gateways(out, number, ours, &profile.indent);
        out.push_str(&profile.after);
    }

    fn push_gateways_only(&self, out: &mut BlockWriter, number: usize, profile: &Profile) {
        match self.query.gateway {
            GatewayQuery::One(name) => match self.one(name, profile) {
                Some(SingleGateway::Ours(gateway)) => self.write(out.text(), gateway, INDENT),
                Some(SingleGateway::Own(text)) => out.push_str(text),
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
        out: &mut BlockWriter,
        profile: usize,
        entries: impl Iterator<Item = &'e Arc<Entry>>,
        indent: &str,
    ) {
        let write = |out: &mut BlockWriter, entries: &[&Arc<Entry>]| {
            for entry in entries {
                let key = SortKey {
                    profile,
                    name: entry.gateway.name.clone(),
                };
                out.gateway(key, |text| self.write(text, &entry.gateway, indent));
            }
        };
        let entries: Vec<_> = entries.collect();
        if entries.len() < PARALLEL_FROM {
            return write(out, &entries);
        }
        let parts = on_all_cores(&entries, |part| {
            let mut out = BlockWriter::new(PARALLEL_FROM * GATEWAY_BYTES);
            write(&mut out, part);
            out.finish()
        });
        for part in parts {
            out.append(part);
        }
    }

    /// Whether a document without settings has anything in this profile.
    fn has_any(&self, profile: &'a Profile) -> bool {
        match self.query.gateway {
            GatewayQuery::One(name) => self.one(name, profile).is_some_and(|one| !one.is_empty()),
            GatewayQuery::All | GatewayQuery::None => {
                !profile.own_section.is_empty() || self.ours(profile).next().is_some()
            }
        }
    }

    /// The requested gateway, if the profile has it.
    fn one(&self, name: &str, profile: &'a Profile) -> Option<SingleGateway<'a>> {
        let desired = self.desired;
        let ours = desired.get(name).filter(|entry| self.is_of(entry, profile));
        if let Some(entry) = ours {
            return Some(SingleGateway::Ours(&entry.gateway));
        }
        if let Some((_, text)) = profile.own_gateways.iter().find(|(own, _)| own.as_str() == name) {
            return Some(SingleGateway::Own(text));
        }
        // A file on FreeSWITCH's disk may have it. FreeSWITCH picks the gateway it wants from what it gets.
        let may_be_there = profile.own_section_has_more && desired.get(name).is_none();
        may_be_there.then_some(SingleGateway::Own(&profile.own_section))
    }

    /// Our gateways in a profile.
    fn ours(&self, profile: &'a Profile) -> impl Iterator<Item = &'a Arc<Entry>> {
        let entries = self.desired.served().values();
        entries.filter(move |entry| self.is_of(entry, profile))
    }

    /// Whether FreeSWITCH uses gateways in this document. At start it asks for all profiles and
    /// uses only their settings, then asks for each profile with its gateways. Parsing gateways
    /// takes it seconds: the time grows with the square of their number (FACTS 52).
    fn has_gateways(&self) -> bool {
        self.only_profile.is_some() || self.query.gateway != GatewayQuery::None
    }

    /// Whether the gateway belongs into this profile of this document.
    fn is_of(&self, entry: &Entry, profile: &Profile) -> bool {
        self.has_gateways()
            && entry.gateway.profile == profile.name
            && entry.gateway.serves(self.query.node)
            && self.only_profile.is_none_or(|only| only.name == profile.name)
    }
}

/// A gateway requested by name.
enum SingleGateway<'a> {
    Ours(&'a Gateway),
    /// Gateways of the template, as text.
    Own(&'a str),
}

impl SingleGateway<'_> {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Own(""))
    }
}
