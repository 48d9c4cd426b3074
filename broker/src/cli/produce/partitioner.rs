//! Which partition a record goes to.
//!
//! With a key: murmur2 of the key, exactly as the Java client. Without: one partition until its
//! batch is full or sent, then another at random (KIP-794), so that batches are large.

use protocol::client::partition_for_key;

/// Chooses partitions.
#[derive(Debug)]
pub struct Partitioner {
    fixed: Option<u32>,
    partitions: u32,
    sticky: u32,
    random: u64,
}

impl Partitioner {
    /// For a topic of `partitions`, or always `fixed`. `seed` decides the order of sticky choices.
    pub fn new(partitions: u32, fixed: Option<u32>, seed: u64) -> Self {
        assert!(partitions > 0, "a topic has at least one partition");
        let mut partitioner = Partitioner { fixed, partitions, sticky: 0, random: seed | 1 };
        partitioner.unstick();
        partitioner
    }

    /// The partition of a record.
    pub fn choose(&self, key: Option<&[u8]>) -> u32 {
        match (self.fixed, key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_for_key(key, self.partitions),
            (None, None) => self.sticky,
        }
    }

    /// A batch of this partition was closed: if it is the sticky one, another takes its place.
    pub fn on_batch_closed(&mut self, partition: u32) {
        if partition == self.sticky {
            self.unstick();
        }
    }

    fn unstick(&mut self) {
        if self.partitions == 1 {
            return;
        }
        // xorshift64: enough to spread batches; the choice is never worse than round robin for long.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let others = u64::from(self.partitions - 1);
        let step = 1 + (self.random >> 33) % others;
        self.sticky = (self.sticky + step as u32) % self.partitions;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_where_the_java_client_sends_them() {
        let partitioner = Partitioner::new(4, None, 1);
        let chosen: Vec<_> = [&b"21"[..], b"foobar", b"a", b""]
            .iter()
            .map(|key| partitioner.choose(Some(key)))
            .collect();
        // Utils.toPositive(Utils.murmur2(key)) % 4, from Kafka's own class.
        assert_eq!(chosen, KAFKA_CHOICES);
    }

    const KAFKA_CHOICES: [u32; 4] = [0, 2, 0, 1];

    #[test]
    fn without_a_key_a_partition_sticks_until_its_batch_is_closed() {
        let mut partitioner = Partitioner::new(3, None, 7);
        let first = partitioner.choose(None);
        assert_eq!(partitioner.choose(None), first);
        partitioner.on_batch_closed((first + 1) % 3);
        assert_eq!(partitioner.choose(None), first);
        partitioner.on_batch_closed(first);
        assert_ne!(partitioner.choose(None), first);
    }

    #[test]
    fn every_partition_gets_its_share() {
        let mut partitioner = Partitioner::new(5, None, 42);
        let mut counts = [0; 5];
        for _ in 0..5_000 {
            let partition = partitioner.choose(None);
            counts[partition as usize] += 1;
            partitioner.on_batch_closed(partition);
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_fixed_partition_goes_before_the_key() {
        assert_eq!(Partitioner::new(4, Some(3), 1).choose(Some(b"foobar")), 3);
    }
}
