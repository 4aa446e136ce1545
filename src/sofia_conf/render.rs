//! Writes one gateway with quick-xml. Attribute values come from our own escaper.

use quick_xml::Writer;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesEnd, BytesStart, Event};
use quick_xml::name::QName;

use super::escape::escape;
use crate::carriers::Carriers;
use crate::gateway::{Direction, Gateway, REVISION_VARIABLE, RevisionKey, params, revision};

/// Most tags are shorter.
const TAG_BYTES: usize = 256;

/// Appends the `<gateway>` element, one tag per line, each line indented by `indent`.
pub(super) fn write_gateway(
    out: &mut Vec<u8>,
    gateway: &Gateway,
    key: &RevisionKey,
    carriers: &Carriers,
    indent: &str,
) {
    // What trunkd changes is no edit, so the revision is that of the value in Redis.
    let spread = carriers.spread(gateway);
    write_with_revision(out, spread.as_ref().unwrap_or(gateway), &revision(gateway, key), indent);
}

/// The `<gateway>` element for people: secrets are replaced by asterisks.
pub fn masked_gateway(gateway: &Gateway, key: &RevisionKey, carriers: &Carriers) -> String {
    let served = carriers.spread(gateway);
    let served = served.as_ref().unwrap_or(gateway);
    let shown = |(name, value)| match params::param(name).is_some_and(|spec| spec.secret) {
        true => (name, "********"),
        false => (name, value),
    };
    let masked = Gateway {
        params: served.params.iter().map(shown).collect(),
        ..gateway.clone()
    };
    let mut out = Vec::new();
    write_with_revision(&mut out, &masked, &revision(gateway, key), "");
    String::from_utf8_lossy(&out).into_owned()
}

fn write_with_revision(out: &mut Vec<u8>, gateway: &Gateway, revision: &str, indent: &str) {
    // One buffer for all tags: each of its own would be allocated and grown anew.
    let mut tag = BytesStart::from_content(String::with_capacity(TAG_BYTES), 0);
    set(&mut tag, "gateway", [attribute("name", gateway.name.as_str())]);
    write_line(out, indent, "", Event::Start(tag.borrow()));
    for (name, value) in gateway.params.iter() {
        set(&mut tag, "param", [attribute("name", name), attribute("value", value)]);
        write_line(out, indent, "  ", Event::Empty(tag.borrow()));
    }
    set(&mut tag, "variables", []);
    write_line(out, indent, "  ", Event::Start(tag.borrow()));
    // FreeSWITCH reports an inbound variable (FACTS 26), and it stays out of outbound calls.
    let revision = (REVISION_VARIABLE, revision, Direction::Inbound);
    let all = gateway.variables.iter().map(|v| (v.name, v.value, v.direction));
    for (name, value, direction) in all.chain([revision]) {
        set(
            &mut tag,
            "variable",
            [attribute("name", name), attribute("value", value)],
        );
        match direction {
            Direction::Both => {}
            Direction::Inbound => tag.push_attribute(attribute("direction", "inbound")),
            Direction::Outbound => tag.push_attribute(attribute("direction", "outbound")),
        }
        write_line(out, indent, "    ", Event::Empty(tag.borrow()));
    }
    write_line(out, indent, "  ", Event::End(BytesEnd::new("variables")));
    write_line(out, indent, "", Event::End(BytesEnd::new("gateway")));
}

fn set<'a>(tag: &mut BytesStart<'_>, name: &str, attributes: impl IntoIterator<Item = Attribute<'a>>) {
    tag.clear_attributes().set_name(name);
    tag.extend_attributes(attributes);
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
