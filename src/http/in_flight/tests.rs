use super::*;

const MIB: usize = 1024 * 1024;

fn blocks(count: usize) -> Vec<Bytes> {
    (0..count).map(|_| Bytes::from(vec![b'x'; MIB])).collect()
}

fn text(blocks: &[Bytes]) -> Text {
    blocks.iter().cloned().collect()
}

fn is_cut(cut: &Arc<Notify>) -> bool {
    use futures_util::FutureExt as _;
    cut.notified().now_or_never().is_some()
}

#[test]
fn shared_blocks_count_once_and_until_the_last_response_with_them_ends() {
    let all = Arc::<InFlight>::default();
    let mut document = blocks(40);
    let first = all.begin(&text(&document), Arc::default());
    document[7] = Bytes::from(vec![b'y'; MIB]);
    let second = all.begin(&text(&document), Arc::default());
    assert_eq!(all.lock().bytes, 41 * MIB);
    drop(first);
    assert_eq!(all.lock().bytes, 40 * MIB);
    drop(second);
    let state = all.lock();
    assert_eq!((state.bytes, state.blocks.len()), (0, 0));
}

#[test]
fn the_oldest_responses_are_cut_when_all_together_hold_too_much() {
    let all = Arc::<InFlight>::default();
    let cuts = [(); 6].map(|()| Arc::<Notify>::default());
    let mut sending: Vec<_> = (0..4)
        .map(|number| all.begin(&text(&blocks(16)), cuts[number].clone()))
        .collect();
    assert_eq!(all.lock().bytes, MAX_BYTES);
    let newest = text(&blocks(16));
    sending.push(all.begin(&newest, cuts[4].clone()));
    sending.push(all.begin(&newest, cuts[5].clone()));
    assert_eq!(cuts.each_ref().map(is_cut), [true, false, false, false, false, false]);
    drop(sending);
    assert_eq!(all.lock().bytes, 0, "a response that was cut is not subtracted twice");
}

#[test]
fn a_document_larger_than_the_limit_is_still_sent() {
    let all = Arc::<InFlight>::default();
    let (large, cut) = (text(&blocks(100)), Arc::<Notify>::default());
    let _sending = all.begin(&large, cut.clone());
    let _another = all.begin(&text(&blocks(100)), Arc::default());
    assert!(!is_cut(&cut));
}

#[test]
fn a_document_is_sent_in_chunks_that_are_not_copied() {
    let pieces = [Bytes::from(vec![b'a'; CHUNK_BYTES + 5]), Bytes::from_static(b"end")];
    let mut body = DocumentBody::new(pieces.iter().cloned().collect(), None);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut given = Vec::new();
    while let Poll::Ready(Some(Ok(piece))) = Pin::new(&mut body).poll_next(&mut cx) {
        given.push(piece);
    }
    let lengths: Vec<_> = given.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [CHUNK_BYTES, 5, 3]);
    assert_eq!(given[1].as_ptr(), pieces[0][CHUNK_BYTES..].as_ptr());
}
