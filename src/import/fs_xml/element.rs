//! The elements of a text, one after the other, as FreeSWITCH's parser takes them: it validates little.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::super::Place;
use super::super::words::foreign;
use super::text::{Places, Text};
use crate::language::{Message, message, text};

/// Elements inside of elements.
const MAX_DEPTH: usize = 100;
/// The most attributes of one element that are looked at. FreeSWITCH's have three.
const MAX_ATTRIBUTES: usize = 64;

/// What comes next.
pub(super) enum Step {
    Open(Element),
    /// The end of the element that was opened last and is not closed yet.
    Close,
}

/// An open tag.
pub(super) struct Element {
    pub(super) name: String,
    pub(super) place: Place,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// The first attribute of that name, as `switch_xml_attr` finds it.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Where and why a text is no XML.
pub(super) struct Malformed {
    pub(super) place: Place,
    pub(super) reason: Message,
}

/// Reads elements until the end, or until the text is no XML.
pub(super) struct Elements<'a> {
    reader: Reader<&'a [u8]>,
    places: Places<'a>,
    /// Where the elements begin that are open.
    open: Vec<Place>,
    /// The end of an element without content.
    pending_close: bool,
}

impl<'a> Elements<'a> {
    pub(super) fn of(text: &'a Text) -> Self {
        let mut reader = Reader::from_str(&text.text);
        let config = reader.config_mut();
        config.check_comments = false;
        config.allow_dangling_amp = true;
        Self {
            reader,
            places: text.places(),
            open: Vec::new(),
            pending_close: false,
        }
    }

    /// `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Step>, Malformed> {
        if std::mem::take(&mut self.pending_close) {
            self.open.pop();
            return Ok(Some(Step::Close));
        }
        loop {
            let start = position(self.reader.buffer_position());
            let event = self.reader.read_event().map_err(|error| {
                let error = error.to_string();
                let error = error.trim_start_matches("syntax error: ");
                let error = foreign(error.trim_start_matches("ill-formed document: "));
                Malformed {
                    place: self.places.at(position(self.reader.error_position()).max(start)),
                    reason: message!("the XML is malformed: {error}", "XML 格式有误：{error}"),
                }
            })?;
            match event {
                Event::Start(tag) => return self.open(&tag, start).map(Some),
                Event::Empty(tag) => {
                    self.pending_close = true;
                    return self.open(&tag, start).map(Some);
                }
                Event::End(_) => {
                    self.open.pop();
                    return Ok(Some(Step::Close));
                }
                Event::Eof => {
                    let reason = text("the element is not closed", "该元素没有结束标记").into();
                    return match self.open.pop() {
                        Some(place) => Err(Malformed { place, reason }),
                        None => Ok(None),
                    };
                }
                _ => {}
            }
        }
    }

    fn open(&mut self, tag: &BytesStart<'_>, start: usize) -> Result<Step, Malformed> {
        let place = self.places.at(start);
        self.open.push(place.clone());
        if self.open.len() > MAX_DEPTH {
            let reason = message!(
                "more than {MAX_DEPTH} elements are inside of each other",
                "元素嵌套超过 {MAX_DEPTH} 层"
            );
            return Err(Malformed { place, reason });
        }
        let mut attributes = tag.attributes();
        let attributes = attributes.with_checks(false).take(MAX_ATTRIBUTES);
        Ok(Step::Open(Element {
            name: tag.name().as_ref().to_owned(),
            place,
            attributes: attributes
                .filter_map(Result::ok)
                .map(|attribute| (attribute.key.as_ref().to_owned(), decode(&attribute.value)))
                .collect(),
        }))
    }
}

/// The value of an attribute as `switch_xml_decode` reads it: what is no reference stays, and white space is a space.
fn decode(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        push_with_spaces(&mut out, &rest[..at]);
        rest = &rest[at..];
        let end = rest.find(';').map(|end| end + 1);
        let decoded = end.and_then(|end| Some((quick_xml::escape::unescape(&rest[..end]).ok()?, end)));
        match decoded {
            Some((text, end)) => {
                out.push_str(&text);
                rest = &rest[end..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    push_with_spaces(&mut out, rest);
    out
}

fn push_with_spaces(out: &mut String, text: &str) {
    let text = text.replace("\r\n", "\n");
    out.extend(text.chars().map(|c| match c {
        '\t' | '\n' | '\r' | '\u{B}' | '\u{C}' => ' ',
        c => c,
    }));
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_decoded_as_freeswitch_does() {
        for (raw, value) in [
            ("plain", "plain"),
            ("&lt;a&gt; &amp;&quot;&apos;&#36;&#x41;", "<a> &\"'$A"),
            ("a&b;c & d", "a&b;c & d"),
            ("&&amp;;", "&&;"),
            ("a\r\nb\tc&#10;d", "a b c\nd"),
            ("&#0;", "&#0;"),
        ] {
            assert_eq!(decode(raw), value, "{raw:?}");
        }
    }
}
