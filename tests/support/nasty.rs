//! Texts that FreeSWITCH's preprocessor, its parser or an escaper could trip over.

use proptest::collection::vec;
use proptest::prelude::*;

/// Pieces that FreeSWITCH's preprocessor or parser acts on, whole and in parts, so that neighbours
/// may complete each other.
const NASTY: [&str; 46] = [
    "$${",
    "$${domain}",
    "$${x}",
    "$",
    "$$",
    "{",
    "}",
    "<?xml",
    "<?",
    "?>",
    "<include>",
    "</include>",
    "X-PRE-PROCESS",
    "x-pre-process",
    "<X-PRE-PROCESS cmd=\"exec\" data=\"id\"/>",
    "x-pre-",
    "X-Pre",
    "-process",
    "x",
    "-",
    "p",
    "<!--#exec",
    "<!--#",
    "<!--",
    "-->",
    "--",
    "<",
    ">",
    "/>",
    "</gateway>",
    "<gateway name=\"evil\">",
    "\"",
    "'",
    "&",
    "&#",
    "&#36;",
    "&#x24;",
    "&amp;",
    ";",
    "]]>",
    "<![CDATA[",
    "\u{00A0}",
    "顶顶通",
    "😀",
    "\u{FEFF}",
    " ",
];

/// Pieces that no gateway may have.
const FORBIDDEN: [&str; 8] = ["\n", "\r\n", "\t", "\0", "\u{1b}", "\u{85}", "\u{2028}", "\u{FFFF}"];

pub fn text(forbidden: bool) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(&NASTY[..]).prop_map(str::to_owned),
        2 => any::<char>().prop_map(|c| c.to_string()),
        2 => "[a-z0-9.:-]{1,8}",
        if forbidden { 1 } else { 0 } => prop::sample::select(&FORBIDDEN[..]).prop_map(str::to_owned),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}
