//! Making accounts and changing them; administration from the host.

use std::sync::Arc;

use crate::auth::password::{Password, PasswordFault};
use crate::auth::throttle::CallClass;
use crate::ledger::{
    Action, ChangePassword, Email, EventDraft, EventKind, Origin, Permission, Refusal, Register, Rename,
    Role, SecurityEvent, TransactionId, User, UserId, may_use,
};
use crate::store::{Page, PageRequest};

use super::sessions::Tried;
use super::{Identity, Teller, TellerError, expect_user};

/// Somebody who wants an account.
#[derive(Debug)]
pub struct NewUser {
    /// Their email.
    pub email: Email,
    /// Their password.
    pub password: Password,
    /// Their name.
    pub name: Option<String>,
}

/// A registration that the throttle let through. Without one no stranger's password is looked at, not even to say
/// what is wrong with it: that costs the passwords' pool its time.
#[derive(Debug)]
pub struct Registration {
    origin: Origin,
}

/// An operator to be made from the host.
#[derive(Debug)]
pub struct OperatorRequest {
    /// Who.
    pub user: NewUser,
    /// What they may do.
    pub role: Role,
}

impl Teller {
    /// Asks the throttle whether somebody may register now; counts as a registration, whatever comes of it.
    ///
    /// # Errors
    /// [`TellerError::Throttled`].
    pub fn begin_registration(&self, origin: &Origin) -> Result<Registration, TellerError> {
        self.admit_address(CallClass::Register, origin)?;
        Ok(Registration { origin: origin.clone() })
    }

    /// Everything that is wrong with a new customer's password, for an answer that names every wrong field.
    ///
    /// # Errors
    /// If the passwords' pool is full or failed.
    pub async fn registration_faults(
        &self,
        _admitted: &Registration,
        password: Password,
        email: Option<Email>,
    ) -> Result<Vec<PasswordFault>, TellerError> {
        self.password_faults(password, email, Role::Customer).await
    }

    /// Makes a customer's account.
    ///
    /// # Errors
    /// [`TellerError::PasswordRefused`], [`Refusal::EmailTaken`]; faults.
    pub async fn register(&self, admitted: Registration, new: NewUser) -> Result<Arc<User>, TellerError> {
        self.create(admitted.origin, new, Role::Customer).await
    }

    /// Makes an operator's account; for the command line on the host.
    ///
    /// # Errors
    /// [`TellerError::PasswordRefused`], [`Refusal::EmailTaken`]; faults.
    pub async fn create_operator(&self, request: OperatorRequest) -> Result<Arc<User>, TellerError> {
        let origin = self.host_origin()?;
        self.create(origin, request.user, request.role).await
    }

    /// Every user, in the order of their making; for the command line on the host.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn list_users(&self, page: PageRequest) -> Result<Page<Arc<User>>, TellerError> {
        Ok(self.store.users(page).await?)
    }

    /// Sets the caller's name.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn rename(
        &self,
        who: &Identity,
        origin: Origin,
        name: Option<String>,
    ) -> Result<Arc<User>, TellerError> {
        let (reply, _) = self.execute(origin, Action::Rename(Rename { caller: who.caller, name })).await?;
        expect_user(reply)
    }

    /// Sets the caller's password, and ends every other session of theirs.
    ///
    /// # Errors
    /// [`Refusal::InvalidCredentials`] if the current one is wrong, [`TellerError::PasswordRefused`]; faults.
    pub async fn change_password(
        &self,
        who: &Identity,
        origin: Origin,
        current: Password,
        new: Password,
        otp: Option<&str>,
    ) -> Result<(), TellerError> {
        let account = who.user.email.folded();
        let attempt = self.begin_password_attempt(account, true, &origin)?;
        let verified = who.user.password.clone();
        let check = self.hasher.verify(current.clone(), verified.clone()).await?;
        let tried = Tried { account, password: &current, matches: check.matches };
        self.settle_password_attempt(attempt, tried, Some(&who.user), &origin).await?;
        if !check.matches {
            return Err(Refusal::InvalidCredentials.into());
        }
        let new = self.checked_hash("new_password", new, &who.user.email, who.user.role).await?;
        let shown = self.look_at_otp(who, otp, &origin).await?;
        let change = ChangePassword { caller: who.caller, verified, shown, new };
        self.execute(origin, Action::ChangePassword(change)).await?;
        Ok(())
    }

    /// The security events that concern the caller, newest first.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn activity(
        &self,
        who: &Identity,
        page: PageRequest,
    ) -> Result<Page<SecurityEvent>, TellerError> {
        Ok(self.store.events(who.user.id, page).await?)
    }

    /// Whether the caller may use the permission now: for calls that only look, and before those that a decision looks
    /// at again.
    ///
    /// # Errors
    /// [`Refusal::PermissionDenied`] if the role or the key lacks it, [`Refusal::CredentialsTooWeak`] and
    /// [`Refusal::AccountFrozen`] for operators, all of which are written down; faults of the store.
    pub async fn authorise(
        &self,
        who: &Identity,
        origin: &Origin,
        permission: Permission,
        changes: bool,
    ) -> Result<(), TellerError> {
        let refused = may_use(&who.user, &who.kind, permission, changes, self.rules.mode);
        let Err(refusal) = refused else { return Ok(()) };
        let event = EventDraft::new(EventKind::AuthzFail, Some(who.user.id));
        self.note(event.with("permission", permission.name()), origin.clone()).await?;
        Err(refusal.into())
    }

    pub(super) async fn create(
        &self,
        origin: Origin,
        new: NewUser,
        role: Role,
    ) -> Result<Arc<User>, TellerError> {
        let NewUser { email, password, name } = new;
        let password = self.checked_hash("password", password, &email, role).await?;
        let user = UserId::new(self.clock.uuid()?);
        let grant = TransactionId::new(self.clock.uuid()?);
        let register = Register { user, grant, email, name, password, role };
        let (reply, _) = self.execute(origin, Action::Register(register)).await?;
        expect_user(reply)
    }
}
