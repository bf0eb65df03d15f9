//! The name of one run of the process; it makes its attempts unlike those of any other.

/// Eight random characters of `a-z0-9`, unlike those of any other process.
pub fn run_id() -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0u8; 8];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a source of randomness the clock and the process id still differ from run to run.
        let seed = super::clock::wall().0 ^ (u64::from(std::process::id()) << 40);
        bytes = seed.to_le_bytes();
    }
    bytes.iter().filter_map(|b| ALPHABET.get(usize::from(b % 32))).map(|b| char::from(*b)).collect()
}
