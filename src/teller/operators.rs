//! What operators and the host do: look at users, payments and events, and change what users may do.

use std::sync::Arc;

use crate::auth::password::Password;
use crate::auth::token::ResetToken;
use crate::ledger::{
    Action, Authority, ChangeUser, EndUserSessions, EventDraft, EventKind, MakeResetLink, Origin, PaymentId,
    Permission, RecordKind, Refusal, ResetFactor, ResetPassword, Role, SecurityEvent, Session, Transaction,
    TransactionKind, User, UserId,
};
use crate::store::journal::Head;
use crate::store::oversight::{EventQuery, Statistics, UserQuery};
use crate::store::{AccountBalance, Page, PageRequest};

use super::search::{Search, Whose};
use super::{Identity, PaymentNow, Teller, TellerError, expect_user};

/// Over which time statistics count payments, in milliseconds: a day.
const STATISTICS_MS: i64 = 86_400_000;
/// The most steps of one payment that are shown.
pub(super) const MOST_STEPS: usize = 200;

impl Teller {
    /// Users that the query describes, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn find_users(&self, query: UserQuery) -> Result<Page<Arc<User>>, TellerError> {
        Ok(self.store.find_users(query).await?)
    }

    /// One user.
    ///
    /// # Errors
    /// [`Refusal::UserNotFound`]; faults of the store.
    pub async fn find_user(&self, id: UserId) -> Result<Arc<User>, TellerError> {
        Ok(self.store.user(id).await?.ok_or(Refusal::UserNotFound)?)
    }

    /// The user with that email, for whoever is on the host.
    ///
    /// # Errors
    /// [`Refusal::UserNotFound`]; faults of the store.
    pub async fn find_user_by_email(&self, folded: &str) -> Result<Arc<User>, TellerError> {
        Ok(self.store.user_by_email(folded.to_owned()).await?.ok_or(Refusal::UserNotFound)?)
    }

    /// What a user's accounts hold, for an operator who is another.
    ///
    /// # Errors
    /// [`Refusal::OwnAffair`] for one's own; faults of the store.
    pub async fn wallets_of(
        &self,
        who: &Identity,
        origin: Origin,
        user: UserId,
    ) -> Result<Vec<AccountBalance>, TellerError> {
        if user == who.user.id {
            return Err(self.refuse_own(who, origin).await);
        }
        Ok(self.store.wallets(user).await?)
    }

    /// A user's logins that still count, newest first, for an operator who is another.
    ///
    /// # Errors
    /// [`Refusal::OwnAffair`] for one's own; faults of the store.
    pub async fn sessions_of(
        &self,
        who: &Identity,
        origin: Origin,
        user: UserId,
    ) -> Result<Vec<Session>, TellerError> {
        if user == who.user.id {
            return Err(self.refuse_own(who, origin).await);
        }
        self.logins(user).await
    }

    /// Changes what a user may do.
    ///
    /// # Errors
    /// Every refusal of an operator; faults of the store.
    pub async fn change_user(
        &self,
        by: Authority,
        origin: Origin,
        user: UserId,
        role: Option<Role>,
        frozen: Option<bool>,
    ) -> Result<Arc<User>, TellerError> {
        let change = ChangeUser { by, user, role, frozen };
        expect_user(self.execute(origin, Action::ChangeUser(change)).await?.0)
    }

    /// Ends every session of a user.
    ///
    /// # Errors
    /// Every refusal of an operator; faults of the store.
    pub async fn end_user_sessions(
        &self,
        by: Authority,
        origin: Origin,
        user: UserId,
    ) -> Result<(), TellerError> {
        let end = EndUserSessions { by, user };
        self.execute(origin, Action::EndUserSessions(end)).await.map(|_| ())
    }

    /// Takes a user's second factor away.
    ///
    /// # Errors
    /// Every refusal of an operator; faults of the store.
    pub async fn reset_factor(
        &self,
        by: Authority,
        origin: Origin,
        user: UserId,
    ) -> Result<Arc<User>, TellerError> {
        let reset = ResetFactor { by, user };
        expect_user(self.execute(origin, Action::ResetFactor(reset)).await?.0)
    }

    /// Makes a link by which a user sets a new password. The only time that its secret can be seen.
    ///
    /// # Errors
    /// Every refusal of an operator; faults of the store.
    pub async fn make_reset_link(
        &self,
        by: Authority,
        origin: Origin,
        user: UserId,
    ) -> Result<ResetToken, TellerError> {
        let token = ResetToken::generate(&self.clock)?;
        let make = MakeResetLink { by, user, secret: token.hash() };
        self.execute(origin, Action::MakeResetLink(make)).await?;
        Ok(token)
    }

    /// Sets a new password by a link. Begins no session: its user logs in like everybody.
    ///
    /// # Errors
    /// [`Refusal::ResetLinkInvalid`], [`TellerError::PasswordRefused`]; faults.
    pub async fn reset_password(
        &self,
        origin: Origin,
        token: &str,
        new: Password,
    ) -> Result<(), TellerError> {
        let invalid = || {
            self.note_anonymous(EventKind::TokenInvalid, &origin);
            TellerError::from(Refusal::ResetLinkInvalid)
        };
        let secret = ResetToken::parse(token).map_err(|_| invalid())?.hash();
        let link = self.store.record_by_lookup(RecordKind::ResetLink, secret.0).await?.ok_or_else(invalid)?;
        if link.filing.due_at.is_none_or(|due_at| due_at <= self.clock.now()) {
            return Err(invalid());
        }
        let user = self.find_user(link.filing.owner).await?;
        let new = self.checked_hash("new_password", new, &user.email, user.role).await?;
        let reset = ResetPassword { user: user.id, secret, new };
        self.execute(origin, Action::ResetPassword(reset)).await.map(|_| ())
    }

    /// Payments of everybody but the operator's own, newest first; of one user, as that user sees them.
    ///
    /// # Errors
    /// [`Refusal::OwnAffair`] for one's own; faults of the store.
    pub async fn find_payments(
        &self,
        who: &Identity,
        origin: Origin,
        user: Option<UserId>,
        search: Search,
        page: PageRequest,
    ) -> Result<Page<PaymentNow>, TellerError> {
        let own = who.user.id;
        let whose = match user {
            None => Whose::NotOf(own),
            Some(user) if user == own => return Err(self.refuse_own(who, origin).await),
            Some(user) => Whose::Of(user),
        };
        let mut found = self.search(whose, &search.of_payments(), page).await?;
        found.rows.retain(|movement| !movement.transaction.is_party(own));
        let firsts = found.rows.into_iter().map(|movement| movement.transaction).collect();
        Ok(Page { rows: self.as_they_stand(firsts).await?, next: found.next })
    }

    /// One payment, whoever's it is but the operator's own.
    ///
    /// # Errors
    /// [`Refusal::OwnAffair`] for one's own; faults of the store.
    pub async fn find_payment(
        &self,
        who: &Identity,
        origin: Origin,
        id: PaymentId,
    ) -> Result<Option<PaymentNow>, TellerError> {
        let found = self.store.find_transaction(id.into()).await?;
        let payment = found.filter(|found| found.transaction.kind == TransactionKind::Payment);
        match payment {
            None => Ok(None),
            Some(payment) if payment.transaction.is_party(who.user.id) => {
                Err(self.refuse_own(who, origin).await)
            }
            Some(payment) => Ok(self.as_they_stand(vec![payment.transaction]).await?.pop()),
        }
    }

    /// The later steps of a payment that [`Teller::find_payment`] gave, oldest first, up to a bound.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn steps_of(&self, payment: &PaymentNow) -> Result<Vec<Arc<Transaction>>, TellerError> {
        let steps = self.store.payment_steps(payment.first.id.into(), MOST_STEPS).await?;
        Ok(steps.into_iter().map(|movement| movement.transaction).collect())
    }

    /// Security events that the query describes, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn find_events(&self, query: EventQuery) -> Result<Page<SecurityEvent>, TellerError> {
        Ok(self.store.find_events(query).await?)
    }

    /// Where the journal ends.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn chain_head(&self) -> Result<Head, TellerError> {
        Ok(self.store.head(None).await?.unwrap_or_default())
    }

    /// How the ledger is doing: users and sessions now, payments of the last day.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn statistics(&self) -> Result<Statistics, TellerError> {
        let now = self.clock.now();
        Ok(self.store.statistics(now, now.plus_millis(STATISTICS_MS.saturating_neg())).await?)
    }

    /// Writes that an operator asked for what they are a party to.
    async fn refuse_own(&self, who: &Identity, origin: Origin) -> TellerError {
        let event = EventDraft::new(EventKind::AuthzFail, Some(who.user.id))
            .with("permission", Permission::ReadUsers.name());
        match self.note(event, origin).await {
            Ok(()) => Refusal::OwnAffair.into(),
            Err(error) => error,
        }
    }
}
