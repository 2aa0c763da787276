//! What a route needs, in the words of the one table of permissions, which stands in the ledger: a decision looks at it
//! again.

pub use crate::ledger::Permission;

/// What a route needs. There is no third way: a route says one of these, or does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Public,
    /// A user whose role has the permission.
    Needs(Permission),
}
