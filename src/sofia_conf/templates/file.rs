//! A template file as text with the spans of its elements, cut into pieces without changing a byte.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::error::{TemplateError, TemplateWarning};
use super::include_path::path_that_works;
use super::lines::Lines;
use super::outline::{Comments, Element, Malformed, Outline};
use super::parts::LoadState;
use super::preprocessor::{self, Directive, Problem};
use super::spans::{span_at, strictly_inside};
use crate::files::{self, FileError};

/// The largest template file that is read, in bytes. FreeSWITCH's own profiles take some 20,000.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The most that all files together may have, in bytes: three times a thousand profiles as FreeSWITCH ships them.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

pub(super) fn with_line_end(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A template file that was read and is well-formed.
pub(super) struct TemplateFile {
    path: PathBuf,
    /// Without a byte order mark.
    pub(super) text: String,
    lines: Lines,
    pub(super) outline: Outline,
    /// Spans that no document gets: the XML declaration and an `<include>` around everything. Sorted.
    cuts: Vec<Range<usize>>,
    /// Same length as `text`, with spaces in place of the cuts.
    uncut: String,
}

impl TemplateFile {
    pub(super) fn read(path: &Path, state: &mut LoadState) -> Result<TemplateFile, TemplateError> {
        let bytes = read_bytes(path)?;
        state.bytes += bytes.len() as u64;
        if state.bytes > MAX_BYTES {
            let reason = format!("with this file the templates have more than {MAX_BYTES} bytes");
            let fix = "remove profiles that FreeSWITCH does not need";
            return Err(TemplateError::of_file(path, reason, fix));
        }
        let mut file = TemplateFile {
            path: path.to_owned(),
            text: decode(path, bytes)?,
            lines: Lines::default(),
            outline: Outline::default(),
            cuts: Vec::new(),
            uncut: String::new(),
        };
        if let Some(at) = file.text.find('\0') {
            let reason = "the file has a NUL, where FreeSWITCH stops reading the line";
            return Err(file.error(at, reason, "remove it"));
        }
        file.outline =
            Outline::read(&file.text, Comments::Unchecked).map_err(|malformed| file.malformed(&malformed))?;
        file.cuts = cuts(&file.outline);
        file.uncut.clone_from(&file.text);
        for cut in &file.cuts {
            file.uncut.replace_range(cut.clone(), &" ".repeat(cut.len()));
        }
        file.lines = Lines::of(&file.text, &file.uncut);
        Ok(file)
    }

    pub(super) fn error(&self, at: usize, reason: impl Into<String>, fix: impl Into<String>) -> TemplateError {
        let (line, column) = line_and_column(&self.text, at);
        TemplateError {
            file: self.path.clone(),
            line: Some(line),
            column: Some(column),
            reason: reason.into(),
            fix: fix.into(),
        }
    }

    pub(super) fn location(&self, at: usize) -> String {
        format!("{}:{}", self.path.display(), self.lines.number(at))
    }

    fn malformed(&self, malformed: &Malformed) -> TemplateError {
        let reason = format!("the XML is not well-formed: {}", malformed.reason);
        self.error(malformed.at, reason, "correct it")
    }

    pub(super) fn warning(&self, at: usize, reason: impl Into<String>, fix: impl Into<String>) -> TemplateWarning {
        TemplateWarning {
            file: self.path.clone(),
            line: self.lines.number(at),
            reason: reason.into(),
            fix: fix.into(),
        }
    }

    /// The outermost elements, not counting an `<include>` around them.
    pub(super) fn top_elements(&self) -> impl Iterator<Item = (usize, &Element)> {
        self.outline.elements.iter().enumerate().filter(|(_, element)| {
            let at_top = element.parent.is_none_or(|parent| {
                self.outline.elements[parent].parent.is_none() && is_wrapper(&self.outline.elements[parent])
            });
            at_top && !is_wrapper(element) && !element.name.eq_ignore_ascii_case(preprocessor::DIRECTIVE)
        })
    }

    /// Where line ends must be added: around tags that our text goes next to, if FreeSWITCH's preprocessor would act on
    /// their line and lose them. Nothing is added elsewhere.
    pub(super) fn breaks(&self, tags: &[&Element], always: &[usize]) -> Vec<usize> {
        let mut breaks: Vec<usize> = tags
            .iter()
            .flat_map(|element| [element.open.clone(), element.close.clone()])
            .flat_map(|tag| [self.line_start(tag.start), tag.end])
            .filter(|at| self.lines.is_at_risk(*at))
            .chain(always.iter().copied())
            .collect();
        breaks.sort_unstable();
        breaks.dedup();
        breaks
    }

    /// The start of the line, if nothing but white space stands between it and `at`; else `at`.
    pub(super) fn line_start(&self, at: usize) -> usize {
        self.lines.start_if_blank(at)
    }

    /// A piece of the text without the cuts, with line ends added at `breaks`, which are sorted.
    pub(super) fn piece(&self, range: Range<usize>, breaks: &[usize]) -> String {
        let mut out = String::with_capacity(range.len());
        let mut at = range.start;
        let mut stops = strictly_inside(breaks, &range).to_vec();
        let first_cut = self.cuts.partition_point(|cut| cut.end <= range.start);
        let cuts = self.cuts[first_cut..].iter().take_while(|cut| cut.start < range.end);
        let ends = cuts.flat_map(|cut| [cut.start, cut.end]);
        stops.extend(ends.filter(|end| range.start < *end && *end < range.end));
        stops.push(range.end);
        stops.sort_unstable();
        for stop in stops {
            if span_at(&self.cuts, at).is_none() {
                out.push_str(&self.text[at..stop]);
            }
            let is_break = stop < range.end && breaks.binary_search(&stop).is_ok();
            if is_break && !out.is_empty() && !out.ends_with(['\r', '\n']) {
                out.push('\n');
            }
            at = stop;
        }
        out
    }

    /// The pieces before and after a tag that will be rewritten.
    pub(super) fn pieces_around(&self, tag: &Range<usize>, range: Range<usize>, breaks: &[usize]) -> (String, String) {
        let (mut before, mut after) = (
            self.piece(range.start..tag.start, breaks),
            self.piece(tag.end..range.end, breaks),
        );
        if breaks.binary_search(&tag.start).is_ok() && !before.is_empty() {
            before = with_line_end(before);
        }
        if breaks.binary_search(&tag.end).is_ok() && !after.starts_with(['\r', '\n']) {
            after.insert(0, '\n');
        }
        (before, after)
    }

    pub(super) fn open_tag_without_slash(&self, element: &Element) -> &str {
        let tag = &self.text[element.open.clone()];
        tag.strip_suffix("/>").unwrap_or(tag).trim_end()
    }

    /// The elements that are left after FreeSWITCH's preprocessor. The rest must be well-formed and still have `tags`.
    pub(super) fn surviving(&self, breaks: &[usize], tags: &[&Element]) -> Result<Outline, TemplateError> {
        const FIX: &str = "give each directive a line of its own, with nothing before or after it";
        let text = preprocessor::surviving(&self.uncut, breaks);
        let surviving = Outline::read(&text, Comments::Checked).map_err(|malformed| {
            if Outline::read(&self.uncut, Comments::Checked).is_err_and(|before| before == malformed) {
                return self.malformed(&malformed);
            }
            let reason = "FreeSWITCH's preprocessor drops lines of this file that the rest needs to be well-formed";
            self.error(malformed.at, format!("{reason}: {}", malformed.reason), FIX)
        })?;
        let survives = |tag: &Element| {
            let found = surviving.opened_at(tag.open.start);
            found.is_some_and(|(_, e)| e.open == tag.open && e.close == tag.close)
        };
        match tags.iter().find(|tag| !survives(tag)) {
            None => Ok(surviving),
            Some(tag) => {
                let reason = format!(
                    "FreeSWITCH's preprocessor drops lines of this file, and <{}> is lost with them",
                    tag.name
                );
                Err(self.error(tag.open.start, reason, FIX))
            }
        }
    }

    /// The directives of the file. Adds warnings about lines that the preprocessor would not pass on.
    pub(super) fn directives(&self, state: &mut LoadState) -> Vec<Directive> {
        let (directives, notes) = preprocessor::examine(&self.uncut, &self.outline.comments);
        state.warnings.extend(
            notes
                .into_iter()
                .map(|Problem { at, reason, fix }| self.warning(at, reason, fix)),
        );
        directives
    }

    /// In an answer, a relative path starts at FreeSWITCH's configuration folder, not at the file's (FACTS 10).
    pub(super) fn warn_of_include(&self, directive: &Directive, folder: &str, state: &mut LoadState) {
        let Some((cmd, data)) = &directive.action else { return };
        if !cmd.eq_ignore_ascii_case("include") {
            return;
        }
        if let Some(path) = path_that_works(data, folder) {
            let reason = format!(
                "FreeSWITCH looks for '{data}' in its configuration folder, not beside the file, and finds nothing"
            );
            state
                .warnings
                .push(self.warning(directive.at, reason, format!("write data=\"{path}\"")));
        }
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, TemplateError> {
    files::read(path, MAX_FILE_BYTES).map_err(|error| {
        let fix = match &error {
            FileError::TooLarge { bytes, most } => {
                let reason = format!("the file has {bytes} bytes; at most {most} are read");
                return TemplateError::of_file(path, reason, "make it shorter");
            }
            FileError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "put it there, or set templates.dir (--templates) to the folder that has it"
            }
            FileError::Io(_) => "make it readable",
            _ => "put a file there, or remove it",
        };
        TemplateError::of_file(path, format!("the file can't be read: {error}"), fix)
    })
}

/// The text without a byte order mark.
fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, TemplateError> {
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let (line, column) = line_and_column(&String::from_utf8_lossy(valid), valid.len());
        TemplateError {
            line: Some(line),
            column: Some(column),
            ..TemplateError::of_file(path, "the file is not UTF-8", "save it as UTF-8")
        }
    })?;
    if text.starts_with('\u{FEFF}') {
        text.drain(..'\u{FEFF}'.len_utf8());
    }
    Ok(text)
}

fn cuts(outline: &Outline) -> Vec<Range<usize>> {
    let wrappers = outline.children(None).filter(|(_, element)| is_wrapper(element));
    let wrappers = wrappers.flat_map(|(_, element)| [element.open.clone(), element.close.clone()]);
    let declaration = outline.declaration.iter().cloned();
    let mut cuts: Vec<_> = declaration.chain(wrappers).filter(|cut| !cut.is_empty()).collect();
    cuts.sort_by_key(|cut| cut.start);
    cuts
}

/// An `<include>` around the whole file, which pleases XML validators. FreeSWITCH drops its lines.
fn is_wrapper(element: &Element) -> bool {
    element.name == "include" && element.attributes.is_empty()
}

/// Line and column of an offset, counted from 1; the column in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = (0..=at.min(text.len()))
        .rev()
        .find_map(|at| text.get(..at))
        .unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}
