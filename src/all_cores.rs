//! Work on many items in parallel: ten thousand gateways would take one core a tenth of a second
//! while a request waits.

/// Fewer items are not worth a thread.
const MIN_ITEMS_PER_CORE: usize = 500;

/// Runs `work` on parts of the items in parallel. The results are in the order of the items.
pub(crate) fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(MIN_ITEMS_PER_CORE);
    let Some((first, others)) = items.split_at_checked(share) else {
        return vec![work(items)];
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = others.chunks(share).map(|part| scope.spawn(|| work(part))).collect();
        let mut done = vec![work(first)];
        for part in others {
            done.push(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once_and_their_order_is_kept() {
        for count in [
            0,
            1,
            MIN_ITEMS_PER_CORE,
            MIN_ITEMS_PER_CORE + 1,
            10 * MIN_ITEMS_PER_CORE,
        ] {
            let items: Vec<_> = (0..count).collect();
            let doubled = on_all_cores(&items, |part| part.iter().map(|item| 2 * item).collect::<Vec<_>>());
            let expected: Vec<_> = items.iter().map(|item| 2 * item).collect();
            assert_eq!(doubled.concat(), expected);
        }
    }

    #[test]
    #[should_panic(expected = "as the test wants")]
    fn a_panic_is_passed_on() {
        let items: Vec<_> = (0..2 * MIN_ITEMS_PER_CORE).collect();
        on_all_cores(&items, |part| {
            assert!(part[0] < MIN_ITEMS_PER_CORE, "as the test wants")
        });
    }
}
