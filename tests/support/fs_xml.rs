//! FreeSWITCH's preprocessor and its non-validating XML parser, modelled from `switch_xml.c` and `switch_utils.c`
//! (signalwire/freeswitch cc93a68) step by step, mistakes included: what a document says to FreeSWITCH is what comes
//! out here.
//!
//! Compared with that C, compiled, over 30,000 random documents and 400 with long lines and long globals: text,
//! directives and elements were the same. Only the line number in an error may differ after a carriage return.
//!
//! Deliberately absent: side effects. `exec` runs nothing, `include` reads nothing, `stun-set` and `env-set` look
//! nothing up; each is recorded instead. `set` does change the globals that later lines of the same document see, as
//! in the C. A DTD's `<!ATTLIST` is refused with an error rather than modelled badly.

use std::collections::BTreeMap;

/// A line buffer grows by this much (`DLINE_BLOCK_SIZE`).
const LINE_BLOCK_BYTES: usize = 1024;
/// A line buffer never grows past this (`DLINE_MAX_SIZE`): a longer line is cut in pieces, and the character on each
/// cut is lost.
const LINE_MAX_BYTES: usize = 1_048_576;
/// `SWITCH_XML_MAX_ENTITY_EXPANSION_DEPTH` and `_COUNT`, which bound the check for circular DTD entities.
const ENTITY_DEPTH_MAX: usize = 20;
const ENTITY_COUNT_MAX: usize = 10_000;

/// What `preprocess()` made of a document.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Preprocessed {
    /// The bytes that the XML parser gets.
    pub text: Vec<u8>,
    /// Directives that ran, as `exec …`, `set name=value`, `include …`, `exec-set …`, `stun-set …`, `env-set …`.
    pub executed: Vec<String>,
    /// Lines that lost something other than a directive and white space, without their line end.
    pub dropped_lines: Vec<String>,
    /// The names inside `$${…}` that were looked up, known or not.
    pub expanded_globals: Vec<String>,
}

/// Runs FreeSWITCH's line-by-line preprocessor over `input` (FACTS 8).
pub fn preprocess(input: &[u8], globals: &BTreeMap<String, String>) -> Preprocessed {
    let mut globals = globals.clone();
    let mut out = Preprocessed::default();
    let mut reader = LineReader { input, capacity: 0 };
    let mut in_comment_directive = false;

    while let Some(line) = reader.next_line() {
        let original = lossy(trim_line_end(cstr(&line)));
        let mut buf = line;
        let expanded = expand_vars(&mut buf, reader.capacity * 2, &globals, &mut out.expanded_globals);

        // The C looks at `buf`, which expand_vars has cut at the brace that ended the first variable.
        let looked_at = cstr(&buf);
        if find(looked_at, b"<include>").is_some()
            || find(looked_at, b"</include>").is_some()
            || find(looked_at, b"<?").is_some()
        {
            out.dropped_lines.push(original);
            continue;
        }

        let mut bp: Vec<u8> = match expanded {
            Some(expanded) => expanded,
            None => cstr(&buf).to_vec(),
        };
        let mut before_bp = 0u8; // what stands in memory before bp: the heap's header, or the `>` of `-->`
        if in_comment_directive {
            let Some(end) = find(cstr(&buf), b"-->") else {
                out.dropped_lines.push(original);
                continue;
            };
            in_comment_directive = false;
            bp = cstr(&buf)[end + 3..].to_vec();
            before_bp = b'>';
        }

        if let Some(at) = find_ignoring_case(&bp, b"x-pre-process") {
            let before = if at == 0 { before_bp } else { bp[at - 1] };
            if before != b'<' {
                out.dropped_lines.push(original);
                continue;
            }
            let close = find(&bp[at..], b"/>").map(|found| at + found + 2);
            let lost_around = !is_blank(&bp[..at - 1]) || close.is_some_and(|close| !is_blank(&bp[close..]));
            let directive = pre_process_directive(&bp[at..close.unwrap_or(bp.len())]);
            if lost_around || directive.is_none() {
                out.dropped_lines.push(original);
            }
            if let Some((command, argument)) = directive {
                run_directive(&command, &argument, true, &mut globals, &mut out.executed);
            }
            continue;
        }

        if let Some(at) = find(&bp, b"<!--#") {
            out.text.extend_from_slice(&bp[..at]);
            let mut command = match find(&bp[at..], b"-->") {
                Some(end) => {
                    out.text.extend_from_slice(&bp[at + end + 3..]);
                    bp[at + 5..at + end].to_vec()
                }
                None => {
                    in_comment_directive = true;
                    bp[at + 5..].to_vec()
                }
            };
            if let Some(end) = command
                .iter()
                .position(|&c| c == b'\r')
                .or(command.iter().position(|&c| c == b'\n'))
            {
                command.truncate(end);
            }
            if let Some(space) = command.iter().position(|&c| c == b' ') {
                let mut argument = &command[space + 1..];
                if let Some(open) = argument.iter().position(|&c| c == b'"')
                    && let Some(length) = argument[open + 1..].iter().position(|&c| c == b'"')
                {
                    argument = &argument[open + 1..open + 1 + length];
                }
                let argument = argument.to_vec();
                run_directive(&command[..space], &argument, false, &mut globals, &mut out.executed);
            }
            continue;
        }

        out.text.extend_from_slice(&bp);
    }
    out
}

/// `switch_fp_read_dline`: a line ends after `\r` or `\n`; the buffer's capacity outlives the line.
struct LineReader<'a> {
    input: &'a [u8],
    capacity: usize,
}

impl LineReader<'_> {
    fn next_line(&mut self) -> Option<Vec<u8>> {
        if self.capacity == 0 {
            self.capacity = LINE_BLOCK_BYTES;
        }
        let mut line = Vec::new();
        let mut consumed = 0;
        for &c in self.input {
            consumed += 1;
            if line.len() + 2 >= self.capacity {
                if self.capacity + LINE_BLOCK_BYTES > LINE_MAX_BYTES {
                    break; // "Single line limit reached!", and c is gone
                }
                self.capacity += LINE_BLOCK_BYTES;
            }
            line.push(c);
            if c == b'\r' || c == b'\n' {
                break;
            }
        }
        self.input = &self.input[consumed..];
        if line.is_empty() { None } else { Some(line) }
    }
}

/// `expand_vars`: None where the line has no `$${`. Like the C it writes a NUL over the brace that ends each variable,
/// so when the result doesn't fit, the second try starts from a line that is already cut.
fn expand_vars(
    buf: &mut [u8],
    first_capacity: usize,
    globals: &BTreeMap<String, String>,
    looked_up: &mut Vec<String>,
) -> Option<Vec<u8>> {
    let mut capacity = first_capacity;
    loop {
        let text_len = cstr(buf).len();
        find(&buf[..text_len], b"$${")?;
        let limit = capacity - 1;
        let mut written: Vec<u8> = Vec::new();
        let mut at = 0;
        while at < text_len && written.len() < limit {
            if buf[at..text_len].starts_with(b"$${")
                && let Some(end) = find_end_brace(&buf[at + 2..text_len])
            {
                let end = at + 2 + end;
                let name = lossy(&buf[at + 3..end]);
                buf[end] = 0;
                at = end + 1;
                if let Some(value) = get_global(globals, &name) {
                    let room = capacity - written.len();
                    written.extend(value.bytes().take(room));
                }
                looked_up.push(name);
                continue;
            }
            written.push(buf[at]);
            at += 1;
        }
        if written.len() == limit {
            capacity *= 2;
            continue;
        }
        return Some(cstr(&written).to_vec());
    }
}

/// `switch_find_end_paren(s, '{', '}')` where s begins with the opening brace: the offset of the closing one.
fn find_end_brace(s: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, &c) in s.iter().enumerate() {
        match c {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Global variables are event headers, found in any case.
fn get_global<'a>(globals: &'a BTreeMap<String, String>, name: &str) -> Option<&'a String> {
    globals
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// The command and argument of `X-PRE-PROCESS cmd="…" data="…"/>`; `text` begins at the `X`. The two are searched for
/// by letters alone, in that order.
fn pre_process_directive(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let rest = &text[find_ignoring_case(text, b"cmd")?..];
    let rest = &rest[find(rest, b"=")?..];
    let rest = &rest[find(rest, b"\"")? + 1..];
    // Without a second quote the C goes on from the `/>` (nothing follows it) or from NULL: no data either way.
    let end = rest.iter().position(|&c| c == b'"')?;
    let command = rest[..end].to_vec();
    let rest = &rest[end + 1..];
    let rest = &rest[find_ignoring_case(rest, b"data")?..];
    let rest = &rest[find(rest, b"=")?..];
    let rest = &rest[find(rest, b"\"")? + 1..];
    let argument = match rest.iter().position(|&c| c == b'"') {
        Some(end) => &rest[..end],
        None => rest,
    };
    Some((command, argument.to_vec()))
}

fn run_directive(
    command: &[u8],
    argument: &[u8],
    is_pre_process: bool,
    globals: &mut BTreeMap<String, String>,
    executed: &mut Vec<String>,
) {
    let command = lossy(command).to_ascii_lowercase();
    let argument = lossy(argument);
    match command.as_str() {
        "set" => {
            if let Some((name, value)) = argument.split_once('=') {
                let (name, value) = (name.trim_end_matches(' '), value.trim_start_matches(' '));
                globals.retain(|known, _| !known.eq_ignore_ascii_case(name));
                globals.insert(name.to_owned(), disable_variables(value));
                executed.push(format!("set {name}={value}"));
            }
        }
        "exec-set" | "stun-set" | "include" | "exec" => executed.push(format!("{command} {argument}")),
        "env-set" if is_pre_process => executed.push(format!("{command} {argument}")),
        _ => {}
    }
}

/// `switch_string_var_check(s, SWITCH_TRUE)`: what a global is given loses its `${`, which becomes `%{`.
fn disable_variables(value: &str) -> String {
    let mut bytes = value.as_bytes().to_vec();
    let mut dollar = None;
    for at in 0..bytes.len() {
        match bytes[at] {
            b'$' => dollar = Some(at),
            b'{' => {
                if let Some(dollar) = dollar.take() {
                    bytes[dollar] = b'%';
                }
            }
            b'\\' => {}
            _ => dollar = None,
        }
    }
    lossy(&bytes)
}

/// An element as FreeSWITCH's parser sees it. Bytes that aren't UTF-8 become U+FFFD.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    /// In document order; of two with one name FreeSWITCH reads the first.
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    /// The character content, that between children included, put together.
    pub text: String,
}

impl Element {
    /// `switch_xml_attr`: the first attribute of that name, in exactly that case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// `switch_xml_child`: the first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of that name, as `switch_xml_child` and then `->next` find them.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> + 'a {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// `switch_xml_find_child`: the first child of that name whose attribute has that value, in any case.
    pub fn child_where(&self, name: &str, attribute: &str, value: &str) -> Option<&Element> {
        let matches = |child: &&Element| {
            child
                .attribute(attribute)
                .is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        self.children.iter().filter(|child| child.name == name).find(matches)
    }
}

/// Parses a (preprocessed) document as `switch_xml_parse_str` does. An error is FreeSWITCH's own text.
pub fn parse(document: &[u8]) -> Result<Element, String> {
    if document.is_empty() {
        return Err("root tag missing".to_owned());
    }
    let mut bytes = utf16_to_utf8(document).unwrap_or_else(|| document.to_vec());
    let Some(last) = bytes.last_mut() else {
        return Err("root tag missing".to_owned());
    };
    let end_char = std::mem::replace(last, 0);
    bytes.push(0); // a second NUL, so that looking one past the first is always inside
    let entities = [
        ("lt;", "&#60;"),
        ("gt;", "&#62;"),
        ("quot;", "&#34;"),
        ("apos;", "&#39;"),
        ("amp;", "&#38;"),
    ]
    .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
    .to_vec();
    Parser {
        s: bytes,
        end_char,
        entities,
        standalone: false,
        nodes: Vec::new(),
        cur: Cursor::BeforeRoot,
    }
    .run()
}

/// Names are kept as places in the buffer and read at the end: FreeSWITCH terminates some of them only later.
struct Node {
    name: usize,
    parent: Option<usize>,
    attributes: Vec<(usize, Vec<u8>)>,
    children: Vec<usize>,
    text: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Cursor {
    BeforeRoot,
    In(usize),
    AfterRoot,
}

struct Parser {
    s: Vec<u8>,
    end_char: u8,
    entities: Vec<(Vec<u8>, Vec<u8>)>,
    standalone: bool,
    nodes: Vec<Node>,
    cur: Cursor,
}

const WHITE: &[u8] = b"\t\r\n ";

impl Parser {
    fn run(mut self) -> Result<Element, String> {
        let mut s = self.skip_until(0, b'<');
        if self.s[s] == 0 {
            return Err(self.error(s, "root tag missing"));
        }
        let mut d;
        loop {
            s += 1;
            d = s;
            let c = self.s[s];
            if c.is_ascii_alphabetic() || c == b'_' || c == b':' || c >= 0x80 {
                s = self.open_tag(s)?;
            } else if c == b'/' {
                s = self.close_tag(s)?;
            } else if self.s[s..].starts_with(b"!--") {
                s = match find(self.rest(s + 3), b"--") {
                    Some(found) => s + 3 + found + 2,
                    None => return Err(self.error(d, "unclosed <!--")),
                };
                let c = self.s[s];
                if (c != b'>' && c != 0) || (c == 0 && self.end_char != b'>') {
                    return Err(self.error(d, "unclosed <!--"));
                }
            } else if self.s[s..].starts_with(b"![CDATA[") {
                match find(self.rest(s), b"]]>") {
                    Some(found) => {
                        s += found + 2;
                        self.char_content(d + 8, s - d - 10, Decode::Cdata);
                    }
                    None => return Err(self.error(d, "unclosed <![CDATA[")),
                }
            } else if self.s[s..].starts_with(b"!DOCTYPE") {
                s = self.doctype(s)?;
            } else if c == b'?' {
                s = self.processing_instruction(s)?;
            } else {
                return Err(self.error(d, "unexpected <"));
            }

            if self.s[s] == 0 {
                break;
            }
            self.s[s] = 0;
            s += 1;
            d = s;
            match self.s[s] {
                0 => break,
                b'<' => {}
                _ => {
                    s = self.skip_until(s, b'<');
                    if self.s[s] == 0 {
                        break;
                    }
                    self.char_content(d, s - d, Decode::General);
                }
            }
        }
        match self.cur {
            Cursor::AfterRoot => Ok(self.element(0)),
            Cursor::BeforeRoot => Err(self.error(d, "root tag missing")),
            Cursor::In(node) => {
                let message = format!("unclosed tag <{}>", lossy(self.rest(self.nodes[node].name)));
                Err(self.error(d, &message))
            }
        }
    }

    /// A new tag, `s` at its name. Returns the place of its `>` (or of the end).
    fn open_tag(&mut self, mut s: usize) -> Result<usize, String> {
        let d = s;
        if matches!(self.cur, Cursor::AfterRoot) {
            return Err(self.error(d, "markup outside of root element"));
        }
        s = self.skip_while_not(s, b"\t\r\n />");
        while is_space(self.s[s]) {
            self.s[s] = 0;
            s += 1;
        }
        let mut attributes = Vec::new();
        while !matches!(self.s[s], 0 | b'/' | b'>') {
            let name = s;
            let mut value = Vec::new();
            s = self.skip_while_not(s, b"\t\r\n =/>");
            if self.s[s] == b'=' || is_space(self.s[s]) {
                self.s[s] = 0;
                s += 1;
                while WHITE.contains(&self.s[s]) || self.s[s] == b'=' {
                    s += 1;
                }
                let quote = self.s[s];
                if quote == b'"' || quote == b'\'' {
                    s += 1;
                    let start = s;
                    s = self.skip_until(s, quote);
                    if self.s[s] == 0 {
                        return Err(self.error(d, &format!("missing {}", quote as char)));
                    }
                    self.s[s] = 0;
                    value = decode(&self.s[start..s], &self.entities, Decode::Attribute);
                    s += 1;
                }
            }
            while is_space(self.s[s]) {
                s += 1;
            }
            attributes.push((name, value));
        }
        match self.s[s] {
            b'/' => {
                self.s[s] = 0;
                s += 1;
                let c = self.s[s];
                if (c != 0 && c != b'>') || (c == 0 && self.end_char != b'>') {
                    return Err(self.error(d, "missing >"));
                }
                self.push_node(d, attributes);
                self.leave_node();
            }
            c if c == b'>' || (c == 0 && self.end_char == b'>') => self.push_node(d, attributes),
            _ => return Err(self.error(d, "missing >")),
        }
        Ok(s)
    }

    /// A closing tag, `s` at its slash.
    fn close_tag(&mut self, s: usize) -> Result<usize, String> {
        let d = s + 1;
        let mut s = self.skip_while_not(d, b"\t\r\n >");
        let c = self.s[s];
        if c == 0 && self.end_char != b'>' {
            return Err(self.error(d, "missing >"));
        }
        self.s[s] = 0;
        let same = match self.cur {
            Cursor::In(node) => self.rest(d) == self.rest(self.nodes[node].name),
            Cursor::BeforeRoot | Cursor::AfterRoot => false,
        };
        if !same {
            let message = format!("unexpected closing tag </{}>", lossy(self.rest(d)));
            return Err(self.error(s, &message));
        }
        self.leave_node();
        self.s[s] = c;
        if is_space(c) {
            while WHITE.contains(&self.s[s]) {
                s += 1;
            }
        }
        Ok(s)
    }

    fn processing_instruction(&mut self, mut s: usize) -> Result<usize, String> {
        let d = s;
        loop {
            let Some(found) = self.rest(s).iter().position(|&c| c == b'?') else {
                return Err(self.error(d, "unclosed <?"));
            };
            s += found + 1;
            if matches!(self.s[s], 0 | b'>') {
                break;
            }
        }
        if self.s[s] == 0 && self.end_char != b'>' {
            return Err(self.error(d, "unclosed <?"));
        }
        let instruction = &self.s[d + 1..(s - 1).max(d + 1)];
        self.standalone |= instruction.starts_with(b"xml") && says_standalone(instruction);
        Ok(s)
    }

    fn doctype(&mut self, mut s: usize) -> Result<usize, String> {
        let d = s;
        let mut internal = false;
        loop {
            let c = self.s[s];
            let ends = if internal {
                c == b']' && {
                    let mut next = s + 1;
                    while WHITE.contains(&self.s[next]) {
                        next += 1;
                    }
                    self.s[next] == b'>'
                }
            } else {
                c == b'>'
            };
            if c == 0 || ends {
                break;
            }
            s = self.skip_while_not(s + 1, b"[]>");
            internal |= self.s[s] == b'[';
        }
        if self.s[s] == 0 && self.end_char != b'>' {
            return Err(self.error(d, "unclosed <!DOCTYPE"));
        }
        if internal {
            let open = d + self.rest(d).iter().position(|&c| c == b'[').unwrap_or(0) + 1;
            let subset = self.s[open..s].to_vec();
            self.internal_dtd(&subset)?;
            s += 1;
            // Now at the white space or `>` after the bracket; the C blanks this one character.
        }
        Ok(s)
    }

    /// `switch_xml_internal_dtd`, the entity declarations of it.
    fn internal_dtd(&mut self, subset: &[u8]) -> Result<(), String> {
        let mut parameters: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut rest = cstr(subset);
        while let Some(at) = rest.iter().position(|&c| c == b'<' || c == b'%') {
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix(b"<!ENTITY") {
                let after = trim_start(after, WHITE);
                let is_parameter = after.first() == Some(&b'%');
                let after = trim_start(after, b"\t\r\n %");
                let name_len = after.iter().position(|c| WHITE.contains(c)).unwrap_or(after.len());
                let mut name = after[..name_len].to_vec();
                name.push(b';');
                let value = trim_start(after.get(name_len + 1..).unwrap_or_default(), WHITE);
                let quote = value.first().copied().unwrap_or(0);
                if quote != b'"' && quote != b'\'' {
                    let Some(end) = after.iter().position(|&c| c == b'>') else {
                        break;
                    };
                    rest = &after[end..];
                    continue;
                }
                let value = &value[1..];
                let end = value.iter().position(|&c| c == quote);
                let decoded = decode(&value[..end.unwrap_or(value.len())], &parameters, Decode::Parameter);
                let list = if is_parameter {
                    &mut parameters
                } else {
                    &mut self.entities
                };
                let mut count = 0;
                if !entity_ok(&name, &decoded, list, 0, &mut count) {
                    return Err(format!("circular entity declaration &{}", lossy(&name)));
                }
                list.push((name, decoded));
                match end {
                    Some(end) => rest = &value[end + 1..],
                    None => break,
                }
            } else if rest.starts_with(b"<!ATTLIST") {
                return Err("<!ATTLIST> is not modelled by tests/support/fs_xml.rs".to_owned());
            } else if rest.starts_with(b"<!--") {
                let Some(end) = find(&rest[4..], b"-->") else { break };
                rest = &rest[4 + end..];
            } else if rest.starts_with(b"<?") {
                let Some(end) = find(&rest[2..], b"?>") else { break };
                self.standalone |= rest[2..2 + end].starts_with(b"xml") && says_standalone(&rest[2..2 + end]);
                rest = &rest[2 + end + 1..];
            } else if rest[0] == b'<' {
                let Some(end) = rest.iter().position(|&c| c == b'>') else {
                    break;
                };
                rest = &rest[end..];
            } else {
                rest = &rest[1..];
                if !self.standalone {
                    break;
                }
            }
        }
        Ok(())
    }

    fn push_node(&mut self, name: usize, attributes: Vec<(usize, Vec<u8>)>) {
        let parent = match self.cur {
            Cursor::In(parent) => Some(parent),
            Cursor::BeforeRoot | Cursor::AfterRoot => None,
        };
        let index = self.nodes.len();
        if let Some(parent) = parent {
            self.nodes[parent].children.push(index);
        }
        self.nodes.push(Node {
            name,
            parent,
            attributes,
            children: Vec::new(),
            text: Vec::new(),
        });
        self.cur = Cursor::In(index);
    }

    fn leave_node(&mut self) {
        if let Cursor::In(node) = self.cur {
            self.cur = self.nodes[node].parent.map_or(Cursor::AfterRoot, Cursor::In);
        }
    }

    fn char_content(&mut self, start: usize, len: usize, how: Decode) {
        if let Cursor::In(node) = self.cur
            && len > 0
        {
            let text = decode(cstr(&self.s[start..start + len]), &self.entities, how);
            self.nodes[node].text.extend_from_slice(cstr(&text));
        }
    }

    fn element(&self, node: usize) -> Element {
        let node = &self.nodes[node];
        Element {
            name: lossy(self.rest(node.name)),
            attributes: node
                .attributes
                .iter()
                .map(|(name, value)| (lossy(self.rest(*name)), lossy(cstr(value))))
                .collect(),
            children: node.children.iter().map(|&child| self.element(child)).collect(),
            text: lossy(&node.text),
        }
    }

    fn rest(&self, from: usize) -> &[u8] {
        cstr(self.s.get(from..).unwrap_or_default())
    }

    fn skip_until(&self, mut s: usize, stop: u8) -> usize {
        while self.s[s] != 0 && self.s[s] != stop {
            s += 1;
        }
        s
    }

    /// `s + strcspn(s, stops)`
    fn skip_while_not(&self, mut s: usize, stops: &[u8]) -> usize {
        while self.s[s] != 0 && !stops.contains(&self.s[s]) {
            s += 1;
        }
        s
    }

    fn error(&self, at: usize, message: &str) -> String {
        let line = 1 + self.s[..at.min(self.s.len())].iter().filter(|&&c| c == b'\n').count();
        format!("[error near line {line}]: {message}")
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Decode {
    /// `&`: text
    General,
    /// `%`: an entity's value in a DTD
    Parameter,
    /// `c`
    Cdata,
    /// a space: an attribute's value
    Attribute,
}

/// `switch_xml_decode`: line ends to `\n`, then references, then (attributes) white space to spaces. White space that
/// came from a reference (`&#10;`) is passed by and stays what it is.
fn decode(raw: &[u8], entities: &[(Vec<u8>, Vec<u8>)], how: Decode) -> Vec<u8> {
    let mut s = Vec::with_capacity(raw.len());
    let mut raw = raw.iter().copied().peekable();
    while let Some(c) = raw.next() {
        if c == b'\r' {
            s.push(b'\n');
            raw.next_if_eq(&b'\n');
        } else {
            s.push(c);
        }
    }

    let mut at = 0;
    while at < s.len() {
        let c = s[at];
        if how != Decode::Cdata && s[at..].starts_with(b"&#") {
            match character_reference(&s[at + 2..]) {
                Some((bytes, length)) => {
                    let length_out = bytes.len();
                    s.splice(at..at + 2 + length, bytes);
                    at += length_out;
                }
                None => at += 1,
            }
        } else if (c == b'&' && matches!(how, Decode::General | Decode::Attribute))
            || (c == b'%' && how == Decode::Parameter)
        {
            match entities.iter().find(|(name, _)| s[at + 1..].starts_with(name)) {
                // The replacement is read again from its start.
                Some((name, value)) => {
                    s.splice(at..at + 1 + name.len(), value.iter().copied());
                }
                None => at += 1,
            }
        } else {
            if how == Decode::Attribute && is_space(c) {
                s[at] = b' ';
            }
            at += 1;
        }
    }
    s
}

/// What follows `&#`: the UTF-8 of its code point, and how many bytes it took, the semicolon included.
fn character_reference(after: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (base, start) = if after.first() == Some(&b'x') {
        (16u32, 1)
    } else {
        (10, 0)
    };
    if !after.get(start)?.is_ascii_hexdigit() {
        return None;
    }
    let mut at = start;
    // strtoul takes a 0x of its own in base 16
    if base == 16
        && after[at] == b'0'
        && matches!(after.get(at + 1), Some(b'x' | b'X'))
        && after.get(at + 2).is_some_and(u8::is_ascii_hexdigit)
    {
        at += 2;
    }
    let mut code: u64 = 0;
    while let Some(digit) = after.get(at).and_then(|&c| (c as char).to_digit(base)) {
        code = code.saturating_mul(u64::from(base)).saturating_add(u64::from(digit));
        at += 1;
    }
    if code == 0 || after.get(at) != Some(&b';') || code > 0x7FFF_FFFF {
        return None;
    }
    let code = code as u32;
    if code < 0x80 {
        return Some((vec![code as u8], at + 1));
    }
    let bits = 32 - code.leading_zeros();
    let mut payload = (bits - 2) / 5;
    let mut bytes = vec![((0xFFu32 << (7 - payload)) | (code >> (6 * payload))) as u8];
    while payload > 0 {
        payload -= 1;
        bytes.push((0x80 | ((code >> (6 * payload)) & 0x3F)) as u8);
    }
    Some((bytes, at + 1))
}

fn entity_ok(name: &[u8], value: &[u8], known: &[(Vec<u8>, Vec<u8>)], depth: usize, count: &mut usize) -> bool {
    if depth > ENTITY_DEPTH_MAX {
        return false;
    }
    for (at, _) in value.iter().enumerate().filter(|(_, c)| **c == b'&') {
        *count += 1;
        if *count > ENTITY_COUNT_MAX || value[at + 1..].starts_with(name) {
            return false;
        }
        if let Some((_, inner)) = known.iter().find(|(other, _)| value[at + 1..].starts_with(other))
            && !entity_ok(name, inner, known, depth + 1, count)
        {
            return false;
        }
    }
    true
}

fn says_standalone(instruction: &[u8]) -> bool {
    find(instruction, b"standalone")
        .is_some_and(|at| trim_start(&instruction[at + 10..], b"\t\r\n ='\"").starts_with(b"yes"))
}

/// `switch_xml_str2utf8`: Some when the document begins as UTF-16 does.
fn utf16_to_utf8(document: &[u8]) -> Option<Vec<u8>> {
    let big_endian = match document.first()? {
        0xFE => true,
        0xFF => false,
        _ => return None,
    };
    if document.len() <= 3 {
        return None;
    }
    let units = document[2..].chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if big_endian {
            u16::from_be_bytes(pair)
        } else {
            u16::from_le_bytes(pair)
        }
    });
    let text: String = char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    Some(text.into_bytes())
}

fn cstr(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().position(|&c| c == 0).unwrap_or(bytes.len())]
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|&c| c == needle[0]) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn find_ignoring_case(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window.eq_ignore_ascii_case(needle))
}

/// C's `isspace`, which knows a vertical tab and a form feed too.
fn is_space(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | 0x0B | 0x0C | b'\r')
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|&c| is_space(c))
}

fn trim_start<'a>(bytes: &'a [u8], set: &[u8]) -> &'a [u8] {
    &bytes[bytes.iter().position(|c| !set.contains(c)).unwrap_or(bytes.len())..]
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n")
        .or_else(|| line.strip_suffix(b"\r"))
        .unwrap_or(line)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
