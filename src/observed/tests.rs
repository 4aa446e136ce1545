use bytes::Bytes;

use super::batch::replaced;
use super::*;

#[test]
fn of_several_rows_of_a_gateway_the_newest_is_written() {
    let row = Row::unknown(Timestamp::UNIX_EPOCH);
    let set = || Change::Set(Arc::new(row.clone()));
    let batch = [
        ("a", 1, set()),
        ("b", 2, set()),
        ("a", 3, set()),
        ("a", 4, Change::Nothing),
        ("c", 6, set()),
        ("c", 5, set()),
        ("d", 7, set()),
        ("d", 8, Change::Delete),
        ("d", 8, set()),
        ("e", 9, Change::Note(Arc::new(row.clone()))),
        ("e", 9, set()),
        ("e", 9, Change::Note(Arc::new(row.clone()))),
    ];
    let batch = batch.map(|(gateway, mark, change)| Observation {
        sequence: mark,
        gateway: gateway.into(),
        change,
        mark,
        json: Bytes::new(),
        announce: true,
        is_odd: false,
        registers: Vec::new(),
    });
    let replaced = replaced(&batch);
    let left: Vec<_> = (0..batch.len()).filter(|index| !replaced[*index]).collect();
    assert_eq!(
        left,
        [1, 2, 3, 4, 5, 6, 7, 8, 10, 11],
        "all but the first, and a note before a row"
    );
}
