//! Which key the next record has.

use crate::plan::Keys;
use crate::record::random::Random;

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;

/// A key: its number in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u8; KEY_BYTES]);

impl Key {
    /// The key of a number.
    pub fn of(number: u64) -> Key {
        let mut bytes = [0; KEY_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(number >> (60 - 4 * index)) as usize & 15];
        }
        Key(bytes)
    }
}

/// Draws keys. The same for the same seed and producer.
#[derive(Clone, Debug)]
pub struct KeyDice {
    kind: Kind,
    random: Random,
}

#[derive(Clone, Debug)]
enum Kind {
    Null,
    Uniform(u64),
    Zipf(Zipf),
}

impl KeyDice {
    /// The dice of one producer.
    pub fn new(keys: &Keys, seed: u64, producer: u32) -> KeyDice {
        let kind = match *keys {
            Keys::Null => Kind::Null,
            Keys::Uniform(count) => Kind::Uniform(count),
            Keys::Zipf { count, exponent } => Kind::Zipf(Zipf::new(count, exponent)),
        };
        KeyDice { kind, random: Random::new(seed, 4, producer) }
    }

    /// The next key, if records have keys.
    #[inline]
    pub fn draw(&mut self) -> Option<Key> {
        match &self.kind {
            Kind::Null => None,
            Kind::Uniform(count) => Some(Key::of(self.random.below(*count))),
            Kind::Zipf(zipf) => Some(Key::of(zipf.draw(&mut self.random))),
        }
    }
}

/// Draws ranks with a probability in proportion to rank to the power of `-exponent`, without a table: rejection-inversion
/// (Hörmann and Derflinger, 1996), which throws again in less than a third of cases, whatever the number of ranks.
#[derive(Clone, Debug)]
struct Zipf {
    count: f64,
    exponent: f64,
    below_first: f64,
    above_last: f64,
    squeeze: f64,
}

impl Zipf {
    fn new(count: u64, exponent: f64) -> Zipf {
        let mut zipf =
            Zipf { count: count as f64, exponent, below_first: 0.0, above_last: 0.0, squeeze: 0.0 };
        zipf.below_first = zipf.area(1.5) - 1.0;
        zipf.above_last = zipf.area(count as f64 + 0.5);
        zipf.squeeze = 2.0 - zipf.area_to_rank(zipf.area(2.5) - zipf.height(2.0));
        zipf
    }

    /// A rank from 0, the most common, to one below the count.
    fn draw(&self, random: &mut Random) -> u64 {
        loop {
            let area = self.above_last + random.unit() * (self.below_first - self.above_last);
            let at = self.area_to_rank(area);
            let rank = at.round().clamp(1.0, self.count);
            if rank - at <= self.squeeze || area >= self.area(rank + 0.5) - self.height(rank) {
                return rank as u64 - 1;
            }
        }
    }

    fn height(&self, at: f64) -> f64 {
        (-self.exponent * at.ln()).exp()
    }

    /// The integral of the height, up to a constant.
    fn area(&self, at: f64) -> f64 {
        let log = at.ln();
        expm1_ratio((1.0 - self.exponent) * log) * log
    }

    fn area_to_rank(&self, area: f64) -> f64 {
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        (ln1p_ratio(scaled) * area).exp()
    }
}

/// `(e^x - 1) / x`, also near 0, where the exponent is 1.
fn expm1_ratio(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// `ln(1 + x) / x`, also near 0.
fn ln1p_ratio(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const DRAWS: u64 = 300_000;

    fn shares(keys: &Keys) -> BTreeMap<u64, f64> {
        let mut dice = KeyDice::new(keys, 5, 0);
        let mut shares = BTreeMap::new();
        for _ in 0..DRAWS {
            let key = dice.draw().expect("these have keys");
            let text = std::str::from_utf8(&key.0).expect("keys are text");
            let number = u64::from_str_radix(text, 16).expect("in hexadecimal");
            *shares.entry(number).or_insert(0.0) += 1.0 / DRAWS as f64;
        }
        shares
    }

    #[test]
    fn keys_are_text_of_one_length() {
        assert_eq!(&Key::of(0).0, b"0000000000000000");
        assert_eq!(&Key::of(0xfedc_ba98_7654_3210).0, b"fedcba9876543210");
        assert_eq!(KeyDice::new(&Keys::Null, 1, 0).draw(), None);
    }

    #[test]
    fn all_keys_are_as_likely() {
        let shares = shares(&Keys::Uniform(1_000));
        assert_eq!(shares.len(), 1_000);
        assert!(shares.values().all(|share| (0.0006..0.0014).contains(share)));
        assert_eq!(shares.keys().next_back(), Some(&999));
    }

    #[test]
    fn few_keys_are_most_of_a_zipf() {
        for (count, exponent) in [(1_000, 1.0), (1_000, 0.5), (100_000, 1.1), (3, 2.0), (1, 1.0)] {
            let shares = shares(&Keys::Zipf { count, exponent });
            let weight = |rank: u64| (rank as f64 + 1.0).powf(-exponent);
            let total: f64 = (0..count).map(weight).sum();
            for rank in 0..count.min(20) {
                let (wanted, found) = (weight(rank) / total, shares[&rank]);
                let tolerance = 4.0 * (wanted / DRAWS as f64).sqrt();
                assert!(
                    (found - wanted).abs() < tolerance,
                    "{count} {exponent}: rank {rank} has {found:.5}, not {wanted:.5}"
                );
            }
            let upper: f64 = shares.range(count / 2..).map(|(_, share)| share).sum();
            let wanted = (count / 2..count).map(weight).sum::<f64>() / total;
            assert!((upper - wanted).abs() < 0.005, "{count} {exponent}: {upper} {wanted}");
            assert!(shares.keys().all(|rank| *rank < count));
        }
        let huge = shares(&Keys::Zipf { count: u64::MAX / 4, exponent: 1.2 });
        assert!(huge[&0] > 0.15, "no table is made");
    }
}
