//! Writes one gateway with quick-xml. Attribute values come from our own escaper.

use quick_xml::Writer;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::QName;

use super::escape::escape;
use crate::gateway::{Direction, Gateway, REVISION_VARIABLE, RevisionKey, revision};

/// Appends the `<gateway>` element, one tag per line, each line indented by `indent`.
pub(super) fn write_gateway(out: &mut Vec<u8>, gateway: &Gateway, key: &RevisionKey, indent: &str) {
    let element = BytesStart::new("gateway").with_attributes([attribute("name", gateway.name.as_str())]);
    write_line(out, indent, "", Event::Start(element.borrow()));
    let mut param = BytesStart::new("param");
    for (name, value) in gateway.params.iter() {
        param.clear_attributes();
        param.extend_attributes([attribute("name", name), attribute("value", value)]);
        write_line(out, indent, "  ", Event::Empty(param.borrow()));
    }
    let variables = BytesStart::new("variables");
    write_line(out, indent, "  ", Event::Start(variables.borrow()));
    let mut variable = BytesStart::new("variable");
    let revision = revision(gateway, key);
    // FreeSWITCH reports an inbound variable (FACTS 26), and it stays out of outbound calls.
    let revision = (REVISION_VARIABLE, revision.as_str(), Direction::Inbound);
    let all = gateway.variables.iter().map(|v| (v.name, v.value, v.direction));
    for (name, value, direction) in all.chain([revision]) {
        variable.clear_attributes();
        variable.extend_attributes([attribute("name", name), attribute("value", value)]);
        match direction {
            Direction::Both => {}
            Direction::Inbound => variable.push_attribute(attribute("direction", "inbound")),
            Direction::Outbound => variable.push_attribute(attribute("direction", "outbound")),
        }
        write_line(out, indent, "    ", Event::Empty(variable.borrow()));
    }
    write_line(out, indent, "  ", Event::End(variables.to_end()));
    write_line(out, indent, "", Event::End(element.to_end()));
}

/// An attribute with an escaped value. quick-xml writes the value of an [`Attribute`] as it is.
pub(super) fn attribute<'a>(name: &'a str, value: &'a str) -> Attribute<'a> {
    Attribute {
        key: QName(name),
        value: escape(value),
    }
}

/// Appends one line with one tag. quick-xml's own indentation can't start from the indentation of a template.
pub(super) fn write_line(out: &mut Vec<u8>, indent: &str, more_indent: &str, tag: Event<'_>) {
    out.extend_from_slice(indent.as_bytes());
    out.extend_from_slice(more_indent.as_bytes());
    // Writing to memory can't fail.
    let _ = Writer::new(&mut *out).write_event(tag);
    out.push(b'\n');
}

#[cfg(test)]
mod tests;
