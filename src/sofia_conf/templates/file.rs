//! One template file taken apart: where our text goes in, what FreeSWITCH's rules need to know, what there is to tell.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::lines::{Lines, span_at, strictly_inside};
use super::load::{Loading, Part, Profile, TemplateError, TemplateWarning};
use super::outline::{Comments, Element, Malformed, Outline};
use super::preprocessor::{self, Directive, Note};
use crate::files::{self, FileError};
use crate::gateway::{GatewayName, ProfileFacts, ProfileName, is_true};

/// The largest template file that is read, in bytes. FreeSWITCH's own profiles take some 20,000.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The largest all files may be together, in bytes. A thousand profiles as FreeSWITCH ships them take a third of it.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The most profiles. Each is a thread and a port of FreeSWITCH's.
const MAX_PROFILES: usize = 1000;

/// The parts of `sofia.conf.xml`: up to the inside of `<profiles>`, that inside, and the rest.
pub(super) fn read_sofia_conf(dir: &Path, loading: &mut Loading) -> Result<(String, Vec<Part>, String), TemplateError> {
    let file = TemplateFile::read(&dir.join("sofia.conf.xml"), loading)?;
    let mut configuration = None;
    for (at, element) in file.top_elements() {
        if element.name != "configuration" || configuration.is_some() {
            let reason = format!(
                "expected one <configuration name=\"sofia.conf\">, found <{}>",
                element.name
            );
            return Err(file.error(element.open.start, reason, "move it to where it belongs"));
        }
        configuration = Some((at, element));
    }
    let Some((at, configuration)) = configuration else {
        let mend = "start from the sofia.conf.xml that comes with trunkd or FreeSWITCH";
        return Err(file.error(0, "there is no <configuration name=\"sofia.conf\">", mend));
    };
    if configuration.attribute("name") != Some("sofia.conf") {
        let reason = "FreeSWITCH looks for <configuration name=\"sofia.conf\">, and this has another name";
        return Err(file.error(configuration.open.start, reason, "write name=\"sofia.conf\""));
    }
    let profiles = file.raw.child(at, "profiles");
    let tags: Vec<_> = [Some(configuration), profiles.map(|(_, element)| element)]
        .into_iter()
        .flatten()
        .collect();
    let breaks = file.breaks(&tags, &[]);
    file.surviving(&breaks, &tags)?;
    let directives = file.report(loading);
    for directive in &directives {
        let Some((_, data)) = directive.action.as_ref().filter(|_| directive.inserts()) else {
            continue;
        };
        let in_profiles = profiles.is_some_and(|(_, element)| element.span().contains(&directive.at));
        if in_profiles && data.contains("sip_profiles") {
            let reason =
                "trunkd puts the profiles in here itself; with this line FreeSWITCH gets them twice, or nothing";
            loading
                .warnings
                .push(file.warning(directive.at, reason.to_owned(), "remove the line".to_owned()));
        } else {
            file.warn_of_include(directive, "autoload_configs", loading);
        }
    }

    let end = file.text.len();
    let inside = configuration.open.end..configuration.close.start;
    let (head, parts, tail) = match profiles {
        Some((at, profiles)) if !profiles.is_self_closing() => {
            let (open, close) = (profiles.open.end, file.line_start(profiles.close.start));
            let close = close.max(open);
            let parts = file.split_profiles(open..close, at, &breaks, &directives, loading)?;
            (file.piece(0..open, &breaks), parts, file.piece(close..end, &breaks))
        }
        Some((_, profiles)) => {
            let (before, after) = file.pieces_around(&profiles.open, 0..end, &breaks);
            let head = format!("{before}{}>", file.open_tag_without_slash(profiles));
            (head, Vec::new(), format!("</profiles>{after}"))
        }
        None if configuration.is_self_closing() => {
            let (before, after) = file.pieces_around(&configuration.open, 0..end, &breaks);
            let head = format!("{before}{}>\n  <profiles>", file.open_tag_without_slash(configuration));
            (head, Vec::new(), format!("  </profiles>\n</configuration>{after}"))
        }
        None => {
            let at = file.line_start(inside.end).max(inside.start);
            let head = format!("{}  <profiles>", with_line_end(file.piece(0..at, &breaks)));
            (
                head,
                Vec::new(),
                format!("  </profiles>\n{}", file.piece(at..end, &breaks)),
            )
        }
    };
    let head = head.trim_start_matches(['\r', '\n']).to_owned();
    let tail = tail.trim_end_matches(['\r', '\n']).to_owned();
    Ok((with_line_end(head), parts, with_line_end(tail)))
}

fn with_line_end(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A template file while it is taken apart.
pub(super) struct TemplateFile {
    path: PathBuf,
    /// Without a byte order mark.
    text: String,
    lines: Lines,
    raw: Outline,
    /// What doesn't go along: the XML declaration and the `<include>` around it all. Sorted.
    cuts: Vec<Range<usize>>,
    /// Same length as `text`, with spaces where it is cut.
    uncut: String,
}

impl TemplateFile {
    pub(super) fn read(path: &Path, loading: &mut Loading) -> Result<TemplateFile, TemplateError> {
        let unusable = |reason: String, mend: &str| TemplateError {
            file: path.to_owned(),
            line: None,
            column: None,
            reason,
            mend: mend.to_owned(),
        };
        let bytes = files::read(path, MAX_FILE_BYTES).map_err(|error| match error {
            FileError::TooLarge { bytes, most } => unusable(
                format!("the file has {bytes} bytes; at most {most} are read"),
                "make it shorter",
            ),
            FileError::Io(error) if error.kind() == io::ErrorKind::NotFound => unusable(
                format!("the file can't be read: {error}"),
                "put it there, or name the folder that has it: templates.dir, --templates",
            ),
            FileError::Io(error) => unusable(format!("the file can't be read: {error}"), "make it readable"),
            error => unusable(
                format!("the file can't be read: {error}"),
                "put a file there, or remove it",
            ),
        })?;
        loading.bytes += bytes.len() as u64;
        if loading.bytes > MAX_BYTES {
            let reason = format!("with this file the templates have more than {MAX_BYTES} bytes");
            return Err(unusable(reason, "remove what FreeSWITCH is not to have"));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let good = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
            let (line, column) = place(&good, good.len());
            TemplateError {
                line: Some(line),
                column: Some(column),
                ..unusable("the file is not UTF-8".to_owned(), "save it as UTF-8")
            }
        })?;
        let text = text.strip_prefix('\u{FEFF}').map_or(text.clone(), str::to_owned);
        if let Some(at) = text.find('\0') {
            let (line, column) = place(&text, at);
            let error = unusable(
                "the file holds a NUL, at which FreeSWITCH stops reading a line".to_owned(),
                "remove it",
            );
            return Err(TemplateError {
                line: Some(line),
                column: Some(column),
                ..error
            });
        }
        let mut file = TemplateFile {
            path: path.to_owned(),
            lines: Lines::default(),
            raw: Outline::default(),
            cuts: Vec::new(),
            uncut: String::new(),
            text,
        };
        file.raw = Outline::read(&file.text, Comments::Unchecked).map_err(|malformed| file.malformed(&malformed))?;
        let wrappers = file.raw.children(None).filter(|(_, element)| is_wrapper(element));
        let wrappers = wrappers.flat_map(|(_, element)| [element.open.clone(), element.close.clone()]);
        file.cuts = file
            .raw
            .declaration
            .iter()
            .cloned()
            .chain(wrappers)
            .filter(|cut| !cut.is_empty())
            .collect();
        file.cuts.sort_by_key(|cut| cut.start);
        file.uncut.clone_from(&file.text);
        for cut in &file.cuts {
            file.uncut.replace_range(cut.clone(), &" ".repeat(cut.len()));
        }
        file.lines = Lines::of(&file.text, &file.uncut);
        Ok(file)
    }

    fn error(&self, at: usize, reason: impl Into<String>, mend: impl Into<String>) -> TemplateError {
        let (line, column) = place(&self.text, at);
        TemplateError {
            file: self.path.clone(),
            line: Some(line),
            column: Some(column),
            reason: reason.into(),
            mend: mend.into(),
        }
    }

    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path.display(), self.lines.number(at))
    }

    fn malformed(&self, malformed: &Malformed) -> TemplateError {
        let reason = format!("the XML is not well-formed: {}", malformed.reason);
        self.error(malformed.at, reason, "correct it")
    }

    fn warning(&self, at: usize, reason: String, mend: String) -> TemplateWarning {
        TemplateWarning {
            file: self.path.clone(),
            line: self.lines.number(at),
            reason,
            mend,
        }
    }

    /// The elements that aren't inside others, an `<include>` around them apart.
    fn top_elements(&self) -> impl Iterator<Item = (usize, &Element)> {
        self.raw.elements.iter().enumerate().filter(|(_, element)| {
            let at_top = element.parent.is_none_or(|parent| {
                self.raw.elements[parent].parent.is_none() && is_wrapper(&self.raw.elements[parent])
            });
            at_top && !is_wrapper(element) && !element.name.eq_ignore_ascii_case(preprocessor::DIRECTIVE)
        })
    }

    /// Where lines must be broken, lest the tags that our own text goes beside be lost: at these tags, where
    /// FreeSWITCH's preprocessor would act on their line. Elsewhere nothing is added.
    fn breaks(&self, tags: &[&Element], always: &[usize]) -> Vec<usize> {
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
    fn line_start(&self, at: usize) -> usize {
        self.lines.start_if_blank(at)
    }

    /// A piece of the text without what is cut, with line ends put in at `breaks`, which are sorted.
    fn piece(&self, range: Range<usize>, breaks: &[usize]) -> String {
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

    /// The pieces before and after a tag that is written anew.
    fn pieces_around(&self, tag: &Range<usize>, range: Range<usize>, breaks: &[usize]) -> (String, String) {
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

    fn open_tag_without_slash(&self, element: &Element) -> &str {
        let tag = &self.text[element.open.clone()];
        tag.strip_suffix("/>").unwrap_or(tag).trim_end()
    }

    /// What FreeSWITCH's parser gets to see of the file, which must be well-formed too, with these tags where they are.
    fn surviving(&self, breaks: &[usize], tags: &[&Element]) -> Result<Outline, TemplateError> {
        const MEND: &str = "give each directive a line of its own, with nothing before or after it";
        let text = preprocessor::surviving(&self.uncut, breaks);
        let surviving = Outline::read(&text, Comments::Checked).map_err(|malformed| {
            if Outline::read(&self.uncut, Comments::Checked).is_err_and(|before| before == malformed) {
                return self.malformed(&malformed);
            }
            let reason = "FreeSWITCH's preprocessor drops lines of this file that the rest needs to be well-formed";
            self.error(malformed.at, format!("{reason}: {}", malformed.reason), MEND)
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
                Err(self.error(tag.open.start, reason, MEND))
            }
        }
    }

    /// The directives of the file; what is to be told of its lines goes to the warnings.
    fn report(&self, loading: &mut Loading) -> Vec<Directive> {
        let (directives, notes) = preprocessor::examine(&self.uncut, &self.raw.comments);
        loading.warnings.extend(
            notes
                .into_iter()
                .map(|Note { at, reason, mend }| self.warning(at, reason, mend)),
        );
        directives
    }

    /// FACTS 10: in an answer, a relative path starts from FreeSWITCH's configuration folder, not from the file's.
    fn warn_of_include(&self, directive: &Directive, folder: &str, loading: &mut Loading) {
        let Some((cmd, data)) = &directive.action else { return };
        if !cmd.eq_ignore_ascii_case("include") {
            return;
        }
        if let Some(path) = path_that_works(data, folder) {
            let reason = format!(
                "FreeSWITCH looks for '{data}' in its configuration folder, not beside the file, and finds nothing"
            );
            loading
                .warnings
                .push(self.warning(directive.at, reason, format!("write data=\"{path}\"")));
        }
    }

    /// The parts of a file of `sip_profiles/`.
    pub(super) fn profile_parts(&self, loading: &mut Loading) -> Result<Vec<Part>, TemplateError> {
        for (_, element) in self.top_elements() {
            if element.name != "profile" {
                let reason = format!("expected <profile>, found <{}>", element.name);
                let mend = if element.name == "gateway" {
                    "gateways belong in Redis, or inside the <gateways> of a profile"
                } else {
                    "move it out of sip_profiles, which holds profiles only"
                };
                return Err(self.error(element.open.start, reason, mend));
            }
        }
        if self.top_elements().next().is_none() {
            return Err(self.error(0, "there is no <profile> in this file", "add one, or remove the file"));
        }
        let directives = self.report(loading);
        for directive in &directives {
            self.warn_of_include(directive, "sip_profiles", loading);
        }
        let profiles: Vec<usize> = self.top_elements().map(|(at, _)| at).collect();
        self.split(0..self.text.len(), &profiles, &[], &directives, loading)
    }

    /// The parts of what stands inside the `<profiles>` of `sofia.conf.xml`.
    fn split_profiles(
        &self,
        range: Range<usize>,
        parent: usize,
        outer_breaks: &[usize],
        directives: &[Directive],
        loading: &mut Loading,
    ) -> Result<Vec<Part>, TemplateError> {
        let profiles = self
            .raw
            .children(Some(parent))
            .filter(|(_, element)| element.name == "profile");
        let profiles: Vec<usize> = profiles.map(|(at, _)| at).collect();
        self.split(range, &profiles, outer_breaks, directives, loading)
    }

    fn split(
        &self,
        range: Range<usize>,
        profiles: &[usize],
        outer_breaks: &[usize],
        directives: &[Directive],
        loading: &mut Loading,
    ) -> Result<Vec<Part>, TemplateError> {
        // A profile always begins and ends a line of the answer.
        let bounds: Vec<usize> = profiles
            .iter()
            .map(|at| &self.raw.elements[*at])
            .flat_map(|p| [self.line_start(p.open.start), p.close.end])
            .chain(outer_breaks.iter().copied())
            .collect();
        let tags: Vec<_> = profiles
            .iter()
            .flat_map(|at| {
                let gateways = self.raw.child(*at, "gateways").map(|(_, element)| element);
                [Some(&self.raw.elements[*at]), gateways].into_iter().flatten()
            })
            .collect();
        let breaks = self.breaks(&tags, &bounds);
        let surviving = self.surviving(&breaks, &tags)?;

        let mut parts = Vec::new();
        let mut done = range.start;
        for &at in profiles {
            let element = &self.raw.elements[at];
            let start = self.line_start(element.open.start).max(done);
            parts.extend(self.text_part(done..start, &breaks));
            parts.push(Part::Profile(
                self.profile(at, start, &breaks, &surviving, directives, loading)?,
            ));
            done = element.close.end;
        }
        parts.extend(self.text_part(done..range.end, &breaks));
        Ok(parts)
    }

    fn text_part(&self, range: Range<usize>, breaks: &[usize]) -> Option<Part> {
        let text = self.piece(range, breaks);
        let text = text.trim_matches(['\r', '\n']);
        (!text.trim().is_empty()).then(|| Part::Text(with_line_end(text.to_owned())))
    }

    fn profile(
        &self,
        at: usize,
        start: usize,
        breaks: &[usize],
        surviving: &Outline,
        directives: &[Directive],
        loading: &mut Loading,
    ) -> Result<Profile, TemplateError> {
        let element = &self.raw.elements[at];
        let name = self.profile_name(element)?;
        if let Some(first) = loading
            .profiles
            .insert(name.as_str().to_ascii_lowercase(), self.place(element.open.start))
        {
            let reason = format!("there is a profile '{name}' already, at {first}");
            return Err(self.error(element.open.start, reason, "rename one, or remove it"));
        }
        if loading.profiles.len() > MAX_PROFILES {
            let reason = format!("with this one there are more than {MAX_PROFILES} profiles");
            return Err(self.error(
                element.open.start,
                reason,
                "keep only the profiles that FreeSWITCH is to have",
            ));
        }
        let end = element.close.end;
        let inside = |span: &Range<usize>| !directives_in(directives, span).is_empty();

        let gateways = self.raw.child(at, "gateways");
        if let Some((_, second)) = self.raw.children(Some(at)).filter(|(_, e)| e.name == "gateways").nth(1) {
            let reason = "FreeSWITCH reads the first <gateways> of a profile only".to_owned();
            loading
                .warnings
                .push(self.warning(second.open.start, reason, "join it with the first".to_owned()));
        }
        if self.raw.child(at, "settings").is_none() && !inside(&element.span()) {
            let reason = "the profile has no <settings>; FreeSWITCH does not start it".to_owned();
            loading
                .warnings
                .push(self.warning(element.open.start, reason, "add them".to_owned()));
        }

        let untouched = with_line_end(self.piece(start..end, breaks));
        let outer_indent = &self.text[self.line_start(element.open.start)..element.open.start];
        let (before, after, indent) = match gateways {
            Some((_, gateways)) => {
                let indent = &self.text[self.line_start(gateways.open.start)..gateways.open.start];
                let (before, after) = if gateways.is_self_closing() {
                    let (before, after) = self.pieces_around(&gateways.open, start..end, breaks);
                    let tag = self.open_tag_without_slash(gateways);
                    (format!("{before}{tag}>"), format!("{indent}</gateways>{after}"))
                } else {
                    let close = gateways.close.start;
                    let middle = self.line_start(close).max(gateways.open.end);
                    let indent = if middle == close { indent } else { "" };
                    let after = format!("{indent}{}", self.piece(middle..end, breaks));
                    (self.piece(start..middle, breaks), after)
                };
                (before, after, format!("{indent}  "))
            }
            None => {
                let tag = self.open_tag_without_slash(element).trim_end_matches('>');
                let before = format!(
                    "{}{tag}>\n{outer_indent}  <gateways>",
                    &self.text[start..element.open.start]
                );
                let rest = if element.is_self_closing() {
                    format!("\n{outer_indent}</profile>")
                } else {
                    let rest = self.piece(element.open.end..end, breaks);
                    if rest.starts_with(['\r', '\n']) {
                        rest
                    } else {
                        format!("\n{rest}")
                    }
                };
                (
                    before,
                    format!("{outer_indent}  </gateways>{rest}"),
                    format!("{outer_indent}    "),
                )
            }
        };

        let (own_gateways, own_section, own_section_has_more) = match gateways {
            Some((_, gateways)) if !gateways.is_self_closing() => {
                let section = gateways.open.end..gateways.close.start;
                let own = surviving.opened_at(gateways.open.start).into_iter();
                let own = own.flat_map(|(at, _)| surviving.children(Some(at)));
                let own = own.filter_map(|(_, gateway)| {
                    if gateway.name != "gateway" {
                        return None;
                    }
                    let name = GatewayName::parse(gateway.attribute("name")?).ok()?;
                    if let Some(first) = loading.gateways.insert(name.clone(), self.place(gateway.open.start)) {
                        let reason =
                            format!("there is a gateway '{name}' already, at {first}; FreeSWITCH takes a name once");
                        let mend = "rename one, or remove it".to_owned();
                        loading.warnings.push(self.warning(gateway.open.start, reason, mend));
                    }
                    let span = gateway.span();
                    Some((
                        name,
                        with_line_end(self.piece(self.line_start(span.start)..span.end, breaks)),
                    ))
                });
                let more = directives_in(directives, &section).iter().any(Directive::inserts);
                let text = self.piece(section, breaks);
                let text = text.trim_matches(['\r', '\n']).trim_end();
                (own.collect(), with_line_end(text.to_owned()), more)
            }
            _ => (Vec::new(), String::new(), false),
        };
        let facts = ProfileFacts {
            tls: switched_on("tls", surviving, element.open.start, directives),
            rfc_5626: switched_on("enable-rfc-5626", surviving, element.open.start, directives),
            gateways: own_gateways
                .iter()
                .map(|(name, _): &(GatewayName, String)| name.clone())
                .collect::<BTreeSet<_>>(),
        };
        Ok(Profile {
            name,
            facts,
            untouched,
            before: with_line_end(before),
            after: with_line_end(after),
            indent,
            own_gateways,
            own_section,
            own_section_has_more,
        })
    }

    fn profile_name(&self, element: &Element) -> Result<ProfileName, TemplateError> {
        let at = element.open.start;
        match element.attribute("name") {
            None => Err(self.error(at, "the profile has no name", "write <profile name=\"…\">")),
            Some(name) if name.contains("$${") => {
                let reason = "the profile's name is left to a FreeSWITCH global, which trunkd can't know";
                Err(self.error(at, reason, "write the name out"))
            }
            Some(name) => ProfileName::parse(name)
                .map_err(|error| self.error(at, format!("the profile's name can't be used: {error}"), error.mend())),
        }
    }
}

/// The `<include>` that FreeSWITCH's files may be wrapped in "for the sake of validators", and whose lines it drops.
fn is_wrapper(element: &Element) -> bool {
    element.name == "include" && element.attributes.is_empty()
}

/// Of directives in their order, those in a span.
fn directives_in<'a>(directives: &'a [Directive], span: &Range<usize>) -> &'a [Directive] {
    let first = directives.partition_point(|directive| directive.at < span.start);
    let end = directives.partition_point(|directive| directive.at < span.end);
    directives.get(first..end).unwrap_or_default()
}

/// Line and column of an offset, counted from 1; the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
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

/// Whether a param of a profile is on (`config_sofia` in sofia.c: the last one of that name, in any case, decides, and
/// without one it is off). `None` when a FreeSWITCH global decides, or text that a directive brings in.
fn switched_on(wanted: &str, outline: &Outline, profile_start: usize, directives: &[Directive]) -> Option<bool> {
    let inserted = |span: Range<usize>| directives_in(directives, &span).iter().any(Directive::inserts);
    let (profile, element) = outline.opened_at(profile_start)?;
    let Some((at, settings)) = outline.child(profile, "settings") else {
        return (!inserted(element.span())).then_some(false);
    };
    let last = outline
        .children(Some(at))
        .filter(|(_, param)| param.name == "param")
        .filter(|(_, param)| {
            param
                .attribute("name")
                .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        })
        .last();
    let from = last.map_or(settings.open.end, |(_, param)| param.open.end);
    if inserted(from..settings.close.start) {
        return None;
    }
    let value = last.map_or("", |(_, param)| param.attribute("value").unwrap_or_default());
    (!value.contains("$${")).then(|| is_true(value))
}

/// What stands in FreeSWITCH's configuration folder, so that a path may start with it.
const CONFIGURATION_FOLDER: [&str; 12] = [
    "autoload_configs",
    "chatplan",
    "dialplan",
    "directory",
    "ivr_menus",
    "jingle_profiles",
    "lang",
    "mrcp_profiles",
    "sip_profiles",
    "skinny_profiles",
    "tls",
    "vars.xml",
];

/// For a path that was written relative to `folder`: how to write it relative to FreeSWITCH's configuration folder.
/// `None` when it is right already, or can't be told.
fn path_that_works(path: &str, folder: &str) -> Option<String> {
    let absolute = path.starts_with(['/', '\\']) || path.as_bytes().get(1) == Some(&b':');
    if absolute || path.starts_with("$${") || path.is_empty() {
        return None;
    }
    let plain = path.trim_start_matches("./");
    if let Some(up) = plain.strip_prefix("../") {
        // Up from the folder is the configuration folder; further up can only be said in full.
        return Some(if up.starts_with("../") {
            format!("$${{conf_dir}}/{plain}")
        } else {
            up.to_owned()
        });
    }
    let first = plain.split('/').next().unwrap_or_default();
    if CONFIGURATION_FOLDER.contains(&first) {
        None
    } else {
        Some(format!("{folder}/{plain}"))
    }
}
