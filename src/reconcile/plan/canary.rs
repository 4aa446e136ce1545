//! Decides what the edited gateways that are tried first show about the others.
//!
//! Takes values and returns values: no I/O, no clock.

/// How one that is tried first fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// Not known yet.
    Waits,
    Works,
    /// Why, if known.
    Fails(Option<String>),
    /// It was edited again, or is gone.
    Void,
}

/// What follows for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Wait,
    /// They may be edited.
    Go,
    /// They stay as they are: this many of the first ones don't work.
    Hold {
        tried: usize,
        failed: usize,
        answer: Option<String>,
    },
    /// Nothing was learnt, and others must be tried.
    Again,
}

pub fn next(first: impl IntoIterator<Item = First>) -> Next {
    let (mut waits, mut works, mut failed) = (0_usize, 0_usize, Vec::new());
    for one in first {
        match one {
            First::Waits => waits += 1,
            First::Works => works += 1,
            First::Fails(answer) => failed.push(answer),
            First::Void => {}
        }
    }
    match (waits, works, failed.len()) {
        (1.., ..) => Next::Wait,
        (0, 0, 0) => Next::Again,
        (0, _, 0) => Next::Go,
        (0, works, count) => Next::Hold {
            tried: works + count,
            failed: count,
            answer: failed.into_iter().flatten().next(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(answer: &str) -> First {
        First::Fails(Some(answer.to_owned()))
    }

    #[test]
    fn the_others_follow_only_if_all_that_were_tried_work() {
        let hold = |tried, failed, answer: &str| Next::Hold {
            tried,
            failed,
            answer: Some(answer.to_owned()),
        };
        for (first, expected) in [
            (vec![First::Works, First::Works], Next::Go),
            (vec![First::Works, First::Waits], Next::Wait),
            (vec![fails("403 Forbidden"), First::Waits], Next::Wait),
            (vec![First::Works, fails("403 Forbidden")], hold(2, 1, "403 Forbidden")),
            (
                vec![First::Fails(None), fails("403 Forbidden")],
                hold(2, 2, "403 Forbidden"),
            ),
            (vec![First::Void, First::Works], Next::Go),
            (vec![First::Void, fails("404 Not Found")], hold(1, 1, "404 Not Found")),
            (vec![First::Void, First::Void], Next::Again),
            (vec![], Next::Again),
        ] {
            assert_eq!(next(first.clone()), expected, "{first:?}");
        }
    }
}
