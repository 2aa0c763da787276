//! What a route needs, in the words of the one table of permissions, which stands in the ledger: a decision looks at it
//! again.

pub use crate::ledger::Permission;

/// What a route needs. There is no other way: a route says one of these, or does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Public,
    /// A user whose role has the permission.
    Needs(Permission),
    /// Likewise; and every yes is one of a decision that looks whether it is still so, so that the door may go by what it
    /// recalls of the caller.
    NeedsInDecision(Permission),
}

impl Access {
    /// What its callers need; nothing if anybody may call.
    pub const fn permission(self) -> Option<Permission> {
        match self {
            Self::Public => None,
            Self::Needs(permission) | Self::NeedsInDecision(permission) => Some(permission),
        }
    }
}
