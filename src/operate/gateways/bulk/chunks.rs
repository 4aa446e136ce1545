//! Cuts what is to be written into calls of a script, so that none keeps Redis from others for long.

use super::draft::{Draft, Drafted};
use crate::gateway::DomainName;

/// Gateways per call: Redis takes about 20 µs for each.
const MAX_EDITS: usize = 200;
/// Bytes of values per call.
const MAX_BYTES: usize = 1024 * 1024;

/// Gateways of one domain that are written together, by their place in the list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) domain: DomainName,
    pub(super) places: Vec<usize>,
}

/// Only what is to be written. `drafts` are in the order of their domains.
pub(super) fn chunks(drafts: &[Drafted]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut bytes = 0;
    for (place, drafted) in drafts.iter().enumerate() {
        let Draft::Write { before, after, .. } = &drafted.draft else {
            continue;
        };
        let size = before.len() + after.as_ref().map_or(0, Vec::len);
        let room = chunks.last_mut().filter(|chunk| {
            chunk.domain == drafted.domain && chunk.places.len() < MAX_EDITS && bytes + size <= MAX_BYTES
        });
        match room {
            Some(chunk) => chunk.places.push(place),
            None => {
                bytes = 0;
                chunks.push(Chunk {
                    domain: drafted.domain.clone(),
                    places: vec![place],
                });
            }
        }
        bytes += size;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::GatewayName;

    fn drafted(domain: &str, bytes: Option<usize>) -> Drafted {
        let write = |bytes| Draft::Write {
            gateway: GatewayName::parse("gw").unwrap(),
            before: vec![0; bytes].into(),
            after: None,
        };
        Drafted {
            domain: domain.into(),
            name: "gw".to_owned(),
            draft: bytes.map_or(Draft::Unchanged, write),
        }
    }

    fn lengths(drafts: &[Drafted]) -> Vec<(String, usize)> {
        let chunks = chunks(drafts);
        let lengths = chunks
            .iter()
            .map(|chunk| (chunk.domain.to_string(), chunk.places.len()));
        lengths.collect()
    }

    #[test]
    fn a_chunk_is_of_one_domain_and_bounded_in_edits_and_bytes() {
        let mut drafts: Vec<_> = (0..MAX_EDITS + 1).map(|_| drafted("a", Some(1))).collect();
        drafts.push(drafted("b", None));
        drafts.push(drafted("b", Some(1)));
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(lengths(&drafts), [(a.clone(), MAX_EDITS), (a.clone(), 1), (b, 1)]);
        let large: Vec<_> = (0..3).map(|_| drafted("a", Some(MAX_BYTES / 2))).collect();
        assert_eq!(lengths(&large), [(a.clone(), 2), (a.clone(), 1)]);
        assert_eq!(lengths(&[drafted("a", Some(2 * MAX_BYTES))]), [(a, 1)]);
        assert_eq!(lengths(&[drafted("a", None)]), []);
    }
}
