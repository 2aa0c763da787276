//! Accounts: register, look at oneself, change name and password.

use hyper::StatusCode;

use super::call::Call;
use super::problem::Problem;
use super::reply;
use super::spec::Answer;
use super::views::UserView;
use crate::auth::password::Password;
use crate::teller::{NewUser, Registration};

pub(super) async fn register(call: Call) -> Answer {
    let (admitted, new) = read_new_user(&call).await?;
    let user = call.teller().register(admitted, new).await?;
    Ok(reply::json(StatusCode::CREATED, &UserView::new(&user)))
}

/// Who wants an account, if the throttle lets them ask and nothing is wrong with what they say.
///
/// # Errors
/// 429; 422 with every wrong field.
pub(crate) async fn read_new_user(call: &Call) -> Result<(Registration, NewUser), Problem> {
    let mut form = call.form()?;
    let admitted = call.teller().begin_registration(&call.origin)?;
    let email = form.email("email");
    let password = form.secret("password").map(|text| Password::new(&text));
    let name = form.text("name");
    if let (Some(password), true) = (&password, form.has_errors()) {
        // Every failing field is named: the password's own faults too, though the rest failed already.
        let faults = call.teller().registration_faults(&admitted, password.clone(), email.clone()).await?;
        for fault in faults {
            form.refuse("password", fault.code(), &fault.message());
        }
    }
    let parsed = email.zip(password).map(|(email, password)| NewUser { email, password, name });
    Ok((admitted, form.finish(parsed)?))
}

pub(super) async fn me(call: Call) -> Answer {
    Ok(reply::json(StatusCode::OK, &UserView::new(&call.who()?.user)))
}

pub(super) async fn rename(call: Call) -> Answer {
    let name = read_name(&call)?;
    let user = call.teller().rename(call.who()?, call.origin.clone(), name).await?;
    Ok(reply::json(StatusCode::OK, &UserView::new(&user)))
}

/// The name that somebody wants to have.
///
/// # Errors
/// 422.
pub(crate) fn read_name(call: &Call) -> Result<Option<String>, Problem> {
    let mut form = call.form()?;
    let name = form.text("name");
    form.finish(Some(name))
}

pub(super) async fn change_password(call: Call) -> Answer {
    let (current, new, otp) = read_new_password(&call)?;
    let origin = call.origin.clone();
    call.teller().change_password(call.who()?, origin, current, new, otp.as_deref()).await?;
    Ok(reply::no_content())
}

/// The password that somebody has, the one that they want, and what they show for a second factor.
///
/// # Errors
/// 422.
pub(crate) fn read_new_password(call: &Call) -> Result<(Password, Password, Option<String>), Problem> {
    let mut form = call.form()?;
    let current = form.secret("current_password").map(|text| Password::new(&text));
    let new = form.secret("new_password").map(|text| Password::new(&text));
    let otp = form.text("otp");
    form.finish(current.zip(new).map(|(current, new)| (current, new, otp)))
}
