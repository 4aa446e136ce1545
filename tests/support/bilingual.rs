//! Whether a text in English and one in Chinese say the same, as far as that can be compared.

use std::collections::BTreeSet;

/// Words of English texts that look like names or values, and are none.
const PLAIN_WORDS: [&str; 10] = [
    "FreeSWITCH",
    "half-way",
    "time-out",
    "TLS",
    "URI",
    "IP",
    "A",
    "JSON",
    "DNS",
    "EOF",
];

/// So many English words in a row are a sentence. Fewer may stand in a Chinese one.
const SENTENCE_WORDS: usize = 4;

/// Both exist and differ, name the same values and numbers, and the Chinese one holds no English
/// sentence.
#[track_caller]
pub fn check(english: &str, chinese: &str) {
    let both = format!("{english}\n{chinese}");
    assert!(!english.is_empty() && english != chinese, "{both}");
    assert!(
        chinese.chars().any(|c| matches!(c, '\u{4E00}'..='\u{9FFF}')),
        "no Chinese: {both}"
    );
    let (quoted_english, plain_english) = split(english);
    let (quoted_chinese, plain_chinese) = split(chinese);
    assert_eq!(quoted_english, quoted_chinese, "{both}");
    assert_eq!(numbers(english), numbers(chinese), "{both}");
    let names: BTreeSet<_> = tokens(&plain_english).filter(|token| is_name(token)).collect();
    let known: BTreeSet<_> = tokens(&plain_chinese).collect();
    let missing: Vec<_> = names.difference(&known).collect();
    assert!(missing.is_empty(), "{missing:?} are not in the Chinese text: {both}");
    assert_eq!(english_sentence(chinese), None, "{both}");
}

/// The first English sentence of a text. What stands in quotes or backticks is none.
pub fn english_sentence(text: &str) -> Option<String> {
    let (_, plain) = split(text);
    let mut sentence: Vec<&str> = Vec::new();
    for word in plain.split_whitespace() {
        let bare = word.trim_matches([',', ';', ':', '.', '(', ')']);
        match !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_lowercase()) {
            true => sentence.push(word),
            false => sentence.clear(),
        }
        if sentence.len() >= SENTENCE_WORDS {
            return Some(sentence.join(" "));
        }
        // A list of words is no sentence.
        if word.ends_with(',') {
            sentence.clear();
        }
    }
    None
}

/// What stands in quotes or backticks, and the rest.
fn split(text: &str) -> (BTreeSet<String>, String) {
    let (mut quoted, mut rest) = (BTreeSet::new(), String::new());
    let mut left = text;
    let mut before = ' ';
    while let Some(c) = left.chars().next() {
        let behind = &left[c.len_utf8()..];
        // An apostrophe is no quote.
        let opens = matches!(c, '`' | '"') || c == '\'' && !before.is_alphanumeric();
        match behind.find(c).filter(|end| opens && *end > 0) {
            Some(end) => {
                quoted.insert(behind[..end].to_owned());
                rest.push(' ');
                left = &behind[end + c.len_utf8()..];
            }
            None => {
                rest.push(c);
                left = behind;
            }
        }
        before = c;
    }
    (quoted, rest)
}

fn numbers(text: &str) -> BTreeSet<&str> {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    digits.filter(|digits| !digits.is_empty()).collect()
}

/// Words of ASCII, without what ends a sentence.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_graphic() || matches!(c, '(' | ')' | '\''));
    words.map(|word| word.trim_matches([',', ';', ':', '.', '?']))
}

/// Whether a word is the name of a param or a header, a word of SIP, or a value.
fn is_name(word: &str) -> bool {
    let inner = word.get(1..).unwrap_or_default();
    let has_sign = word.contains(['-', '_', '=', '/', '$', '[', '{', '+', '@']) || inner.contains(['.', ':', ';']);
    let is_upper = inner.bytes().any(|byte| byte.is_ascii_uppercase());
    (has_sign || is_upper || word.bytes().any(|byte| byte.is_ascii_digit())) && !PLAIN_WORDS.contains(&word)
}
