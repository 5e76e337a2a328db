//! Which entries go together in one request, as pure code.

use crate::limits::MAX_ENTRIES;

/// Packs entries into requests of at most ten entries and `max_bytes` bytes, in their order. An entry
/// that is larger than that by itself gets a request of its own.
pub(super) fn pack<T>(
    entries: impl IntoIterator<Item = T>,
    size: impl Fn(&T) -> usize,
    max_bytes: usize,
) -> Vec<Vec<T>> {
    let mut requests: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let size = size(&entry);
        match requests.last_mut() {
            Some(request) if request.len() < MAX_ENTRIES && bytes + size <= max_bytes => {
                bytes += size;
                request.push(entry);
            }
            _ => {
                bytes = size;
                requests.push(vec![entry]);
            }
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::pack;

    fn sizes(sizes: &[usize], max_bytes: usize) -> Vec<Vec<usize>> {
        pack(sizes.iter().copied(), |size| *size, max_bytes)
    }

    #[test]
    fn ten_entries_a_request() {
        assert!(sizes(&[], 100).is_empty());
        assert_eq!(pack(0..1000, |_| 1, 1000).len(), 100);
        let lengths: Vec<_> = pack(0..21, |_| 1, 1000).iter().map(Vec::len).collect();
        assert_eq!(lengths, [10, 10, 1]);
    }

    #[test]
    fn a_request_is_full_at_the_last_byte_and_not_after_it() {
        assert_eq!(sizes(&[60, 40], 100), [vec![60, 40]]);
        assert_eq!(sizes(&[60, 41], 100), [vec![60], vec![41]]);
        assert_eq!(sizes(&[1, 100, 1], 100), [vec![1], vec![100], vec![1]]);
    }

    #[test]
    fn the_order_is_kept_and_nothing_is_left_out() {
        let entries: Vec<usize> = (0..257).map(|number| number * 37 % 101).collect();
        let requests = sizes(&entries, 150);
        assert!(requests.iter().all(|request| !request.is_empty() && request.iter().sum::<usize>() <= 150));
        assert_eq!(requests.concat(), entries);
    }

    #[test]
    fn an_oversize_entry_stands_alone() {
        assert_eq!(sizes(&[5, 500, 5, 5], 100), [vec![5], vec![500], vec![5, 5]]);
    }
}
