//! One gateway as XML.

use std::fmt;

use super::escape::push_attribute;
use crate::gateway::{Direction, Gateway, REVISION_VARIABLE, RevisionKey, revision};

/// A gateway as FreeSWITCH reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedGateway {
    /// The `<gateway>` element with its revision in it: one element a line, the last line ended.
    pub xml: String,
    /// 32 hexadecimal digits.
    pub revision: String,
}

impl fmt::Debug for RenderedGateway {
    /// Without the XML, which holds the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedGateway")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// Renders one gateway. The same gateway under the same key has the same revision, in whatever order its JSON was
/// written.
pub fn render_gateway(gateway: &Gateway, key: &RevisionKey) -> RenderedGateway {
    let mut xml = String::new();
    let revision = push_gateway(&mut xml, gateway, key, "");
    RenderedGateway { xml, revision }
}

/// Appends the `<gateway>` element, each line behind `indent`, and returns the revision.
pub(super) fn push_gateway(out: &mut String, gateway: &Gateway, key: &RevisionKey, indent: &str) -> String {
    let revision = revision(gateway, key);
    write_gateway(out, gateway, &revision, indent);
    revision
}

fn write_gateway(out: &mut String, gateway: &Gateway, revision: &str, indent: &str) {
    let line = |out: &mut String, parts: &[Part<'_>]| {
        out.push_str(indent);
        for part in parts {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Value(text) => push_attribute(out, text),
            }
        }
        out.push('\n');
    };
    use Part::{Plain, Value};
    line(
        out,
        &[Plain("<gateway name=\""), Value(gateway.name.as_str()), Plain("\">")],
    );
    for (name, value) in gateway.params.iter() {
        line(
            out,
            &[
                Plain("  <param name=\""),
                Value(name),
                Plain("\" value=\""),
                Value(value),
                Plain("\"/>"),
            ],
        );
    }
    line(out, &[Plain("  <variables>")]);
    let variable = |out: &mut String, name: &str, value: &str, direction: Direction| {
        let end = match direction {
            Direction::Both => "\"/>",
            Direction::Inbound => "\" direction=\"inbound\"/>",
            Direction::Outbound => "\" direction=\"outbound\"/>",
        };
        line(
            out,
            &[
                Plain("    <variable name=\""),
                Value(name),
                Plain("\" value=\""),
                Value(value),
                Plain(end),
            ],
        );
    };
    for v in gateway.variables.iter() {
        variable(out, v.name, v.value, v.direction);
    }
    // One direction is enough to read it back (FACTS 26), and keeps it out of outbound calls.
    variable(out, REVISION_VARIABLE, revision, Direction::Inbound);
    line(out, &[Plain("  </variables>")]);
    line(out, &[Plain("</gateway>")]);
}

enum Part<'a> {
    Plain(&'a str),
    Value(&'a str),
}
