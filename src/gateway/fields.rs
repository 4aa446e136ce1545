//! The fields of one key as Redis holds them.
//!
//! A domain may have ten thousand, and Redis tells that it changed, not which of them: it is read
//! whole, and what is the same as before must cost next to nothing. So all of it is one piece of
//! memory, as it came, and two of these are compared as bytes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use bytes::Bytes;

/// How far a field that is not where it was is looked for before it counts as changed, and is compared by name.
const LOOK_AHEAD: usize = 16;

/// field → value, in the order in which Redis gave them. Each field is there once.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Bytes,
    places: Box<[Place]>,
    /// Made when the first field is looked up by its name: FreeSWITCH's side never does.
    by_name: OnceLock<NameIndex>,
}

/// The hash of a name → its place.
#[derive(Clone, Default)]
struct NameIndex {
    hasher: RandomState,
    places: HashMap<u64, u32>,
}

/// Some of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    name: Span,
    value: Span,
}

/// A field that is not what it was before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldChange<'a> {
    pub name: &'a [u8],
    /// `None`: it is new.
    pub before: Option<&'a [u8]>,
    /// `None`: it is gone.
    pub now: Option<&'a [u8]>,
}

impl Fields {
    /// Fields inside `bytes`: name, value, next name, and so on. `None` if the spans are not in this order.
    pub fn within(bytes: Bytes, spans: &[Span]) -> Option<Self> {
        let (pairs, []) = spans.as_chunks::<2>() else {
            return None;
        };
        let mut end = 0;
        for span in spans {
            if span.start < end || span.end() as usize > bytes.len() {
                return None;
            }
            end = span.end();
        }
        let places = pairs.iter().map(|&[name, value]| Place { name, value });
        Some(Self {
            bytes,
            places: places.collect(),
            by_name: OnceLock::new(),
        })
    }

    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// name and value of each, as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.places.iter().map(|place| self.at(*place))
    }

    /// These bytes of a name or value, without a copy.
    pub fn shared(&self, part: &[u8]) -> Bytes {
        self.bytes.slice_ref(part)
    }

    /// The same with other values; `None` takes a field out. Names that are not here are left out.
    pub fn with(&self, values: &HashMap<&[u8], Option<&[u8]>>) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut places = Vec::with_capacity(self.places.len());
        let mut end = 0;
        for place in &self.places {
            let (name, value) = self.at(*place);
            let Some(value) = values.get(name).copied().unwrap_or(Some(value)) else {
                continue;
            };
            // What stands between the parts is copied, too: a comparison looks for equal bytes.
            let mut push = |from: usize, to: Span, part: &[u8]| {
                bytes.extend_from_slice(self.bytes.get(from..to.start as usize).unwrap_or_default());
                let start = bytes.len();
                bytes.extend_from_slice(part);
                Span::new(start, part.len())
            };
            let spans = (
                push(end, place.name, name),
                push(place.name.end() as usize, place.value, value),
            );
            end = place.value.end() as usize;
            let (Some(name), Some(value)) = spans else { break };
            places.push(Place { name, value });
        }
        Self {
            bytes: bytes.into(),
            places: places.into(),
            by_name: OnceLock::default(),
        }
    }

    /// The value of one field.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let index = self.by_name.get_or_init(|| self.index());
        let place = *index.places.get(&index.hasher.hash_one(name))?;
        let (found, value) = self.at(*self.places.get(place as usize)?);
        match found == name {
            true => Some(value),
            // Two names have one hash.
            false => self.iter().find(|(found, _)| *found == name).map(|(_, value)| value),
        }
    }

    fn index(&self) -> NameIndex {
        let hasher = RandomState::new();
        let names = (0..).zip(self.iter());
        let places = names.map(|(place, (name, _))| (hasher.hash_one(name), place));
        NameIndex {
            places: places.collect(),
            hasher,
        }
    }

    /// What differs from `before`, by name.
    pub fn changes<'a>(&'a self, before: &'a Fields) -> Vec<FieldChange<'a>> {
        let (mut now, mut old) = (&self.places[..], &before.places[..]);
        let (mut others, mut old_others) = (Vec::new(), Vec::new());
        loop {
            let same = self.common_run(now, before, old);
            (now, old) = (&now[same..], &old[same..]);
            let ([first, ..], [old_first, ..]) = (now, old) else {
                others.extend(now);
                old_others.extend(old);
                return self.compare(&others, before, &old_others);
            };
            let (name, old_name) = (self.name(first), before.name(old_first));
            // While a hash that grew is moved into its larger table, Redis moves a few of its
            // fields at each command: the order is nearly as it was.
            let ahead = (1..=LOOK_AHEAD).find_map(|step| {
                let is_in_old = old.get(step).is_some_and(|place| before.name(place) == name);
                let is_in_new = now.get(step).is_some_and(|place| self.name(place) == old_name);
                match (is_in_old, is_in_new) {
                    (true, _) => Some((0, step)),
                    (false, true) => Some((step, 0)),
                    (false, false) => None,
                }
            });
            let (skipped, old_skipped) = match ahead {
                Some(skipped) if name != old_name => skipped,
                _ => (1, 1),
            };
            others.extend(&now[..skipped]);
            old_others.extend(&old[..old_skipped]);
            (now, old) = (&now[skipped..], &old[old_skipped..]);
        }
    }

    /// How many of these are the same, one after the other, as those before.
    fn common_run(&self, now: &[Place], before: &Fields, old: &[Place]) -> usize {
        let ([first, ..], [old_first, ..]) = (now, old) else {
            return 0;
        };
        let (start, old_start) = (first.name.start as usize, old_first.name.start as usize);
        let common = common_prefix(&self.bytes[start..], &before.bytes[old_start..]);
        let is_same = |(now, old): &(&Place, &Place)| {
            let now = now.from(start);
            now == old.from(old_start) && now[2] + now[3] <= common
        };
        now.iter().zip(old).take_while(is_same).count()
    }

    /// What differs among some of these and some of those before.
    fn compare<'a>(&'a self, now: &[Place], before: &'a Fields, old: &[Place]) -> Vec<FieldChange<'a>> {
        let mut now: Vec<_> = now.iter().map(|place| self.at(*place)).collect();
        let mut old: Vec<_> = old.iter().map(|place| before.at(*place)).collect();
        now.sort_unstable_by_key(|(name, _)| *name);
        old.sort_unstable_by_key(|(name, _)| *name);
        let (mut now, mut old) = (now.into_iter().peekable(), old.into_iter().peekable());
        let mut changes = Vec::new();
        loop {
            let order = match (now.peek(), old.peek()) {
                (None, None) => return changes,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((now, _)), Some((old, _))) => now.cmp(old),
            };
            let of_now = if order.is_le() { now.next() } else { None };
            let of_old = if order.is_ge() { old.next() } else { None };
            let change = FieldChange {
                name: of_now.or(of_old).map_or(&[][..], |(name, _)| name),
                before: of_old.map(|(_, value)| value),
                now: of_now.map(|(_, value)| value),
            };
            if change.before != change.now {
                changes.push(change);
            }
        }
    }

    fn name(&self, place: &Place) -> &[u8] {
        self.at(*place).0
    }

    fn at(&self, place: Place) -> (&[u8], &[u8]) {
        let of = |span: Span| &self.bytes[span.start as usize..span.end() as usize];
        (of(place.name), of(place.value))
    }
}

impl FromIterator<(Vec<u8>, Vec<u8>)> for Fields {
    /// Of two with one name the later counts.
    fn from_iter<T: IntoIterator<Item = (Vec<u8>, Vec<u8>)>>(fields: T) -> Self {
        let fields: BTreeMap<_, _> = fields.into_iter().collect();
        let mut bytes = Vec::with_capacity(fields.iter().map(|(name, value)| name.len() + value.len()).sum());
        let mut push = |part: &[u8]| {
            let start = bytes.len();
            bytes.extend_from_slice(part);
            Span::new(start, part.len())
        };
        let places = fields.iter().map_while(|(name, value)| {
            Some(Place {
                name: push(name)?,
                value: push(value)?,
            })
        });
        let places = places.collect();
        Self {
            bytes: bytes.into(),
            places,
            by_name: OnceLock::new(),
        }
    }
}

impl PartialEq for Fields {
    /// In whatever order they came.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.changes(other).is_empty()
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    /// Says how much there is, never what: values hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fields", self.len())
    }
}

impl Span {
    /// `None` when it ends beyond 4 GiB.
    pub fn new(start: usize, len: usize) -> Option<Self> {
        u32::try_from(start + len).ok()?;
        Some(Self {
            start: u32::try_from(start).ok()?,
            len: u32::try_from(len).ok()?,
        })
    }

    fn end(self) -> u32 {
        self.start + self.len
    }
}

impl Place {
    /// Where its parts begin, counted from `start`, and how long they are.
    fn from(&self, start: usize) -> [usize; 4] {
        let [name, value] = [self.name, self.value].map(|span| (span.start as usize - start, span.len as usize));
        [name.0, name.1, value.0, value.1]
    }
}

/// Bytes per comparison.
const BLOCK: usize = 4096;

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let whole = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    let rest = a[whole..].iter().zip(&b[whole..]);
    whole + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// As in a reply of Redis: with something between them.
    fn fields(fields: &[(Vec<u8>, Vec<u8>)]) -> Fields {
        let (mut bytes, mut spans) = (Vec::new(), Vec::new());
        for part in fields.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            spans.push(Span::new(bytes.len(), part.len()).unwrap());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        Fields::within(bytes.into(), &spans).unwrap()
    }

    fn pairs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
        let name = "[a-c]{1,2}".prop_map(String::into_bytes);
        let value = prop_oneof![
            Just(vec![b'v'; 5000]),
            vec(prop_oneof![Just(b'$'), Just(b'\r'), Just(b'1')], 0..6)
        ];
        // In an order of its own, and each name once.
        proptest::collection::hash_map(name, value, 0..9).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_differs_is_what_differs_by_name(mut before in pairs(), now in pairs(), shared in 0..4usize) {
            for (at, field) in now.iter().enumerate().take(shared) {
                before.retain(|(name, _)| *name != field.0);
                before.insert(at.min(before.len()), field.clone());
            }
            let map = |pairs: &[(Vec<u8>, Vec<u8>)]| pairs.iter().cloned().collect::<BTreeMap<_, _>>();
            let (by_name_before, by_name) = (map(&before), map(&now));
            let names = by_name_before.keys().chain(by_name.keys()).collect::<std::collections::BTreeSet<_>>();
            let expected: Vec<_> = names
                .into_iter()
                .map(|name| FieldChange {
                    name,
                    before: by_name_before.get(name).map(Vec::as_slice),
                    now: by_name.get(name).map(Vec::as_slice),
                })
                .filter(|change| change.before != change.now)
                .collect();
            let (before, now) = (fields(&before), fields(&now));
            prop_assert!(now.changes(&before) == expected);
            prop_assert_eq!(now == before, expected.is_empty());
            for name in by_name_before.keys().chain(by_name.keys()) {
                prop_assert_eq!(now.get(name), by_name.get(name).map(Vec::as_slice));
            }
            let other_bytes: Fields = now.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
            prop_assert!(other_bytes == now);
        }
    }

    proptest! {
        #[test]
        fn some_values_can_be_replaced(before in pairs(), replaced in pairs(), removed in "[a-c]{1,2}") {
            let mut values: HashMap<&[u8], Option<&[u8]>> = HashMap::new();
            for (name, value) in &replaced {
                values.insert(name, Some(value));
            }
            values.insert(removed.as_bytes(), None);
            let expected: Fields = before
                .iter()
                .filter_map(|(name, value)| {
                    let value = values.get(&**name).copied().unwrap_or(Some(value))?;
                    Some((name.clone(), value.to_vec()))
                })
                .collect();
            let now = fields(&before).with(&values);
            prop_assert!(now == expected);
            prop_assert!(now.iter().all(|(name, value)| now.shared(value) == value && now.shared(name) == name));
        }
    }

    #[test]
    fn spans_that_are_no_fields_are_refused() {
        let span = |start, len| Span { start, len };
        let within = |spans: &[Span]| Fields::within(Bytes::from_static(b"abcd"), spans).is_some();
        assert!(within(&[span(0, 2), span(2, 2)]) && within(&[]));
        assert!(!within(&[span(0, 1)]), "a name without a value");
        assert!(!within(&[span(0, 1), span(2, 3)]), "beyond the end");
        assert!(!within(&[span(2, 1), span(0, 1)]), "not in order");
    }
}
