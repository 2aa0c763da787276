//! What each role may do. The only table of it; the router, the documentation and the tests read it from here.

use crate::ledger::Role;

/// Something that a call may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// One's own wallet, payments, history and sessions.
    OwnAccount,
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
    pub const ALL: [Self; 8] = [
        Self::OwnAccount,
        Self::ReadUsers,
        Self::FreezeUsers,
        Self::MoveCash,
        Self::ReviewPayments,
        Self::RefundAny,
        Self::ReadAudit,
        Self::Administer,
    ];

    /// The permission's name, as in the documentation and in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OwnAccount => "own_account",
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
            Self::OwnAccount => &Role::ALL,
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
}

/// What a route needs. There is no third way: a route says one of these, or does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a token.
    Public,
    /// A user whose role has the permission.
    Needs(Permission),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the contract, cell by cell.
    #[test]
    fn every_cell_is_as_promised() {
        let table = [
            (Permission::OwnAccount, [true, true, true, true, true]),
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
}
