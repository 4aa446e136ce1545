//! `sofia.conf.xml`: the text around the profiles, and profiles that stand in it.

use std::ops::Range;
use std::path::Path;

use super::outline::Element;
use super::parts::{Loading, Part, TemplateError};
use super::preprocessor::Directive;
use super::profile_file::split_profiles;
use super::template_file::{TemplateFile, with_line_end};

/// `sofia.conf.xml` in three: up to the content of `<profiles>`, that content, and the rest.
type Divided = (String, Vec<Part>, String);

pub(super) fn read_sofia_conf(dir: &Path, loading: &mut Loading) -> Result<Divided, TemplateError> {
    let file = TemplateFile::read(&dir.join("sofia.conf.xml"), loading)?;
    let (at, configuration) = find_configuration(&file)?;
    let profiles = file.outline().child(at, "profiles");
    let tags: Vec<_> = [Some(configuration), profiles.map(|(_, element)| element)]
        .into_iter()
        .flatten()
        .collect();
    let breaks = file.breaks(&tags, &[]);
    file.surviving(&breaks, &tags)?;
    let directives = file.report(loading);
    warn_of_directives(&file, &directives, profiles.map(|(_, element)| element.span()), loading);
    let (head, parts, tail) = match profiles {
        Some((at, profiles)) if !profiles.is_self_closing() => {
            let (open, close) = (profiles.open.end, file.line_start(profiles.close.start));
            let close = close.max(open);
            let inside = file.outline().children(Some(at));
            let inside = inside.filter(|(_, element)| element.name == "profile");
            let inside: Vec<usize> = inside.map(|(at, _)| at).collect();
            let parts = split_profiles(&file, open..close, &inside, &breaks, &directives, loading)?;
            let tail = file.piece(close..file.len(), &breaks);
            (file.piece(0..open, &breaks), parts, tail)
        }
        Some((_, profiles)) => around_empty_profiles(&file, profiles, &breaks),
        None => around_new_profiles(&file, configuration, &breaks),
    };
    let head = head.trim_start_matches(['\r', '\n']).to_owned();
    let tail = tail.trim_end_matches(['\r', '\n']).to_owned();
    Ok((with_line_end(head), parts, with_line_end(tail)))
}

/// The one `<configuration name="sofia.conf">`.
fn find_configuration(file: &TemplateFile) -> Result<(usize, &Element), TemplateError> {
    let mut configuration = None;
    for (at, element) in file.top_elements() {
        if element.name != "configuration" || configuration.is_some() {
            let found = &element.name;
            let reason = format!("expected one <configuration name=\"sofia.conf\">, found <{found}>");
            return Err(file.error(element.open.start, reason, "move it to where it belongs"));
        }
        configuration = Some((at, element));
    }
    let Some((at, configuration)) = configuration else {
        let fix = "start from the sofia.conf.xml that comes with trunkd or FreeSWITCH";
        return Err(file.error(0, "there is no <configuration name=\"sofia.conf\">", fix));
    };
    if configuration.attribute("name") != Some("sofia.conf") {
        let reason = "FreeSWITCH looks for <configuration name=\"sofia.conf\">, and this has another name";
        return Err(file.error(configuration.open.start, reason, "write name=\"sofia.conf\""));
    }
    Ok((at, configuration))
}

fn warn_of_directives(
    file: &TemplateFile,
    directives: &[Directive],
    profiles: Option<Range<usize>>,
    loading: &mut Loading,
) {
    for directive in directives.iter().filter(|directive| directive.inserts()) {
        let Some((_, data)) = &directive.action else { continue };
        let is_in_profiles = profiles.as_ref().is_some_and(|span| span.contains(&directive.at));
        if is_in_profiles && data.contains("sip_profiles") {
            let reason =
                "trunkd inserts the profiles here itself; with this line FreeSWITCH gets them twice, or nothing";
            let warning = file.warning(directive.at, reason.to_owned(), "remove the line".to_owned());
            loading.warnings.push(warning);
        } else {
            file.warn_of_include(directive, "autoload_configs", loading);
        }
    }
}

/// Around `<profiles/>`.
fn around_empty_profiles(file: &TemplateFile, profiles: &Element, breaks: &[usize]) -> Divided {
    let (before, after) = file.pieces_around(&profiles.open, 0..file.len(), breaks);
    let head = format!("{before}{}>", file.open_tag_without_slash(profiles));
    (head, Vec::new(), format!("</profiles>{after}"))
}

/// There is no `<profiles>`.
fn around_new_profiles(file: &TemplateFile, configuration: &Element, breaks: &[usize]) -> Divided {
    let end = file.len();
    let (head, tail) = if configuration.is_self_closing() {
        let (before, after) = file.pieces_around(&configuration.open, 0..end, breaks);
        let head = format!("{before}{}>\n  <profiles>", file.open_tag_without_slash(configuration));
        (head, format!("  </profiles>\n</configuration>{after}"))
    } else {
        let inside = configuration.open.end..configuration.close.start;
        let at = file.line_start(inside.end).max(inside.start);
        let head = format!("{}  <profiles>", with_line_end(file.piece(0..at, breaks)));
        (head, format!("  </profiles>\n{}", file.piece(at..end, breaks)))
    };
    (head, Vec::new(), tail)
}
