//! Reads a template file and cuts it into pieces that are otherwise unchanged.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::include_path::working_path;
use super::lines::Lines;
use super::outline::{Comments, Element, Malformed, Outline};
use super::parts::{Loading, TemplateError, TemplateWarning};
use super::preprocessor::{self, Directive, Note};
use super::spans::{span_at, strictly_inside};
use crate::files::{self, FileError};

/// The largest template file, in bytes. FreeSWITCH's own profiles take about 20,000.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The limit for all files together, in bytes. A thousand of FreeSWITCH's profiles take a third of it.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
pub(super) fn with_line_end(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A template file with its structure.
pub(super) struct TemplateFile {
    path: PathBuf,
    /// Without a byte order mark.
    text: String,
    lines: Lines,
    raw: Outline,
    /// What is left out: the XML declaration and the `<include>` around everything. Sorted.
    cuts: Vec<Range<usize>>,
    /// `text` with spaces in place of the cuts.
    blanked: String,
}

impl TemplateFile {
    pub(super) fn read(path: &Path, loading: &mut Loading) -> Result<Self, TemplateError> {
        let text = read_text(path, loading)?;
        let mut file = Self {
            path: path.to_owned(),
            lines: Lines::default(),
            raw: Outline::default(),
            cuts: Vec::new(),
            blanked: String::new(),
            text,
        };
        file.raw = Outline::read(&file.text, Comments::Unchecked).map_err(|malformed| file.malformed(&malformed))?;
        let wrappers = file.raw.children(None).filter(|(_, element)| is_wrapper(element));
        let wrappers = wrappers.flat_map(|(_, element)| [element.open.clone(), element.close.clone()]);
        let declaration = file.raw.declaration.iter().cloned();
        file.cuts = declaration.chain(wrappers).filter(|cut| !cut.is_empty()).collect();
        file.cuts.sort_by_key(|cut| cut.start);
        file.blanked.clone_from(&file.text);
        for cut in &file.cuts {
            file.blanked.replace_range(cut.clone(), &" ".repeat(cut.len()));
        }
        file.lines = Lines::of(&file.text, &file.blanked);
        Ok(file)
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn text(&self, range: Range<usize>) -> &str {
        &self.text[range]
    }

    pub(super) fn outline(&self) -> &Outline {
        &self.raw
    }

    pub(super) fn element(&self, at: usize) -> &Element {
        &self.raw.elements[at]
    }

    /// The white space before an element on its line.
    pub(super) fn indent_of(&self, element: &Element) -> &str {
        &self.text[self.line_start(element.open.start)..element.open.start]
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

    pub(super) fn position(&self, at: usize) -> String {
        format!("{}:{}", self.path.display(), self.lines.number(at))
    }

    fn malformed(&self, malformed: &Malformed) -> TemplateError {
        let reason = format!("the XML is not well-formed: {}", malformed.reason);
        self.error(malformed.at, reason, "correct it")
    }

    pub(super) fn warning(&self, at: usize, reason: String, fix: String) -> TemplateWarning {
        TemplateWarning {
            file: self.path.clone(),
            line: self.lines.number(at),
            reason,
            fix,
        }
    }

    /// The elements at the top level, or inside an `<include>` around everything.
    pub(super) fn top_elements(&self) -> impl Iterator<Item = (usize, &Element)> {
        self.raw.elements.iter().enumerate().filter(|(_, element)| {
            let at_top = element.parent.is_none_or(|parent| {
                self.raw.elements[parent].parent.is_none() && is_wrapper(&self.raw.elements[parent])
            });
            at_top && !is_wrapper(element) && !element.name.eq_ignore_ascii_case(preprocessor::DIRECTIVE)
        })
    }

    /// Where to add line ends: at these tags, if FreeSWITCH's preprocessor would act on their line and
    /// drop our text with it. Nothing is added elsewhere.
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

    /// The start of the line if only white space comes before `at`; else `at`.
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

    /// The pieces before and after a tag that gets rewritten.
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

    /// What FreeSWITCH's parser sees of the file. It must be well-formed and contain these tags.
    pub(super) fn surviving(&self, breaks: &[usize], tags: &[&Element]) -> Result<Outline, TemplateError> {
        const FIX: &str = "give each directive a line of its own, with nothing before or after it";
        let text = preprocessor::surviving(&self.blanked, breaks);
        let surviving = Outline::read(&text, Comments::Checked).map_err(|malformed| {
            if Outline::read(&self.blanked, Comments::Checked).is_err_and(|before| before == malformed) {
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

    /// The file's directives. Adds warnings about its lines.
    pub(super) fn report(&self, loading: &mut Loading) -> Vec<Directive> {
        let (directives, notes) = preprocessor::examine(&self.blanked, &self.raw.comments);
        loading.warnings.extend(
            notes
                .into_iter()
                .map(|Note { at, reason, fix }| self.warning(at, reason, fix)),
        );
        directives
    }

    pub(super) fn warn_of_include(&self, directive: &Directive, folder: &str, loading: &mut Loading) {
        let Some((cmd, data)) = &directive.action else { return };
        if !cmd.eq_ignore_ascii_case("include") {
            return;
        }
        if let Some(path) = working_path(data, folder) {
            let reason = format!(
                "FreeSWITCH looks for '{data}' in its configuration folder, not beside the file, and finds nothing"
            );
            loading
                .warnings
                .push(self.warning(directive.at, reason, format!("write data=\"{path}\"")));
        }
    }
}

/// The `<include>` around some of FreeSWITCH's files, whose lines it drops.
fn is_wrapper(element: &Element) -> bool {
    element.name == "include" && element.attributes.is_empty()
}

/// Line and column of an offset, from 1; the column in characters.
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

fn read_text(path: &Path, loading: &mut Loading) -> Result<String, TemplateError> {
    let unusable = |reason: String, fix: &str| TemplateError {
        file: path.to_owned(),
        line: None,
        column: None,
        reason,
        fix: fix.to_owned(),
    };
    let bytes = files::read(path, MAX_FILE_BYTES).map_err(|error| {
        let fix = match &error {
            FileError::TooLarge { bytes, most } => {
                let reason = format!("the file has {bytes} bytes; at most {most} are read");
                return unusable(reason, "make it shorter");
            }
            FileError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "put it there, or name the folder that has it: templates.dir, --templates"
            }
            FileError::Io(_) => "make it readable",
            _ => "put a file there, or remove it",
        };
        unusable(format!("the file can't be read: {error}"), fix)
    })?;
    loading.bytes += bytes.len() as u64;
    if loading.bytes > MAX_BYTES {
        let reason = format!("with this file the templates have more than {MAX_BYTES} bytes");
        return Err(unusable(reason, "remove what FreeSWITCH doesn't need"));
    }
    let at = |text: &str, at, error| {
        let (line, column) = line_and_column(text, at);
        TemplateError {
            line: Some(line),
            column: Some(column),
            ..error
        }
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let good = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        at(
            &good,
            good.len(),
            unusable("the file is not UTF-8".to_owned(), "save it as UTF-8"),
        )
    })?;
    let text = text.strip_prefix('\u{FEFF}').map_or(text.clone(), str::to_owned);
    match text.find('\0') {
        Some(nul) => {
            let reason = "the file contains a NUL, where FreeSWITCH stops reading a line";
            Err(at(&text, nul, unusable(reason.to_owned(), "remove it")))
        }
        None => Ok(text),
    }
}

/// The directives in a span; they are sorted by position.
pub(super) fn directives_in<'a>(directives: &'a [Directive], span: &Range<usize>) -> &'a [Directive] {
    let first = directives.partition_point(|directive| directive.at < span.start);
    let end = directives.partition_point(|directive| directive.at < span.end);
    directives.get(first..end).unwrap_or_default()
}
