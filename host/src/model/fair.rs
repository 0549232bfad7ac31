//! No plugin pushes another out of a report: where all of them say more than it can carry, each has its share.

use std::collections::BTreeMap;

use super::{Aged, Disk, Extras, Gpu, Network, PluginName, Sensor, Snapshot, Value};

/// At most so many items. Plugins that have no more than an equal share keep theirs; of the others the last go.
pub(super) fn share<T>(items: Vec<Aged<T>>, most: usize) -> Vec<Aged<T>> {
    if items.len() <= most {
        return items;
    }
    let mut counts: BTreeMap<PluginName, usize> = BTreeMap::new();
    for item in &items {
        *counts.entry(item.plugin.clone()).or_default() += 1;
    }
    let quota = quota(counts.values().copied().collect(), most);
    let mut taken: BTreeMap<PluginName, usize> = BTreeMap::new();
    let mut fits = |item: &Aged<T>| {
        let taken = taken.entry(item.plugin.clone()).or_default();
        *taken += 1;
        *taken <= quota
    };
    items.into_iter().filter(|item| fits(item)).collect()
}

/// The largest number such that all together have at most `most` if nobody has more than it.
fn quota(mut counts: Vec<usize>, most: usize) -> usize {
    counts.sort_unstable();
    let (mut left, mut plugins) = (most, counts.len());
    for count in counts {
        let equal = left / plugins;
        if count > equal {
            return equal;
        }
        (left, plugins) = (left - count, plugins - 1);
    }
    usize::MAX
}

impl Snapshot {
    /// This snapshot without the items of the plugin whose items are longest, and that plugin; `None` if no plugin has
    /// any. For a report that would be too long for its reader.
    pub fn without_loudest(&self) -> Option<(PluginName, Self)> {
        let mut lengths: BTreeMap<&PluginName, usize> = BTreeMap::new();
        let mut add = |plugin, length| *lengths.entry(plugin).or_default() += length;
        self.networks.iter().for_each(|item| add(&item.plugin, item.reading.length()));
        self.disks.iter().for_each(|item| add(&item.plugin, item.reading.length()));
        self.gpus.iter().for_each(|item| add(&item.gpu.plugin, item.gpu.reading.length()));
        self.sensors.iter().for_each(|item| add(&item.plugin, item.reading.length()));
        let loudest = lengths.into_iter().max_by_key(|(_, length)| *length)?.0.clone();
        let mut rest = self.clone();
        rest.networks.retain(|item| item.plugin != loudest);
        rest.disks.retain(|item| item.plugin != loudest);
        rest.gpus.retain(|item| item.gpu.plugin != loudest);
        rest.sensors.retain(|item| item.plugin != loudest);
        Some((loudest, rest))
    }
}

/// About how long an item is in a report, in bytes: its texts, and something for its numbers.
trait Length {
    fn length(&self) -> usize;
}

/// Keys and numbers of one item.
const NUMBERS: usize = 300;

fn texts<'a>(texts: impl IntoIterator<Item = &'a Option<String>>) -> usize {
    texts.into_iter().flatten().map(String::len).sum()
}

fn extras(extras: &Extras) -> usize {
    let value = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Truth(_) | Value::Whole(_) | Value::Real(_) => 8,
    };
    extras.iter().map(|(name, of)| name.len() + value(of)).sum()
}

impl Length for Network {
    fn length(&self) -> usize {
        NUMBERS + self.name.len() + texts([&self.address, &self.state]) + extras(&self.extra)
    }
}

impl Length for Disk {
    fn length(&self) -> usize {
        NUMBERS + self.mount_point.len() + texts([&self.device, &self.file_system]) + extras(&self.extra)
    }
}

impl Length for Gpu {
    fn length(&self) -> usize {
        NUMBERS + self.device.len() + texts([&self.name, &self.vendor, &self.driver]) + extras(&self.extra)
    }
}

impl Length for Sensor {
    fn length(&self) -> usize {
        let place = self.place.part.len() + self.place.name.len();
        NUMBERS + place + self.kind.len() + self.name.len() + self.unit.len() + texts([&self.role])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn items(plugins: &[(u8, usize)]) -> Vec<Aged<usize>> {
        let of = |(plugin, count): &(u8, usize)| {
            let plugin = PluginName::from(plugin.to_string().as_str());
            (0..*count).map(move |reading| Aged { age: Duration::ZERO, plugin: plugin.clone(), reading })
        };
        plugins.iter().flat_map(of).collect()
    }

    fn count(items: &[Aged<usize>], plugin: &str) -> usize {
        items.iter().filter(|item| item.plugin.as_str() == plugin).count()
    }

    #[test]
    fn a_plugin_that_says_too_much_costs_only_itself() {
        let shared = share(items(&[(1, 5000), (2, 12), (3, 40)]), 4096);
        assert_eq!((count(&shared, "2"), count(&shared, "3")), (12, 40));
        assert_eq!(count(&shared, "1"), 4096 - 52);
    }

    #[test]
    fn several_that_say_too_much_have_equal_shares() {
        let shared = share(items(&[(1, 5000), (2, 100), (3, 4000)]), 4100);
        assert_eq!((count(&shared, "1"), count(&shared, "2"), count(&shared, "3")), (2000, 100, 2000));
    }

    #[test]
    fn the_loudest_is_left_out_first() {
        let network = |plugin: &str, name: String| Aged {
            age: Duration::ZERO,
            plugin: plugin.into(),
            reading: Network { name, ..Network::default() },
        };
        let networks = vec![
            network("quiet", "eth0".into()),
            network("loud", "x".repeat(9000)),
            network("quiet", "eth1".into()),
        ];
        let snapshot = Snapshot { networks, ..Snapshot::default() };
        let (first, rest) = snapshot.without_loudest().unwrap();
        assert_eq!((first.as_str(), rest.networks.len()), ("loud", 2));
        let (second, rest) = rest.without_loudest().unwrap();
        assert_eq!((second.as_str(), rest.networks.len()), ("quiet", 0));
        assert!(rest.without_loudest().is_none());
    }

    proptest! {
        #[test]
        fn a_share_is_never_too_large_and_wastes_less_than_one_item_a_plugin(
            counts in prop::collection::vec(0_usize..50, 0..8), most in 0_usize..100
        ) {
            let plugins: Vec<_> = (0..).zip(counts).collect();
            let all = items(&plugins);
            let shared = share(all.clone(), most);
            prop_assert!(shared.len() <= most);
            prop_assert!(shared.len() + plugins.len() >= all.len().min(most));
        }
    }
}
