//! What each role may do. The only table of it: the router, the documentation and the tests read it, and every decision
//! looks at it again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Role;

/// Something that a call may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// One's own wallet, payments and history.
    OwnAccount,
    /// One's own password, second factor, sessions and keys: never with a key, and also while they must be mended.
    OwnCredentials,
    /// Read users and payments.
    ReadUsers,
    /// Freeze and unfreeze a user, end their sessions.
    FreezeUsers,
    /// Deposit and withdraw cash.
    MoveCash,
    /// Approve and reject payments under review.
    ReviewPayments,
    /// Refund any payment.
    RefundAny,
    /// Read security events, the audit log, exports; verify.
    ReadAudit,
    /// Roles, settings, webhooks of the house.
    Administer,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 9] = [
        Self::OwnAccount,
        Self::OwnCredentials,
        Self::ReadUsers,
        Self::FreezeUsers,
        Self::MoveCash,
        Self::ReviewPayments,
        Self::RefundAny,
        Self::ReadAudit,
        Self::Administer,
    ];

    /// The permission's name, as in the documentation, in scopes and in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnAccount => "own_account",
            Self::OwnCredentials => "own_credentials",
            Self::ReadUsers => "read_users",
            Self::FreezeUsers => "freeze_users",
            Self::MoveCash => "move_cash",
            Self::ReviewPayments => "review_payments",
            Self::RefundAny => "refund_any",
            Self::ReadAudit => "read_audit",
            Self::Administer => "administer",
        }
    }

    /// The roles that have it.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Self::OwnAccount | Self::OwnCredentials => &Role::ALL,
            Self::ReadUsers => &[Role::Support, Role::Cashier, Role::Auditor, Role::Admin],
            Self::FreezeUsers | Self::ReviewPayments | Self::RefundAny => &[Role::Support, Role::Admin],
            Self::MoveCash => &[Role::Cashier, Role::Admin],
            Self::ReadAudit => &[Role::Auditor, Role::Admin],
            Self::Administer => &[Role::Admin],
        }
    }

    /// Whether the role has it.
    pub fn is_given_to(self, role: Role) -> bool {
        self.roles().contains(&role)
    }

    /// Whether it reaches no further than the caller's own things.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::OwnAccount | Self::OwnCredentials)
    }
}

/// What an API key may be used for: a permission, or only what of it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Scope {
    permission: Permission,
    only_reads: bool,
}

/// A text that is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the name of a permission that a key can have, alone or with ':read' behind it")]
pub struct ScopeError;

/// What follows a permission's name where only reading is meant.
const READS: &str = ":read";

impl Scope {
    /// The permission that it is of.
    pub const fn permission(self) -> Permission {
        self.permission
    }

    /// Whether a call that needs this permission, and changes something or not, is within it.
    pub fn allows(self, needs: Permission, changes: bool) -> bool {
        self.permission == needs && !(changes && self.only_reads)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.permission.name())?;
        f.write_str(if self.only_reads { READS } else { "" })
    }
}

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (name, only_reads) = text.strip_suffix(READS).map_or((text, false), |name| (name, true));
        let found = Permission::ALL.into_iter().find(|permission| permission.name() == name);
        // A key that could make keys or end sessions would outlive whoever took it away.
        let permission = found.filter(|found| *found != Permission::OwnCredentials).ok_or(ScopeError)?;
        Ok(Self { permission, only_reads })
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;
    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the contract, cell by cell.
    #[test]
    fn every_cell_is_as_promised() {
        let table = [
            (Permission::OwnAccount, [true, true, true, true, true]),
            (Permission::OwnCredentials, [true, true, true, true, true]),
            (Permission::ReadUsers, [false, true, true, true, true]),
            (Permission::FreezeUsers, [false, true, false, false, true]),
            (Permission::MoveCash, [false, false, true, false, true]),
            (Permission::ReviewPayments, [false, true, false, false, true]),
            (Permission::RefundAny, [false, true, false, false, true]),
            (Permission::ReadAudit, [false, false, false, true, true]),
            (Permission::Administer, [false, false, false, false, true]),
        ];
        assert_eq!(table.map(|(permission, _)| permission), Permission::ALL);
        for (permission, row) in table {
            assert_eq!(Role::ALL.map(|role| permission.is_given_to(role)), row, "{permission:?}");
        }
    }

    #[test]
    fn a_scope_is_a_permission_or_the_reading_half_of_one() {
        let all: Scope = "own_account".parse().unwrap();
        let reads: Scope = "own_account:read".parse().unwrap();
        assert!(all.allows(Permission::OwnAccount, true) && all.allows(Permission::OwnAccount, false));
        assert!(!reads.allows(Permission::OwnAccount, true) && reads.allows(Permission::OwnAccount, false));
        assert!(!all.allows(Permission::ReadUsers, false));
        assert_eq!((all.to_string(), reads.to_string()), ("own_account".into(), "own_account:read".into()));
        for text in
            ["", ":read", "own_account:write", "own_credentials", "own_credentials:read", "OWN_ACCOUNT"]
        {
            assert_eq!(text.parse::<Scope>(), Err(ScopeError), "{text}");
        }
    }
}
