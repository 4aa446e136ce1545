//! One gateway as XML.

use std::borrow::Cow;
use std::io;

use quick_xml::Writer;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::name::QName;

use super::escape::escape_attribute;
use crate::gateway::{Direction, Gateway, REVISION_VARIABLE, RevisionKey, revision};

/// Appends the `<gateway>` element with its revision, one element per line, each after `indent`. One
/// element per line, because FreeSWITCH's preprocessor works on lines (FACTS 8).
pub(super) fn push_gateway(out: &mut String, gateway: &Gateway, key: &RevisionKey, indent: &str) {
    let mut writer = Lines {
        xml: Writer::new(Utf8(out)),
        indent,
    };
    let written = writer.gateway(gateway, &revision(gateway, key));
    debug_assert!(written.is_ok(), "a String takes everything");
}

struct Lines<'a> {
    xml: Writer<Utf8<'a>>,
    indent: &'a str,
}

impl Lines<'_> {
    fn gateway(&mut self, gateway: &Gateway, revision: &str) -> io::Result<()> {
        let start = element("gateway", &[("name", gateway.name.as_str())]);
        self.line("", Event::Start(start))?;
        for (name, value) in gateway.params.iter() {
            let param = element("param", &[("name", name), ("value", value)]);
            self.line("  ", Event::Empty(param))?;
        }
        self.line("  ", Event::Start(BytesStart::new("variables")))?;
        for variable in gateway.variables.iter() {
            self.variable(variable.name, variable.value, variable.direction)?;
        }
        // One direction is enough to read it back (FACTS 26), and keeps it out of outbound calls.
        self.variable(REVISION_VARIABLE, revision, Direction::Inbound)?;
        self.line("  ", Event::End(BytesEnd::new("variables")))?;
        self.line("", Event::End(BytesEnd::new("gateway")))
    }

    fn variable(&mut self, name: &str, value: &str, direction: Direction) -> io::Result<()> {
        let mut variable = element("variable", &[("name", name), ("value", value)]);
        match direction {
            Direction::Both => {}
            Direction::Inbound => variable.push_attribute(("direction", "inbound")),
            Direction::Outbound => variable.push_attribute(("direction", "outbound")),
        }
        self.line("    ", Event::Empty(variable))
    }

    fn line(&mut self, indent: &str, event: Event<'_>) -> io::Result<()> {
        self.text(self.indent)?;
        self.text(indent)?;
        self.xml.write_event(event)?;
        self.text("\n")
    }

    /// White space between elements.
    fn text(&mut self, text: &str) -> io::Result<()> {
        self.xml.write_event(Event::Text(BytesText::from_escaped(text)))
    }
}

fn element<'a>(name: &'a str, attributes: &[(&'a str, &str)]) -> BytesStart<'a> {
    let mut element = BytesStart::new(name);
    for (key, value) in attributes {
        // An `Attribute` is written as it is: quick-xml doesn't know FreeSWITCH's preprocessor.
        element.push_attribute(Attribute {
            key: QName(key),
            value: Cow::Owned(escape_attribute(value)),
        });
    }
    element
}

/// quick-xml writes bytes, always whole texts.
struct Utf8<'a>(&'a mut String);

impl io::Write for Utf8<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push_str(std::str::from_utf8(bytes).map_err(io::Error::other)?);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
