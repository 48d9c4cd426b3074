//! Axes: from values to places, and the values worth a line.

/// An axis.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    log: bool,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Even: `low` at `from`, `high` at `to`.
    pub fn linear(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let high = if high > low { high } else { low + 1.0 };
        Scale { log: false, low, high, from, to }
    }

    /// Each factor as long as another. Values below a nanosecond are one.
    pub fn log(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let low = low.max(1.0);
        // At least a third of a decade, or the lines would stand for less than is measured.
        let high = high.max(low * 2.0);
        Scale { log: true, low, high, from, to }
    }

    /// Logarithmic around all values, with ends that are 1, 2 or 5 times a power of ten.
    pub fn log_around(low: f64, high: f64, from: f64, to: f64) -> Scale {
        let (low, high) = (low.max(1.0), high.max(1.0));
        Scale::log(round_down(low), round_up(high), from, to)
    }

    /// Even from 0 up to a round value that `high` is below.
    pub fn from_zero(high: f64, from: f64, to: f64) -> Scale {
        let scale = Scale::linear(0.0, high.max(f64::MIN_POSITIVE) * 1.04, from, to);
        let step = scale.step(4);
        Scale::linear(0.0, (scale.high / step).ceil() * step, from, to)
    }

    /// The place of a value; of one outside, the nearer end's.
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let part = match self.log {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.from + part * (self.to - self.from)
    }

    /// The lowest and the highest value.
    pub fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Values worth a line with a label, about `wanted` of them.
    pub fn ticks(&self, wanted: usize) -> Vec<f64> {
        if !self.log {
            let step = self.step(wanted);
            let first = (self.low / step).ceil() as i64;
            let last = (self.high / step + 1e-9).floor() as i64;
            return (first..=last).map(|number| number as f64 * step).collect();
        }
        let many = (self.high / self.low).log10() * 3.0 > wanted as f64;
        let factors: &[f64] = if many { &[1.0] } else { &[1.0, 2.0, 5.0] };
        self.at_factors(factors)
    }

    /// Values worth a faint line: of a logarithmic axis all with one digit.
    pub fn faint_ticks(&self) -> Vec<f64> {
        match self.log {
            true => self.at_factors(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
            false => Vec::new(),
        }
    }

    fn at_factors(&self, factors: &[f64]) -> Vec<f64> {
        let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
        let all = decades.flat_map(|decade| factors.iter().map(move |by| by * 10_f64.powi(decade)));
        let rounding = 1e-9;
        all.filter(|value| {
            (self.low * (1.0 - rounding)..=self.high * (1.0 + rounding)).contains(value)
        })
        .collect()
    }

    /// 1, 2 or 5 times a power of ten, so that about `wanted` of them fit.
    fn step(&self, wanted: usize) -> f64 {
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        round_up(rough)
    }
}

fn round_up(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let by = [1.0, 2.0, 5.0].into_iter().find(|by| by * decade >= value * (1.0 - 1e-9));
    by.unwrap_or(10.0) * decade
}

fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let by = [5.0, 2.0, 1.0].into_iter().find(|by| by * decade <= value * (1.0 + 1e-9));
    by.unwrap_or(1.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_even_or_by_factors() {
        let linear = Scale::linear(0.0, 10.0, 100.0, 0.0);
        assert_eq!([0.0, 5.0, 10.0, 99.0].map(|value| linear.at(value)), [100.0, 50.0, 0.0, 0.0]);
        let log = Scale::log(10.0, 1_000.0, 0.0, 100.0);
        assert!((log.at(100.0) - 50.0).abs() < 1e-9);
        assert_eq!(log.at(0.0), 0.0, "nothing lies outside");
    }

    #[test]
    fn nothing_to_show_is_still_an_axis() {
        for scale in [Scale::linear(0.0, 0.0, 0.0, 100.0), Scale::log_around(0.0, 0.0, 0.0, 100.0)]
        {
            assert!(scale.at(0.0).is_finite() && scale.at(1e9).is_finite());
            assert!(!scale.ticks(5).is_empty());
        }
        assert!(Scale::from_zero(0.0, 0.0, 1.0).at(0.0).is_finite());
    }

    #[test]
    fn ends_and_ticks_are_round() {
        let scale = Scale::log_around(130_000.0, 4_100_000.0, 0.0, 1.0);
        assert_eq!(scale.ends(), (100_000.0, 5_000_000.0));
        assert_eq!(scale.ticks(6), [1e5, 2e5, 5e5, 1e6, 2e6, 5e6]);
        assert_eq!(scale.ticks(3), [1e5, 1e6]);
        assert_eq!(
            Scale::linear(0.0, 60.0, 0.0, 1.0).ticks(6),
            [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
        );
        assert_eq!(Scale::from_zero(8_000.0, 0.0, 1.0).ends().1, 10_000.0);
    }
}
