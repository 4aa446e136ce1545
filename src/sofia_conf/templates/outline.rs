//! The elements and comments of a text as quick-xml reads them, with their spans in the text, which stays untouched.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The most attributes of one element: quick-xml compares each with all others. FreeSWITCH's have two.
const MAX_ATTRIBUTES: usize = 256;

/// The elements of a text in the order of their open tags, and its comments.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) elements: Vec<Element>,
    pub(super) comments: Vec<Range<usize>>,
    /// The `<?xml … ?>` at the top.
    pub(super) declaration: Option<Range<usize>>,
    /// Indices of the outermost elements.
    top: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: String,
    /// Unescaped where that is possible.
    pub(super) attributes: Vec<(String, String)>,
    pub(super) open: Range<usize>,
    /// Empty, at the end of the open tag, for `<a/>`.
    pub(super) close: Range<usize>,
    /// Index of the parent in `elements`.
    pub(super) parent: Option<usize>,
    /// Indices of the children.
    children: Vec<usize>,
}

/// Where and why a text is not well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: usize,
    pub(super) reason: String,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.open.start..self.close.end
    }

    pub(super) fn is_self_closing(&self) -> bool {
        self.close.is_empty()
    }
}

impl Outline {
    /// Reads a text. With `comments`, a `--` inside a comment is an error, as it is for FreeSWITCH's parser.
    pub(super) fn read(text: &str, comments: Comments) -> Result<Self, Malformed> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = comments == Comments::Checked;
        reader.config_mut().allow_dangling_amp = true; // FreeSWITCH's parser takes it
        let mut outline = Self::default();
        let mut open: Vec<usize> = Vec::new();
        loop {
            let start = position(reader.buffer_position());
            let event = reader.read_event().map_err(|error| Malformed {
                at: position(reader.error_position()),
                reason: error
                    .to_string()
                    .trim_start_matches("syntax error: ")
                    .trim_start_matches("ill-formed document: ")
                    .to_owned(),
            })?;
            let span = start..position(reader.buffer_position());
            match event {
                Event::Start(tag) => {
                    let parent = open.last().copied();
                    open.push(outline.elements.len());
                    outline.push(&tag, span.clone(), span.end..span.end, parent)?;
                }
                Event::Empty(tag) => outline.push(&tag, span.clone(), span.end..span.end, open.last().copied())?,
                Event::End(_) => {
                    if let Some(at) = open.pop() {
                        outline.elements[at].close = span;
                    }
                }
                Event::Comment(_) => outline.comments.push(span),
                Event::Decl(_) if outline.elements.is_empty() => outline.declaration = Some(span),
                Event::DocType(_) => {
                    let reason = "a DOCTYPE can't be part of the document that this file goes into".to_owned();
                    return Err(Malformed { at: span.start, reason });
                }
                Event::Eof => break,
                _ => {}
            }
        }
        match open.last() {
            None => Ok(outline),
            Some(&at) => {
                let element = &outline.elements[at];
                Err(Malformed {
                    at: element.open.start,
                    reason: format!("<{}> is not closed", element.name),
                })
            }
        }
    }

    fn push(
        &mut self,
        tag: &BytesStart<'_>,
        open: Range<usize>,
        close: Range<usize>,
        parent: Option<usize>,
    ) -> Result<(), Malformed> {
        let name = tag.name().as_ref().to_owned();
        let mut attributes = Vec::new();
        // The preprocessor removes directives before the parser, so they need not be XML.
        if !name.eq_ignore_ascii_case(super::preprocessor::DIRECTIVE) {
            for attribute in tag.attributes() {
                if attributes.len() == MAX_ATTRIBUTES {
                    let reason = format!("<{name}> has more than {MAX_ATTRIBUTES} attributes");
                    return Err(Malformed { at: open.start, reason });
                }
                let attribute = attribute.map_err(|error| Malformed {
                    at: open.start,
                    reason: format!("an attribute of <{name}> is malformed: {error}"),
                })?;
                let value = quick_xml::escape::unescape(&attribute.value)
                    .map_or_else(|_| attribute.value.to_string(), |value| value.into_owned());
                attributes.push((attribute.key.as_ref().to_owned(), value));
            }
        }
        let at = self.elements.len();
        let siblings = match parent {
            Some(parent) => &mut self.elements[parent].children,
            None => &mut self.top,
        };
        siblings.push(at);
        self.elements.push(Element {
            children: Vec::new(),
            name,
            attributes,
            open,
            close,
            parent,
        });
        Ok(())
    }

    /// The children of an element, or the elements at the top.
    pub(super) fn children(&self, parent: Option<usize>) -> impl Iterator<Item = (usize, &Element)> {
        let children = match parent {
            Some(parent) => self.elements.get(parent).map_or(&[][..], |element| &element.children),
            None => &self.top,
        };
        children.iter().map(|at| (*at, &self.elements[*at]))
    }

    /// The element whose open tag starts there.
    pub(super) fn opened_at(&self, start: usize) -> Option<(usize, &Element)> {
        let found = self.elements.binary_search_by_key(&start, |element| element.open.start);
        found.ok().map(|at| (at, &self.elements[at]))
    }

    /// The first child of that name, which is the only one FreeSWITCH looks at (`switch_xml_child`).
    pub(super) fn child(&self, parent: usize, name: &str) -> Option<(usize, &Element)> {
        self.children(Some(parent)).find(|(_, element)| element.name == name)
    }
}

/// Whether a `--` inside a comment is an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Comments {
    Checked,
    Unchecked,
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
