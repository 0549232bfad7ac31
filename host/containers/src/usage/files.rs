//! What the files say. A line that is missing or strange is a value that is not there.

/// The second word of the line that begins with the name.
pub(crate) fn value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A limit. `max`, and the number that version 1 has for it, are none.
pub(crate) fn limit(text: &str) -> Option<u64> {
    number(text).filter(|limit| *limit < 1 << 62)
}

/// Bytes received and sent by all interfaces but the loopback; `None` if there is no other.
pub(crate) fn network(text: &str) -> Option<(u64, u64)> {
    let mut sum = None;
    for line in text.lines() {
        let Some((name, counters)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let mut counters = counters.split_ascii_whitespace();
        let (Some(rx), Some(tx)) = (counters.next(), counters.nth(7)) else { continue };
        let (Ok(rx), Ok(tx)) = (rx.parse::<u64>(), tx.parse::<u64>()) else { continue };
        let (rx_before, tx_before) = sum.unwrap_or_default();
        sum = Some((rx.saturating_add(rx_before), tx.saturating_add(tx_before)));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_summed_without_the_loopback() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0:    1000      10    0    0    0     0          0         0     2000      20    0    0    0     0       0          0
  eth1:       1       1    0    0    0     0          0         0        2       1    0    0    0     0       0          0
";
        assert_eq!(network(text), Some((1001, 2002)));
        assert_eq!(network(text.split("  eth0").next().unwrap_or_default()), None);
        assert_eq!(network("eth0: x"), None);
    }

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "inactive_file 1\ntotal_inactive_file 2\nusage_usec x\n";
        assert_eq!(value(text, "inactive_file"), Some(1));
        assert_eq!(value(text, "total_inactive_file"), Some(2));
        assert_eq!(value(text, "inactive"), None);
        assert_eq!(value(text, "usage_usec"), None);
    }

    #[test]
    fn no_limit_is_no_number() {
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n"), None);
        assert_eq!(limit("67108864\n"), Some(64 << 20));
    }
}
