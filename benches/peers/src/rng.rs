//! Random numbers that are the same in every run with the same seed (xorshift64*).

/// A stream of numbers, as long as anybody needs.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream that belongs to a seed.
    pub fn seeded(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Uniform in `0..below`; `below` is 1 or more.
    pub fn below(&mut self, below: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        u32::try_from((high * u64::from(below)) >> 32).expect("a product of two 32-bit numbers, halved")
    }
}
