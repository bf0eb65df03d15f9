//! Random numbers that follow from one seed (SplitMix64): the same on every machine.

use std::ops::Range;
use std::time::Duration;

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Dice of their own for a part of the work; the same parts give the same dice.
    pub fn of(seed: u64, parts: &[u64]) -> Dice {
        Dice(parts.iter().fold(seed, |seed, part| Dice(seed ^ part.wrapping_mul(0xff51_afd7_ed55_8ccd)).roll()))
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `range`, which is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start)
    }

    pub fn index(&mut self, length: usize) -> usize {
        (self.roll() % length as u64) as usize
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.roll() % 100 < chance
    }

    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }
}

/// A number from the environment, or what it is without.
pub fn figure(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.replace('_', "").parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")),
        Err(_) => otherwise,
    }
}

#[test]
fn one_seed_gives_the_same_numbers_again() {
    let numbers = |seed| (0..5).map(|_| 0).scan(Dice::new(seed), |dice, _| Some(dice.roll())).collect::<Vec<_>>();
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
    assert_ne!(Dice::of(7, &[1, 2]).roll(), Dice::of(7, &[2, 1]).roll());
}
