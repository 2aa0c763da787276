//! Placeholder header.

use super::BenchArgs;
use super::terminal::Failure;

/// Placeholder.
pub fn run(_args: &BenchArgs) -> Result<(), Failure> {
    Ok(())
}
