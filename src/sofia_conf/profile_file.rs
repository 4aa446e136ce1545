//! Profiles in a template file: where our gateways go, and what the rules need to know.

use std::ops::Range;

use super::outline::{Element, Outline};
use super::parts::{Loading, Part, Profile, TemplateError};
use super::preprocessor::Directive;
use super::template_file::{TemplateFile, directives_in, with_line_end};
use crate::gateway::{GatewayName, ProfileFacts, ProfileName, is_true};

/// The most profiles. Each is a thread and a port in FreeSWITCH.
const MAX_PROFILES: usize = 1000;

/// A file's text as FreeSWITCH's parser gets it, with the directives and the places where we add line
/// ends.
struct Survey<'a> {
    file: &'a TemplateFile,
    surviving: Outline,
    breaks: Vec<usize>,
    directives: &'a [Directive],
}

/// A profile's text around the gateways to insert.
struct Insertion {
    before: String,
    after: String,
    indent: String,
}

/// The gateways that the template itself has.
#[derive(Default)]
struct OwnGateways {
    gateways: Vec<(GatewayName, String)>,
    section: String,
    has_more: bool,
}

/// The parts of a file in `sip_profiles/`.
pub(super) fn read_profile_file(file: &TemplateFile, loading: &mut Loading) -> Result<Vec<Part>, TemplateError> {
    for (_, element) in file.top_elements() {
        if element.name != "profile" {
            let reason = format!("expected <profile>, found <{}>", element.name);
            let fix = if element.name == "gateway" {
                "gateways belong in Redis, or inside the <gateways> of a profile"
            } else {
                "move it out of sip_profiles, which holds profiles only"
            };
            return Err(file.error(element.open.start, reason, fix));
        }
    }
    if file.top_elements().next().is_none() {
        return Err(file.error(0, "there is no <profile> in this file", "add one, or remove the file"));
    }
    let directives = file.report(loading);
    for directive in &directives {
        file.warn_of_include(directive, "sip_profiles", loading);
    }
    let profiles: Vec<usize> = file.top_elements().map(|(at, _)| at).collect();
    split_profiles(file, 0..file.len(), &profiles, &[], &directives, loading)
}

/// Splits a range of a file into profiles and the text between them.
pub(super) fn split_profiles(
    file: &TemplateFile,
    range: Range<usize>,
    profiles: &[usize],
    outer_breaks: &[usize],
    directives: &[Directive],
    loading: &mut Loading,
) -> Result<Vec<Part>, TemplateError> {
    // A profile always begins and ends a line of the answer.
    let bounds: Vec<usize> = profiles
        .iter()
        .map(|at| file.element(*at))
        .flat_map(|profile| [file.line_start(profile.open.start), profile.close.end])
        .chain(outer_breaks.iter().copied())
        .collect();
    let tags: Vec<_> = profiles
        .iter()
        .flat_map(|at| {
            let gateways = file.outline().child(*at, "gateways").map(|(_, element)| element);
            [Some(file.element(*at)), gateways].into_iter().flatten()
        })
        .collect();
    let breaks = file.breaks(&tags, &bounds);
    let survey = Survey {
        surviving: file.surviving(&breaks, &tags)?,
        file,
        breaks,
        directives,
    };
    let mut parts = Vec::new();
    let mut done = range.start;
    for &at in profiles {
        let element = file.element(at);
        let start = file.line_start(element.open.start).max(done);
        parts.extend(survey.text_part(done..start));
        parts.push(Part::Profile(survey.profile(at, start, loading)?));
        done = element.close.end;
    }
    parts.extend(survey.text_part(done..range.end));
    Ok(parts)
}

impl Survey<'_> {
    fn piece(&self, range: Range<usize>) -> String {
        self.file.piece(range, &self.breaks)
    }

    fn text_part(&self, range: Range<usize>) -> Option<Part> {
        let text = self.piece(range);
        let text = text.trim_matches(['\r', '\n']);
        (!text.trim().is_empty()).then(|| Part::Text(with_line_end(text.to_owned())))
    }

    fn profile(&self, at: usize, start: usize, loading: &mut Loading) -> Result<Profile, TemplateError> {
        let element = self.file.element(at);
        let name = self.claim_name(element, loading)?;
        self.warn_of_structure(at, loading);
        let gateways = self.file.outline().child(at, "gateways").map(|(_, element)| element);
        let insertion = match gateways {
            Some(gateways) => self.around_gateways(gateways, start..element.close.end),
            None => self.around_new_gateways(element, start),
        };
        let own = match gateways {
            Some(gateways) if !gateways.is_self_closing() => self.own_gateways(gateways, loading),
            _ => OwnGateways::default(),
        };
        let facts = ProfileFacts {
            tls: self.switched_on("tls", element.open.start),
            rfc_5626: self.switched_on("enable-rfc-5626", element.open.start),
            gateways: own.gateways.iter().map(|(name, _)| name.clone()).collect(),
        };
        Ok(Profile {
            name,
            facts,
            untouched: with_line_end(self.piece(start..element.close.end)),
            before: with_line_end(insertion.before),
            after: with_line_end(insertion.after),
            indent: insertion.indent,
            own_gateways: own.gateways,
            own_section: own.section,
            own_section_has_more: own.has_more,
        })
    }

    /// The name of the profile, which no other profile may have.
    fn claim_name(&self, element: &Element, loading: &mut Loading) -> Result<ProfileName, TemplateError> {
        let at = element.open.start;
        let name = profile_name(self.file, element)?;
        let key = name.as_str().to_ascii_lowercase();
        if let Some(first) = loading.profiles.insert(key, self.file.position(at)) {
            let reason = format!("there is a profile '{name}' already, at {first}");
            return Err(self.file.error(at, reason, "rename one, or remove it"));
        }
        if loading.profiles.len() > MAX_PROFILES {
            let reason = format!("with this one there are more than {MAX_PROFILES} profiles");
            let fix = "keep only the profiles that FreeSWITCH should have";
            return Err(self.file.error(at, reason, fix));
        }
        Ok(name)
    }

    fn warn_of_structure(&self, at: usize, loading: &mut Loading) {
        let (file, element) = (self.file, self.file.element(at));
        let sections = file.outline().children(Some(at));
        if let Some((_, second)) = sections.filter(|(_, e)| e.name == "gateways").nth(1) {
            let reason = "FreeSWITCH reads only the first <gateways> of a profile".to_owned();
            let fix = "join it with the first".to_owned();
            loading.warnings.push(file.warning(second.open.start, reason, fix));
        }
        let has_directives = !directives_in(self.directives, &element.span()).is_empty();
        if file.outline().child(at, "settings").is_none() && !has_directives {
            let reason = "the profile has no <settings>; FreeSWITCH does not start it".to_owned();
            let warning = file.warning(element.open.start, reason, "add them".to_owned());
            loading.warnings.push(warning);
        }
    }

    /// Our gateways go after any that are in the template's `<gateways>`.
    fn around_gateways(&self, gateways: &Element, profile: Range<usize>) -> Insertion {
        let file = self.file;
        let indent = file.indent_of(gateways);
        let (before, after) = if gateways.is_self_closing() {
            let (before, after) = file.pieces_around(&gateways.open, profile, &self.breaks);
            let tag = file.open_tag_without_slash(gateways);
            (format!("{before}{tag}>"), format!("{indent}</gateways>{after}"))
        } else {
            let close = gateways.close.start;
            let middle = file.line_start(close).max(gateways.open.end);
            let indent = if middle == close { indent } else { "" };
            let after = format!("{indent}{}", self.piece(middle..profile.end));
            (self.piece(profile.start..middle), after)
        };
        Insertion {
            before,
            after,
            indent: format!("{indent}  "),
        }
    }

    /// The template has no `<gateways>`: ours goes first in the profile.
    fn around_new_gateways(&self, element: &Element, start: usize) -> Insertion {
        let file = self.file;
        let indent = file.indent_of(element);
        let tag = file.open_tag_without_slash(element).trim_end_matches('>');
        let before = format!("{}{tag}>\n{indent}  <gateways>", file.text(start..element.open.start));
        let rest = if element.is_self_closing() {
            format!("\n{indent}</profile>")
        } else {
            let rest = self.piece(element.open.end..element.close.end);
            match rest.starts_with(['\r', '\n']) {
                true => rest,
                false => format!("\n{rest}"),
            }
        };
        Insertion {
            before,
            after: format!("{indent}  </gateways>{rest}"),
            indent: format!("{indent}    "),
        }
    }

    fn own_gateways(&self, gateways: &Element, loading: &mut Loading) -> OwnGateways {
        let section = gateways.open.end..gateways.close.start;
        let found = self.surviving.opened_at(gateways.open.start).into_iter();
        let found = found.flat_map(|(at, _)| self.surviving.children(Some(at)));
        let own = found.filter_map(|(_, gateway)| self.own_gateway(gateway, loading));
        let gateways = own.collect();
        let has_more = directives_in(self.directives, &section).iter().any(Directive::inserts);
        let text = self.piece(section);
        let text = text.trim_matches(['\r', '\n']).trim_end();
        OwnGateways {
            gateways,
            section: with_line_end(text.to_owned()),
            has_more,
        }
    }

    fn own_gateway(&self, gateway: &Element, loading: &mut Loading) -> Option<(GatewayName, String)> {
        if gateway.name != "gateway" {
            return None;
        }
        let (file, at) = (self.file, gateway.open.start);
        let name = GatewayName::parse(gateway.attribute("name")?).ok()?;
        if let Some(first) = loading.gateways.insert(name.clone(), file.position(at)) {
            let reason = format!("there is a gateway '{name}' already, at {first}; FreeSWITCH takes a name once");
            let fix = "rename one, or remove it".to_owned();
            loading.warnings.push(file.warning(at, reason, fix));
        }
        let span = gateway.span();
        let text = self.piece(file.line_start(span.start)..span.end);
        Some((name, with_line_end(text)))
    }

    /// Whether a param of a profile is on (`config_sofia` in sofia.c: the last one of that name, in any
    /// case, decides, and without one it is off). `None` if a FreeSWITCH global decides, or text that a
    /// directive inserts.
    fn switched_on(&self, wanted: &str, profile_start: usize) -> Option<bool> {
        let outline = &self.surviving;
        let has_inserts = |span: Range<usize>| directives_in(self.directives, &span).iter().any(Directive::inserts);
        let (profile, element) = outline.opened_at(profile_start)?;
        let Some((at, settings)) = outline.child(profile, "settings") else {
            return (!has_inserts(element.span())).then_some(false);
        };
        let is_wanted = |param: &Element| {
            let name = param.attribute("name");
            param.name == "param" && name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
        };
        let params = outline.children(Some(at)).map(|(_, param)| param);
        let last = params.filter(|param| is_wanted(param)).last();
        let from = last.map_or(settings.open.end, |param| param.open.end);
        if has_inserts(from..settings.close.start) {
            return None;
        }
        let value = last.map_or("", |param| param.attribute("value").unwrap_or_default());
        (!value.contains("$${")).then(|| is_true(value))
    }
}

fn profile_name(file: &TemplateFile, element: &Element) -> Result<ProfileName, TemplateError> {
    let at = element.open.start;
    match element.attribute("name") {
        None => Err(file.error(at, "the profile has no name", "write <profile name=\"…\">")),
        Some(name) if name.contains("$${") => {
            let reason = "the profile's name comes from a FreeSWITCH global, which trunkd can't know";
            Err(file.error(at, reason, "write the name out"))
        }
        Some(name) => ProfileName::parse(name)
            .map_err(|error| file.error(at, format!("the profile's name can't be used: {error}"), error.fix())),
    }
}
