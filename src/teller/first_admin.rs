//! The first administrator: offered to whoever reads what the server prints when it starts on a ledger without one, by a
//! link that works once and for half an hour.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::ledger::{Origin, Refusal, Role, Timestamp, User};
use crate::store::PageRequest;

use super::{NewUser, Teller, TellerError};

/// How long the link works, in milliseconds.
const TTL_MS: i64 = 30 * 60 * 1_000;

/// The link that was offered, if one was: its secret's digest, and until when it works.
#[derive(Debug, Default)]
pub(super) struct FirstAdmin(Mutex<Option<Offer>>);

#[derive(Debug, Clone, Copy)]
struct Offer {
    digest: [u8; 32],
    until: Timestamp,
}

impl FirstAdmin {
    fn replace(&self, offer: Option<Offer>) -> Option<Offer> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), offer)
    }

    /// The offer, if this is its secret and it still works.
    fn find(&self, secret: &str, now: Timestamp) -> Option<Offer> {
        let offer = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let digest: [u8; 32] = Sha256::digest(secret).into();
        offer.filter(|offer| offer.digest == digest && now < offer.until)
    }
}

impl Teller {
    /// Offers the first administrator's account if there is none yet: the link's secret.
    ///
    /// # Errors
    /// Faults of the store; no randomness.
    pub async fn offer_first_admin(&self) -> Result<Option<String>, TellerError> {
        if self.has_admin().await? {
            return Ok(None);
        }
        let secret = URL_SAFE_NO_PAD.encode(self.clock.random::<32>()?);
        let until = self.clock.now().plus_millis(TTL_MS);
        self.first_admin.replace(Some(Offer { digest: Sha256::digest(&secret).into(), until }));
        Ok(Some(secret))
    }

    /// Whether the link with this secret still works.
    pub fn offers_first_admin(&self, secret: &str) -> bool {
        self.first_admin.find(secret, self.clock.now()).is_some()
    }

    /// Makes the first administrator. The link is used up by the one that succeeds.
    ///
    /// # Errors
    /// [`Refusal::SessionNotFound`] if the link does not work or there is an administrator by now;
    /// [`TellerError::PasswordRefused`], [`Refusal::EmailTaken`]; faults.
    pub async fn create_first_admin(
        &self,
        origin: Origin,
        secret: &str,
        new: NewUser,
    ) -> Result<std::sync::Arc<User>, TellerError> {
        let offer = self.first_admin.find(secret, self.clock.now()).ok_or(Refusal::SessionNotFound)?;
        // Whoever takes it first has it; what fails gives it back.
        self.first_admin.replace(None).ok_or(Refusal::SessionNotFound)?;
        if self.has_admin().await? {
            return Err(Refusal::SessionNotFound.into());
        }
        let created = self.create(origin, new, Role::Admin).await;
        if created.is_err() {
            self.first_admin.replace(Some(offer));
        }
        created
    }

    /// Whether there is an administrator, or more accounts than a ledger has that nobody runs yet.
    async fn has_admin(&self) -> Result<bool, TellerError> {
        let first = self.store.users(PageRequest { limit: 100, after: None }).await?;
        Ok(first.next.is_some() || first.rows.iter().any(|user| user.role == Role::Admin))
    }
}
