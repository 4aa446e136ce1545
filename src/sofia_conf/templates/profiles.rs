//! Finds the profiles of a template file and where our gateways go into each.

use std::ops::Range;

use super::error::TemplateError;
use super::facts::{directives_in, switched_on};
use super::file::{TemplateFile, with_line_end};
use super::outline::{Element, Outline};
use super::parts::{LoadState, Part, Profile};
use super::preprocessor::Directive;
use crate::gateway::{GatewayName, ProfileFacts, ProfileName};

/// The most profiles. FreeSWITCH runs a thread and opens a port for each.
const MAX_PROFILES: usize = 1000;

/// The parts of a file in `sip_profiles/`.
pub(super) fn profile_parts(file: &TemplateFile, state: &mut LoadState) -> Result<Vec<Part>, TemplateError> {
    let profiles: Vec<_> = file.top_elements().collect();
    if let Some((_, element)) = profiles.iter().find(|(_, element)| element.name != "profile") {
        let reason = format!("expected <profile>, found <{}>", element.name);
        let fix = if element.name == "gateway" {
            "gateways belong in Redis, or inside the <gateways> of a profile"
        } else {
            "move it out of sip_profiles, which holds profiles only"
        };
        return Err(file.error(element.open.start, reason, fix));
    }
    if profiles.is_empty() {
        return Err(file.error(0, "there is no <profile> in this file", "add one, or remove the file"));
    }
    let directives = file.directives(state);
    for directive in &directives {
        file.warn_of_include(directive, "sip_profiles", state);
    }
    split(file, 0..file.text.len(), &profiles, &[], &directives, state)
}

/// The parts of the content of `<profiles>` in `sofia.conf.xml`.
pub(super) fn split_profiles(
    file: &TemplateFile,
    range: Range<usize>,
    parent: usize,
    outer_breaks: &[usize],
    directives: &[Directive],
    state: &mut LoadState,
) -> Result<Vec<Part>, TemplateError> {
    let profiles = file.outline.children(Some(parent));
    let profiles: Vec<_> = profiles.filter(|(_, element)| element.name == "profile").collect();
    split(file, range, &profiles, outer_breaks, directives, state)
}

fn split(
    file: &TemplateFile,
    range: Range<usize>,
    profiles: &[(usize, &Element)],
    outer_breaks: &[usize],
    directives: &[Directive],
    state: &mut LoadState,
) -> Result<Vec<Part>, TemplateError> {
    // In a document, a profile starts and ends on lines of its own.
    let bounds: Vec<usize> = profiles
        .iter()
        .flat_map(|(_, profile)| [file.line_start(profile.open.start), profile.close.end])
        .chain(outer_breaks.iter().copied())
        .collect();
    let tags: Vec<_> = profiles
        .iter()
        .flat_map(|(at, profile)| {
            let gateways = file.outline.child(*at, "gateways").map(|(_, element)| element);
            [Some(*profile), gateways].into_iter().flatten()
        })
        .collect();
    let breaks = file.breaks(&tags, &bounds);
    let surviving = file.surviving(&breaks, &tags)?;

    let mut parts = Vec::new();
    let mut done = range.start;
    for &(at, element) in profiles {
        let start = file.line_start(element.open.start).max(done);
        parts.extend(text_part(file.piece(done..start, &breaks)));
        let reader = ProfileReader {
            file,
            at,
            element,
            gateways: file.outline.child(at, "gateways").map(|(_, element)| element),
            start,
            breaks: &breaks,
            surviving: &surviving,
            directives,
        };
        parts.push(Part::Profile(reader.read(state)?));
        done = element.close.end;
    }
    parts.extend(text_part(file.piece(done..range.end, &breaks)));
    Ok(parts)
}

fn text_part(text: String) -> Option<Part> {
    let text = text.trim_matches(['\r', '\n']);
    (!text.trim().is_empty()).then(|| Part::Text(with_line_end(text.to_owned())))
}

/// Reads one `<profile>` of a file.
struct ProfileReader<'a> {
    file: &'a TemplateFile,
    /// Index and element in the outline.
    at: usize,
    element: &'a Element,
    /// The first `<gateways>`, the only one that FreeSWITCH reads.
    gateways: Option<&'a Element>,
    /// Where the profile's first line starts.
    start: usize,
    breaks: &'a [usize],
    surviving: &'a Outline,
    directives: &'a [Directive],
}

/// The gateways that a profile has in its template.
#[derive(Default)]
struct OwnGateways {
    by_name: Vec<(GatewayName, String)>,
    section: String,
    has_more: bool,
}

/// The text of a profile around our gateways.
struct Around {
    before: String,
    after: String,
    indent: String,
}

impl ProfileReader<'_> {
    fn read(&self, state: &mut LoadState) -> Result<Profile, TemplateError> {
        let profile_start = self.element.open.start;
        let name = self.check_name(state)?;
        self.warn_of_ignored(state);
        let own = self.own_gateways(state);
        let around = match self.gateways {
            Some(gateways) => self.around_gateways_of(gateways),
            None => self.around_new_gateways(),
        };
        let facts = ProfileFacts {
            tls: switched_on("tls", self.surviving, profile_start, self.directives),
            rfc_5626: switched_on("enable-rfc-5626", self.surviving, profile_start, self.directives),
            gateways: own.by_name.iter().map(|(name, _)| name.clone()).collect(),
        };
        Ok(Profile {
            name,
            facts,
            untouched: with_line_end(self.piece(self.start..self.element.close.end)),
            before: with_line_end(around.before),
            after: with_line_end(around.after),
            indent: around.indent,
            own_gateways: own.by_name,
            own_section: own.section,
            own_section_has_more: own.has_more,
        })
    }

    fn piece(&self, range: Range<usize>) -> String {
        self.file.piece(range, self.breaks)
    }

    /// The white space in front of a tag that starts its line.
    fn indent_of(&self, tag: &Range<usize>) -> &str {
        &self.file.text[self.file.line_start(tag.start)..tag.start]
    }

    /// The profile's name, which must be the only one in any case.
    fn check_name(&self, state: &mut LoadState) -> Result<ProfileName, TemplateError> {
        let at = self.element.open.start;
        let name = profile_name(self.file, self.element)?;
        let lower_case = name.as_str().to_ascii_lowercase();
        if let Some(first) = state.profiles.insert(lower_case, self.file.location(at)) {
            let reason = format!("there is a profile '{name}' already, at {first}");
            return Err(self.file.error(at, reason, "rename one, or remove it"));
        }
        if state.profiles.len() > MAX_PROFILES {
            let reason = format!("with this one there are more than {MAX_PROFILES} profiles");
            return Err(self
                .file
                .error(at, reason, "remove profiles that FreeSWITCH does not need"));
        }
        Ok(name)
    }

    fn warn_of_ignored(&self, state: &mut LoadState) {
        let outline = &self.file.outline;
        let mut sections = outline.children(Some(self.at)).filter(|(_, e)| e.name == "gateways");
        if let Some((_, second)) = sections.nth(1) {
            let reason = "FreeSWITCH reads the first <gateways> of a profile only";
            let warning = self.file.warning(second.open.start, reason, "join it with the first");
            state.warnings.push(warning);
        }
        let has_directives = !directives_in(self.directives, &self.element.span()).is_empty();
        if outline.child(self.at, "settings").is_none() && !has_directives {
            let reason = "the profile has no <settings>; FreeSWITCH does not start it";
            let warning = self.file.warning(self.element.open.start, reason, "add them");
            state.warnings.push(warning);
        }
    }

    fn around_gateways_of(&self, gateways: &Element) -> Around {
        let whole = self.start..self.element.close.end;
        let indent = self.indent_of(&gateways.open);
        let (before, after) = if gateways.is_self_closing() {
            let (before, after) = self.file.pieces_around(&gateways.open, whole, self.breaks);
            let tag = self.file.open_tag_without_slash(gateways);
            (format!("{before}{tag}>"), format!("{indent}</gateways>{after}"))
        } else {
            let close = gateways.close.start;
            let middle = self.file.line_start(close).max(gateways.open.end);
            let indent = if middle == close { indent } else { "" };
            let after = format!("{indent}{}", self.piece(middle..whole.end));
            (self.piece(whole.start..middle), after)
        };
        Around {
            before,
            after,
            indent: format!("{indent}  "),
        }
    }

    /// For a profile without `<gateways>`: they are added as its first child.
    fn around_new_gateways(&self) -> Around {
        let element = self.element;
        let indent = self.indent_of(&element.open);
        let tag = self.file.open_tag_without_slash(element).trim_end_matches('>');
        let start = &self.file.text[self.start..element.open.start];
        let rest = if element.is_self_closing() {
            format!("\n{indent}</profile>")
        } else {
            let rest = self.piece(element.open.end..element.close.end);
            let line_end = if rest.starts_with(['\r', '\n']) { "" } else { "\n" };
            format!("{line_end}{rest}")
        };
        Around {
            before: format!("{start}{tag}>\n{indent}  <gateways>"),
            after: format!("{indent}  </gateways>{rest}"),
            indent: format!("{indent}    "),
        }
    }

    fn own_gateways(&self, state: &mut LoadState) -> OwnGateways {
        let Some(gateways) = self.gateways.filter(|gateways| !gateways.is_self_closing()) else {
            return OwnGateways::default();
        };
        let mut by_name = Vec::new();
        let section = self.surviving.opened_at(gateways.open.start);
        let elements = section
            .into_iter()
            .flat_map(|(at, _)| self.surviving.children(Some(at)));
        for (_, gateway) in elements.filter(|(_, element)| element.name == "gateway") {
            let name = gateway.attribute("name").and_then(|name| GatewayName::parse(name).ok());
            let Some(name) = name else { continue };
            let at = gateway.open.start;
            if let Some(first) = state.gateways.insert(name.clone(), self.file.location(at)) {
                let reason = format!("there is a gateway '{name}' already, at {first}; FreeSWITCH takes a name once");
                state
                    .warnings
                    .push(self.file.warning(at, reason, "rename one, or remove it"));
            }
            let text = self.piece(self.file.line_start(at)..gateway.close.end);
            by_name.push((name, with_line_end(text)));
        }
        let section = gateways.open.end..gateways.close.start;
        let has_more = directives_in(self.directives, &section).iter().any(Directive::inserts);
        let text = self.piece(section);
        let text = text.trim_matches(['\r', '\n']).trim_end();
        OwnGateways {
            by_name,
            section: with_line_end(text.to_owned()),
            has_more,
        }
    }
}

fn profile_name(file: &TemplateFile, element: &Element) -> Result<ProfileName, TemplateError> {
    let at = element.open.start;
    match element.attribute("name") {
        None => Err(file.error(at, "the profile has no name", "write <profile name=\"…\">")),
        Some(name) if name.contains("$${") => {
            let reason = "the profile's name is left to a FreeSWITCH global, which trunkd can't know";
            Err(file.error(at, reason, "write the name out"))
        }
        Some(name) => ProfileName::parse(name)
            .map_err(|error| file.error(at, format!("the profile's name can't be used: {error}"), error.fix().en)),
    }
}
