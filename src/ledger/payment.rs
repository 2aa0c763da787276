//! The life of a payment: every state, and every legal move between them. Drawn in `docs/data-model.md`.
//!
//! The first row of a payment says where its life begins, each later step where it leads; none of these rows is ever
//! changed. A payment stands where the newest row about it left it.

use serde::Serialize;

use super::PaymentId;

/// How a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The payee has the money.
    Succeeded,
    /// The money is held until the payee captures it.
    Authorized,
    /// The money is held until an operator has looked at it.
    PendingReview,
    /// Nothing ever moved.
    Declined,
    /// An operator said no after looking at it; the money is the payer's again.
    Rejected,
    /// Given up before it was captured; the money is the payer's again.
    Voided,
    /// Neither captured nor looked at in time; the money is the payer's again.
    Expired,
    /// All that was captured went back.
    Refunded,
    /// A part of what was captured went back.
    PartiallyRefunded,
}

/// A step in the life of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// The payee takes what is held, or a part of it; the rest is released.
    Capture,
    /// What is held is released.
    Void,
    /// What is held too long is released.
    Expire,
    /// An operator lets a payment under review through.
    Approve,
    /// An operator stops a payment under review.
    Reject,
    /// The payee gives back what was captured, or a part of it.
    Refund,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Succeeded,
        Self::Authorized,
        Self::PendingReview,
        Self::Declined,
        Self::Rejected,
        Self::Voided,
        Self::Expired,
        Self::Refunded,
        Self::PartiallyRefunded,
    ];

    /// The status's name, as in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Authorized => "authorized",
            Self::PendingReview => "pending_review",
            Self::Declined => "declined",
            Self::Rejected => "rejected",
            Self::Voided => "voided",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
            Self::PartiallyRefunded => "partially_refunded",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The table of legal moves; there is no other.
    pub const fn allows(self, step: Move) -> bool {
        match self {
            Self::Authorized => matches!(step, Move::Capture | Move::Void | Move::Expire),
            Self::PendingReview => matches!(step, Move::Approve | Move::Reject | Move::Expire),
            Self::Succeeded | Self::PartiallyRefunded => matches!(step, Move::Refund),
            Self::Declined | Self::Rejected | Self::Voided | Self::Expired | Self::Refunded => false,
        }
    }

    /// Whether the payer's money is held.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Authorized | Self::PendingReview)
    }

    /// Whether the payment came to nothing after all, so that the same one again is no repeat of it.
    pub const fn is_undone(self) -> bool {
        matches!(self, Self::Declined | Self::Rejected | Self::Voided | Self::Expired)
    }
}

/// Where a row of the journal leaves a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PaymentState {
    /// How it stands.
    pub status: PaymentStatus,
    /// What the payee got, in minor units.
    pub captured_minor: i64,
    /// What of that went back, in minor units.
    pub refunded_minor: i64,
}

impl PaymentState {
    /// A state in which the payee has nothing.
    pub const fn without_capture(status: PaymentStatus) -> Self {
        Self { status, captured_minor: 0, refunded_minor: 0 }
    }

    /// The state of a payment of which so much was captured and nothing went back.
    pub const fn captured(captured_minor: i64) -> Self {
        Self { status: PaymentStatus::Succeeded, captured_minor, refunded_minor: 0 }
    }

    /// What can still be given back, in minor units.
    pub const fn refundable_minor(&self) -> i64 {
        self.captured_minor.saturating_sub(self.refunded_minor)
    }

    /// This state after so much more went back; it is no more than [`Self::refundable_minor`].
    #[must_use]
    pub const fn refunded(self, amount_minor: i64) -> Self {
        let refunded_minor = self.refunded_minor.saturating_add(amount_minor);
        let is_all = refunded_minor >= self.captured_minor;
        let status = if is_all { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
        Self { status, refunded_minor, ..self }
    }
}

/// When the payee gets the money of a payment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Capture {
    /// At once.
    #[default]
    Automatic,
    /// When the payee captures it; until then it is held.
    Manual,
}

impl Capture {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Automatic, Self::Manual];

    /// The name, as in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|capture| capture.name() == name)
    }
}

/// Why the money of a new payment is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// The payee is to capture it.
    ForCapture,
    /// An operator is to look at it.
    ForReview,
}

impl Hold {
    /// The hold by which a payment stands so, from the status's name.
    pub fn of_status(name: &str) -> Option<Self> {
        [Self::ForCapture, Self::ForReview].into_iter().find(|hold| hold.status().name() == name)
    }

    /// How a payment that is held so stands.
    pub const fn status(self) -> PaymentStatus {
        match self {
            Self::ForCapture => PaymentStatus::Authorized,
            Self::ForReview => PaymentStatus::PendingReview,
        }
    }
}

/// What a row of the journal is in the life of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Settled by itself: a payment that succeeded or was declined at once; or no payment at all.
    Whole,
    /// A payment whose life begins with a hold.
    Held(Hold),
    /// A later step.
    Step(Box<Step>),
}

impl Stage {
    /// The later step that the row is.
    pub fn step(&self) -> Option<&Step> {
        match self {
            Self::Step(step) => Some(step),
            Self::Whole | Self::Held(_) => None,
        }
    }
}

/// A later step in the life of a payment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// Which payment.
    pub payment: PaymentId,
    /// Where it leaves the payment; a refund that was declined, where it was.
    pub state: PaymentState,
    /// The reason of a refund or the note of a review; empty if none was given.
    pub note: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_what_is_final_stays() {
        let moves = [Move::Capture, Move::Void, Move::Expire, Move::Approve, Move::Reject, Move::Refund];
        for status in PaymentStatus::ALL {
            assert_eq!(PaymentStatus::from_name(status.name()), Some(status));
            let is_final = !moves.into_iter().any(|step| status.allows(step));
            assert_eq!(is_final, status.is_undone() || status == PaymentStatus::Refunded, "{status:?}");
            assert_eq!(status.is_held(), status.allows(Move::Expire), "{status:?}");
        }
    }

    #[test]
    fn refunds_add_up_to_what_was_captured() {
        let half = PaymentState::captured(100).refunded(40);
        assert_eq!((half.status, half.refundable_minor()), (PaymentStatus::PartiallyRefunded, 60));
        let whole = half.refunded(60);
        assert_eq!((whole.status, whole.refundable_minor()), (PaymentStatus::Refunded, 0));
    }
}
