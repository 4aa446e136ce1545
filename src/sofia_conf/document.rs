//! Which part of the configuration is asked for, and the document that answers.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::iter::Peekable;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;

use super::escape::push_attribute;
use super::render::push_gateway;
use super::templates::{Part, Profile};
use super::{RevisionKey, Templates};
use crate::gateway::{Desired, Entry, Gateway};

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

/// A document in which every gateway of ours can be found again, so that the next one is made from it.
#[derive(Debug)]
pub struct Document {
    pub text: Bytes,
    /// In the order of the text.
    pieces: Vec<Piece>,
}

/// Where a gateway stands.
#[derive(Debug)]
struct Piece {
    /// The number of its profile, in the order of the templates.
    profile: usize,
    entry: Arc<Entry>,
    start: usize,
    end: usize,
}

impl Templates {
    /// The document that answers, or `None` when there is no template for the profile that is asked for.
    ///
    /// A document for one gateway never costs a walk over the others (FACTS 21). One for a profile has the global
    /// settings too: FreeSWITCH sets some of them back to its defaults whenever it reads a profile (`config_sofia` in
    /// sofia.c).
    pub fn document(&self, desired: &Desired, key: &RevisionKey, query: &Query<'_>) -> Option<String> {
        let (text, _) = self.write(desired, key, query, None)?;
        Some(text)
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
        let (text, pieces) = self.write(desired, key, query, before)?;
        Some(Document {
            text: text.into(),
            pieces,
        })
    }

    fn write(
        &self,
        desired: &Desired,
        key: &RevisionKey,
        query: &Query<'_>,
        before: Option<&Document>,
    ) -> Option<(String, Vec<Piece>)> {
        let asked = match query.profile {
            Some(name) => Some(self.find_profile(name)?),
            None => None,
        };
        let answer = Answer {
            desired,
            key,
            query,
            before: RefCell::new(before.map_or(&[][..], |before| &before.pieces).iter().peekable()),
            before_text: before.map_or(&[], |before| &before.text),
            pieces: RefCell::new(Vec::with_capacity(before.map_or(0, |before| before.pieces.len()))),
        };
        let capacity = before.map_or(0, |before| before.text.len() + GATEWAY_BYTES);
        let text = match query.gateway {
            GatewayQuery::None => self.with_settings(&answer, asked, capacity),
            GatewayQuery::One(_) | GatewayQuery::All => self.gateways_only(&answer, asked, capacity),
        };
        Some((text, answer.pieces.into_inner()))
    }

    /// FreeSWITCH compares profile names in any case.
    fn find_profile(&self, name: &str) -> Option<&Profile> {
        self.profiles()
            .find(|profile| profile.name.as_str().eq_ignore_ascii_case(name))
    }

    /// The templates as they stand, with our gateways at `<gateways>`.
    fn with_settings(&self, answer: &Answer<'_>, asked: Option<&Profile>, capacity: usize) -> String {
        let mut out = String::with_capacity(capacity.max(self.text_bytes() + 256));
        out.push_str("<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n");
        out.push_str(&self.head);
        for (number, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Profile(profile) if asked.is_none_or(|asked| asked.name == profile.name) => {
                    answer.push_profile(&mut out, number, profile);
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
    fn gateways_only(&self, answer: &Answer<'_>, asked: Option<&Profile>, capacity: usize) -> String {
        let mut out = String::with_capacity(capacity.max(2 * GATEWAY_BYTES));
        out.push_str(concat!(
            "<document type=\"freeswitch/xml\">\n",
            "  <section name=\"configuration\">\n",
            "    <configuration name=\"sofia.conf\" description=\"sofia Endpoint\">\n",
            "      <profiles>\n",
        ));
        for (number, profile) in self
            .profiles()
            .enumerate()
            .filter(|(_, p)| asked.is_none_or(|asked| asked.name == p.name))
        {
            let before = out.len();
            out.push_str("        <profile name=\"");
            push_attribute(&mut out, profile.name.as_str());
            out.push_str("\">\n          <gateways>\n");
            let inside = out.len();
            answer.push_gateways_only(&mut out, number, profile);
            if out.len() == inside && asked.is_none() {
                out.truncate(before);
                continue;
            }
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
    /// What is left of the document before, and its text.
    before: RefCell<Peekable<slice::Iter<'a, Piece>>>,
    before_text: &'a [u8],
    /// What was written so far.
    pieces: RefCell<Vec<Piece>>,
}

impl Answer<'_> {
    fn push_profile(&self, out: &mut String, number: usize, profile: &Profile) {
        let mut ours = self.ours(profile).peekable();
        if ours.peek().is_none() {
            return out.push_str(&profile.untouched);
        }
        out.push_str(&profile.before);
        for entry in ours {
            self.push_entry(out, number, entry, &profile.indent);
        }
        out.push_str(&profile.after);
    }

    fn push_gateways_only(&self, out: &mut String, number: usize, profile: &Profile) {
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
                for entry in self.ours(profile) {
                    self.push_entry(out, number, entry, INDENT);
                }
            }
        }
    }

    /// Appends a gateway, from the document before if it did not change.
    fn push_entry(&self, out: &mut String, profile: usize, entry: &Arc<Entry>, indent: &str) {
        let start = out.len();
        match self.written_before(profile, entry) {
            Some(text) => out.push_str(text),
            None => {
                push_gateway(out, &entry.gateway, self.key, indent);
            }
        }
        self.pieces.borrow_mut().push(Piece {
            profile,
            entry: Arc::clone(entry),
            start,
            end: out.len(),
        });
    }

    /// Both documents have their gateways in one order: one walk over them, without a search for each.
    fn written_before(&self, profile: usize, entry: &Arc<Entry>) -> Option<&str> {
        let mut before = self.before.borrow_mut();
        loop {
            let piece = before.peek()?;
            let order = (piece.profile, &piece.entry.gateway.name).cmp(&(profile, &entry.gateway.name));
            match order {
                Ordering::Greater => return None,
                Ordering::Less => {
                    before.next();
                }
                Ordering::Equal => {
                    let piece = before.next().filter(|piece| Arc::ptr_eq(&piece.entry, entry))?;
                    return std::str::from_utf8(self.before_text.get(piece.start..piece.end)?).ok();
                }
            }
        }
    }

    fn one(&self, name: &str) -> Option<&Gateway> {
        let entry = self.desired.get(name)?;
        Some(&entry.gateway).filter(|gateway| gateway.serves(self.query.node))
    }

    /// Our gateways of a profile.
    fn ours(&self, profile: &Profile) -> impl Iterator<Item = &Arc<Entry>> {
        let entries = self.desired.served().values();
        entries.filter(|entry| entry.gateway.profile == profile.name && entry.gateway.serves(self.query.node))
    }
}
