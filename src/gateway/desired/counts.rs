//! How many fields of a domain are valid, kept, and so on.

use std::ops::{Add, Sub};

/// The fields of a domain by kind. Each field counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Served as in Redis.
    pub valid: usize,
    /// The value is refused; the last valid version counts.
    pub kept: usize,
    /// The name or the value is refused, and there is no valid version to keep.
    pub invalid: usize,
    /// Valid, and `enabled` is false.
    pub disabled: usize,
    /// Valid, but the name belongs to an earlier domain or to a template.
    pub shadowed: usize,
}

impl Counts {
    fn each(self, other: Self, of: impl Fn(usize, usize) -> usize) -> Self {
        Self {
            valid: of(self.valid, other.valid),
            kept: of(self.kept, other.kept),
            invalid: of(self.invalid, other.invalid),
            disabled: of(self.disabled, other.disabled),
            shadowed: of(self.shadowed, other.shadowed),
        }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        self.each(more, usize::add)
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        self.each(less, usize::sub)
    }
}
