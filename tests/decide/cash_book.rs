//! The naive model of cash: a list of everything that happened, which is looked through anew for each answer.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use farthing::ledger::{CashDirection, Currency, Money, Outcome, Role};
use uuid::Uuid;

use super::GRANT_MINOR;

/// Who is who: three customers, and four who are something else.
pub const ROLES: [Role; 7] = [
    Role::Customer,
    Role::Customer,
    Role::Customer,
    Role::Cashier,
    Role::Cashier,
    Role::Admin,
    Role::Support,
];
/// Nobody's number.
pub const STRANGER: usize = ROLES.len();

/// What may come under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Cash { direction: CashDirection, user: usize, money: Money, reference: &'static str },
    Pay { payee: usize, money: Money },
}

/// What is kept of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kept {
    Moved,
    Short,
    Waits,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Happened {
    Frozen { user: usize, frozen: bool },
    Answered { asker: usize, key: Option<u64>, id: Uuid, asked: Asked, kept: Kept, told: Outcome },
    Decided { id: Uuid, approved: bool },
}

/// Everything that happened, and nothing else.
#[derive(Debug, Default)]
pub struct Model {
    pub list: Vec<Happened>,
}

impl Model {
    fn is_frozen(&self, user: usize) -> bool {
        let last = self.list.iter().rev().find_map(|happened| match happened {
            Happened::Frozen { user: whose, frozen } if *whose == user => Some(*frozen),
            _ => None,
        });
        last.unwrap_or_default()
    }

    /// What was answered under a key.
    pub fn first(&self, asker: usize, key: Option<u64>) -> Option<(Uuid, &Asked, Kept, &Outcome)> {
        self.list.iter().find_map(|happened| match happened {
            Happened::Answered { asker: who, key: under, id, asked, kept, told }
                if *who == asker && key.is_some() && *under == key =>
            {
                Some((*id, asked, *kept, told))
            }
            _ => None,
        })
    }

    /// What a second operator was to look at: who asked, and for what.
    pub fn filed(&self, wanted: Uuid) -> Option<(usize, &Asked)> {
        self.list.iter().find_map(|happened| match happened {
            Happened::Answered { asker, id, asked, kept: Kept::Waits, .. } if *id == wanted => {
                Some((*asker, asked))
            }
            _ => None,
        })
    }

    fn is_decided(&self, wanted: Uuid) -> bool {
        self.list.iter().any(|happened| matches!(happened, Happened::Decided { id, .. } if *id == wanted))
    }

    /// What still waits.
    pub fn waiting(&self) -> BTreeSet<Uuid> {
        let filed = self.list.iter().filter_map(|happened| match happened {
            Happened::Answered { id, kept: Kept::Waits, .. } => Some(*id),
            _ => None,
        });
        filed.filter(|id| !self.is_decided(*id)).collect()
    }

    /// What moved, in its order.
    fn moves(&self) -> impl Iterator<Item = (usize, &Asked)> {
        self.list.iter().filter_map(|happened| match happened {
            Happened::Answered { asker, asked, kept: Kept::Moved, .. } => Some((*asker, asked)),
            Happened::Decided { id, approved: true } => self.filed(*id),
            _ => None,
        })
    }

    /// How many rows of the journal there are beside the grants: a declined one is kept, too.
    pub fn rows(&self) -> usize {
        let declined =
            |happened: &&Happened| matches!(happened, Happened::Answered { kept: Kept::Short, .. });
        self.moves().count() + self.list.iter().filter(declined).count()
    }

    pub fn balance(&self, user: usize, currency: Currency) -> i64 {
        let grant = if currency == Currency::USD { GRANT_MINOR } else { 0 };
        let changes = self.moves().map(|(asker, asked)| match asked {
            Asked::Cash { money, .. } | Asked::Pay { money, .. } if money.currency() != currency => 0,
            Asked::Cash { direction: CashDirection::Deposit, user: whose, money, .. } if *whose == user => {
                money.amount_minor()
            }
            Asked::Cash { direction: CashDirection::Withdrawal, user: whose, money, .. }
                if *whose == user =>
            {
                -money.amount_minor()
            }
            Asked::Pay { money, .. } if asker == user => -money.amount_minor(),
            Asked::Pay { payee, money } if *payee == user => money.amount_minor(),
            Asked::Cash { .. } | Asked::Pay { .. } => 0,
        });
        grant + changes.sum::<i64>()
    }

    fn is_short(&self, user: usize, money: Money) -> bool {
        self.balance(user, money.currency()) < money.amount_minor()
    }

    /// What is said to somebody who may come with a key.
    pub fn ask(&self, asker: usize, key: Option<u64>, asked: &Asked) -> String {
        let is_cash = matches!(asked, Asked::Cash { .. });
        if is_cash && !may_move_cash(asker) {
            return "denied".into();
        }
        if is_cash && self.is_frozen(asker) {
            return "frozen".into();
        }
        if let Some((_, first, ..)) = self.first(asker, key) {
            return differences(first, asked)
                .map_or_else(|| "again".into(), |fields| format!("reused{fields}"));
        }
        match *asked {
            Asked::Cash { user, .. } if user == asker => "denied".into(),
            Asked::Cash { user, .. } if self.is_frozen(user) => "frozen".into(),
            Asked::Pay { .. } if self.is_frozen(asker) => "frozen".into(),
            Asked::Cash { user: STRANGER, .. } | Asked::Pay { payee: STRANGER, .. } => "nobody".into(),
            Asked::Pay { payee, .. } if payee == asker => "self".into(),
            Asked::Cash { money, .. } if is_much(money) => "waits".into(),
            Asked::Cash { direction: CashDirection::Withdrawal, user, money, .. }
                if self.is_short(user, money) =>
            {
                "short".into()
            }
            Asked::Pay { money, .. } if self.is_short(asker, money) => "short".into(),
            Asked::Cash { .. } | Asked::Pay { .. } => "moved".into(),
        }
    }

    /// What is said to a second operator.
    pub fn decide(&self, asker: usize, id: Uuid, approved: bool) -> String {
        if !may_move_cash(asker) {
            return "denied".into();
        }
        if self.is_frozen(asker) {
            return "frozen".into();
        }
        let Some((first, &Asked::Cash { direction, user, money, .. })) = self.filed(id) else {
            return "not found".into();
        };
        if asker == first || asker == user {
            "denied".into()
        } else if approved && self.is_frozen(user) {
            "frozen".into()
        } else if self.is_decided(id) {
            "decided".into()
        } else if !approved {
            "done".into()
        } else if direction == CashDirection::Withdrawal && self.is_short(user, money) {
            "short".into()
        } else {
            "moved".into()
        }
    }
}

fn may_move_cash(user: usize) -> bool {
    matches!(ROLES[user], Role::Cashier | Role::Admin)
}

/// Whether it is more than a hundred of its currency.
fn is_much(money: Money) -> bool {
    money.amount_minor() > if money.currency() == Currency::USD { 10_000 } else { 100 }
}

/// By what two requests under one key differ.
fn differences(first: &Asked, now: &Asked) -> Option<String> {
    let differing = match (first, now) {
        (
            Asked::Cash { direction: first_way, user: first_user, money: first_money, reference: first_slip },
            Asked::Cash { direction, user, money, reference },
        ) if first_way == direction => vec![
            ("user", first_user != user),
            ("amount", first_money.amount_minor() != money.amount_minor()),
            ("currency", first_money.currency() != money.currency()),
            ("reference", first_slip != reference),
        ],
        (Asked::Pay { payee: first_payee, money: first_money }, Asked::Pay { payee, money }) => vec![
            ("amount", first_money.amount_minor() != money.amount_minor()),
            ("currency", first_money.currency() != money.currency()),
            ("to", first_payee != payee),
        ],
        _ => vec![("call", true)],
    };
    let names = differing.iter().filter(|(_, differs)| *differs);
    let names = names.fold(String::new(), |mut names, (name, _)| {
        write!(names, " {name}").unwrap();
        names
    });
    Some(names).filter(|names| !names.is_empty())
}
