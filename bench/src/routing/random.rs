//! Chance that is the same on every machine: SplitMix64, and distributions by functions that `libm` computes in software.

use std::f64::consts::TAU;

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// Streams of one seed have nothing to do with each other: a change of what one draws leaves the others as they were.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut mixer = Self(seed.wrapping_mul(STEP) ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self(mixer.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1, neither included.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(crate) fn is(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    /// Exponential with mean 1.
    pub(crate) fn wait(&mut self) -> f64 {
        -libm::log(self.unit())
    }

    /// Normal with mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(self.unit())).sqrt();
        radius * libm::cos(TAU * self.unit())
    }

    /// Log-normal with mean 1.
    pub(crate) fn spread(&mut self, sigma: f64) -> f64 {
        libm::exp(sigma * self.normal() - sigma * sigma / 2.0)
    }
}

/// The number `rank` of `1..=n` with a probability like `rank^-exponent`, counted from 0.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(n: u32, exponent: f64) -> Self {
        let weights = (1..=n).map(|rank| libm::pow(f64::from(rank), -exponent));
        let mut sum = 0.0;
        let sums: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self { cumulated: sums.into_iter().map(|part| part / sum).collect() }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let unit = random.unit();
        self.cumulated.partition_point(|part| *part < unit).min(self.cumulated.len().saturating_sub(1))
    }

    pub(crate) fn probabilities(&self) -> impl Iterator<Item = f64> {
        let before = std::iter::once(&0.0).chain(&self.cumulated);
        self.cumulated.iter().zip(before).map(|(to, from)| to - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_on_every_machine() {
        let mut random = Random::new(7, 1);
        let drawn: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(drawn, DRAWN);
        let bits = [random.wait(), random.normal(), random.spread(0.3)].map(f64::to_bits);
        assert_eq!(bits, BITS);
    }

    const DRAWN: [u64; 3] = [2312676517844010252, 8562836667736895054, 1366558825969564527];
    const BITS: [u64; 3] = [4607840443728372837, 13823651330940265136, 4607198662085875931];

    #[test]
    fn distributions_have_the_means_that_they_are_meant_to_have() {
        let mut random = Random::new(1, 2);
        let mut mean = |draw: &dyn Fn(&mut Random) -> f64| {
            (0..100_000).map(|_| draw(&mut random)).sum::<f64>() / 100_000.0
        };
        assert!((mean(&Random::unit) - 0.5).abs() < 0.01);
        assert!((mean(&Random::wait) - 1.0).abs() < 0.02);
        assert!(mean(&Random::normal).abs() < 0.02);
        assert!((mean(&|random| random.spread(0.8)) - 1.0).abs() < 0.02);
        let zipf = Zipf::new(86, 1.43);
        let first = zipf.probabilities().next().unwrap();
        assert!((mean(&|random| f64::from(u8::from(zipf.draw(random) == 0))) - first).abs() < 0.01);
    }
}
