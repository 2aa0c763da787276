//! Second factors: begun, confirmed, taken away.

use hyper::StatusCode;
use serde::Serialize;

use super::call::Call;
use super::qr;
use super::reply;
use super::spec::Answer;
use crate::auth::password::Password;
use crate::auth::totp::RecoveryCode;

/// A second factor before it is confirmed: the only answer that shows its seed.
#[derive(Serialize)]
struct OfferView {
    secret: String,
    otpauth_url: String,
    qr_svg: Option<String>,
}

pub(super) async fn begin(call: Call) -> Answer {
    call.form()?.finish(Some(()))?;
    let offer = call.teller().begin_factor(call.who()?, call.origin.clone()).await?;
    let otpauth_url = offer.otpauth_url();
    let view = OfferView { secret: offer.secret(), qr_svg: qr::svg(&otpauth_url), otpauth_url };
    Ok(reply::json(StatusCode::OK, &view))
}

/// Recovery codes: the only answer that shows them.
#[derive(Serialize)]
struct RecoveryView<'a> {
    recovery_codes: Vec<&'a str>,
}

pub(super) async fn confirm(call: Call) -> Answer {
    let mut form = call.form()?;
    let otp = form.text("otp");
    let otp = form.finish(otp)?;
    let codes = call.teller().confirm_factor(call.who()?, call.origin.clone(), &otp).await?;
    let view = RecoveryView { recovery_codes: codes.iter().map(RecoveryCode::reveal).collect() };
    Ok(reply::json(StatusCode::OK, &view))
}

pub(super) async fn remove(call: Call) -> Answer {
    let mut form = call.form()?;
    let password = form.secret("password").map(|text| Password::new(&text));
    let password = form.finish(password)?;
    call.teller().remove_factor(call.who()?, call.origin.clone(), password).await?;
    Ok(reply::no_content())
}
