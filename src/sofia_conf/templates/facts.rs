//! What FreeSWITCH's rules need to know of a profile's settings.

use std::ops::Range;

use super::outline::Outline;
use super::preprocessor::Directive;
use crate::gateway::is_true;

/// The directives in a span. `directives` are in their order.
pub(super) fn directives_in<'a>(directives: &'a [Directive], span: &Range<usize>) -> &'a [Directive] {
    let first = directives.partition_point(|directive| directive.at < span.start);
    let end = directives.partition_point(|directive| directive.at < span.end);
    directives.get(first..end).unwrap_or_default()
}

/// Whether a param of a profile is on. The last param of that name, in any case, decides; without one it is off
/// (`config_sofia` in sofia.c). `None` if that depends on a FreeSWITCH global or on text that a directive inserts.
pub(super) fn switched_on(
    wanted: &str,
    outline: &Outline,
    profile_start: usize,
    directives: &[Directive],
) -> Option<bool> {
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
