//! `farthing admin`: user administration from the host.
//!
//! A command that writes is carried out by whoever holds the data folder: this process if nobody does, else the
//! server that does, through its control socket. Both run [`carry_out`], so there is one way to do it.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{self, ControlCommand, ControlError, ControlRequest, ControlResponse, SecretText};
use super::lock::LockError;
use super::open::{self, Teller};
use super::terminal::{Failure, print, tell};
use super::{CreateArgs, ListArgs, SetRoleArgs, UserArgs};
use crate::clock::{Clock, RandomError};
use crate::config::{DatabaseUrl, Loaded};
use crate::ledger::{Authority, Email, Refusal, Role, User};
use crate::teller::TellerError;

/// Letters and digits that nobody mistakes for one another: no `i`, `l`, `o`, `0`, `1`.
const PASSWORD_ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Five groups of five: 25 letters of 31, 123 bits.
const PASSWORD_GROUPS: usize = 5;
const PASSWORD_GROUP_LETTERS: usize = 5;
/// More than any password that is allowed, in bytes.
const LONGEST_PASSWORD_BYTES: u64 = 4096;
/// How long to wait for a server that has the folder but does not answer yet.
const SERVER_START: Duration = Duration::from_secs(3);

/// `admin create`.
pub fn create(args: &CreateArgs) -> Result<(), Failure> {
    let loaded = args.ledger.load(&[])?;
    let email = Email::parse(&args.email).map_err(|error| Failure::Usage(format!("--email {error}")))?;
    let given = if args.password_stdin { Some(read_password(std::io::stdin().lock())?) } else { None };
    let password = match &given {
        Some(password) => password.clone(),
        None => make_password(&Clock::system()).map_err(|error| Failure::Refused(error.to_string()))?,
    };
    let command = ControlCommand::CreateUser {
        email: email.as_str().to_owned(),
        name: args.name.clone(),
        role: args.role.name().to_owned(),
        password: password.clone(),
    };
    match send(&loaded, ControlRequest { command })? {
        ControlResponse::User { id, email, role } => {
            print(&format!("id        {id}\nemail     {email}\nrole      {role}"))?;
            if given.is_none() {
                print(&format!("password  {}", password.0))?;
                tell("This is the only time that the password is shown.");
            }
            Ok(())
        }
        other => Err(no(other)),
    }
}

/// `admin set-role`.
pub fn set_role(args: &SetRoleArgs) -> Result<(), Failure> {
    let role = Some(args.role.name().to_owned());
    change(&args.user, |email| ControlCommand::ChangeUser { email, role, frozen: None })
}

/// `admin freeze`.
pub fn freeze(args: &UserArgs) -> Result<(), Failure> {
    change(args, |email| ControlCommand::ChangeUser { email, role: None, frozen: Some(true) })
}

/// `admin unfreeze`.
pub fn unfreeze(args: &UserArgs) -> Result<(), Failure> {
    change(args, |email| ControlCommand::ChangeUser { email, role: None, frozen: Some(false) })
}

/// `admin reset-totp`.
pub fn reset_totp(args: &UserArgs) -> Result<(), Failure> {
    change(args, |email| ControlCommand::ResetTotp { email })
}

/// `admin reset-password`.
pub fn reset_password(args: &UserArgs) -> Result<(), Failure> {
    match ask(args, |email| ControlCommand::ResetPassword { email })? {
        ControlResponse::Link { token } => {
            print(&format!("token  {}", token.0))?;
            tell("It counts once, for 30 minutes: POST /password/reset with it and the new password.");
            Ok(())
        }
        other => Err(no(other)),
    }
}

fn change(args: &UserArgs, command: impl FnOnce(String) -> ControlCommand) -> Result<(), Failure> {
    match ask(args, command)? {
        ControlResponse::User { id, email, role } => {
            print(&format!("id        {id}\nemail     {email}\nrole      {role}"))
        }
        other => Err(no(other)),
    }
}

fn ask(args: &UserArgs, command: impl FnOnce(String) -> ControlCommand) -> Result<ControlResponse, Failure> {
    let email = Email::parse(&args.email).map_err(|error| Failure::Usage(format!("--email {error}")))?;
    let loaded = args.ledger.load(&[])?;
    send(&loaded, ControlRequest { command: command(email.as_str().to_owned()) })
}

/// What came of a command that did not come to what it should.
fn no(response: ControlResponse) -> Failure {
    match response {
        ControlResponse::Refused { message } => Failure::Refused(message),
        ControlResponse::Failed { message } => Failure::Database(message),
        ControlResponse::User { .. } | ControlResponse::Link { .. } => {
            Failure::Database("the server answered something else than what was asked".to_owned())
        }
    }
}

/// `admin list`.
pub fn list(args: &ListArgs) -> Result<(), Failure> {
    let loaded = args.ledger.load(&[])?;
    let location = open::location(&loaded.settings);
    let users = open::run_once(crate::store::read_users(&location))?
        .map_err(|error| Failure::Database(error.to_string()))?;
    print(if args.json { json(&users) } else { table(&users) }.trim_end())
}

/// Does what was asked, in the process that holds the ledger.
pub async fn carry_out(teller: &Teller, request: ControlRequest) -> ControlResponse {
    match request.command {
        ControlCommand::CreateUser { email, name, role, password } => {
            let (Ok(email), Some(role)) = (Email::parse(&email), Role::from_name(&role)) else {
                return ControlResponse::Refused { message: "no such role, or no email address".to_owned() };
            };
            let name = name.filter(|name| !name.is_empty());
            if name.as_deref().is_some_and(|name| !User::allows_name(name)) {
                let message = format!(
                    "the name must have at most {} characters, without control characters",
                    User::MAX_NAME
                );
                return ControlResponse::Refused { message };
            }
            open::create_user(teller, email, name, role, password).await
        }
        ControlCommand::ChangeUser { email, role, frozen } => {
            let parsed = role.as_deref().map(Role::from_name);
            if parsed == Some(None) {
                return ControlResponse::Refused { message: "no such role".to_owned() };
            }
            told(change_user(teller, &email, parsed.flatten(), frozen).await)
        }
        ControlCommand::ResetTotp { email } => told(reset_factor(teller, &email).await),
        ControlCommand::ResetPassword { email } => match make_reset_link(teller, &email).await {
            Ok(token) => ControlResponse::Link { token },
            Err(error) => refused(&error),
        },
    }
}

async fn change_user(
    teller: &Teller,
    email: &str,
    role: Option<Role>,
    frozen: Option<bool>,
) -> Result<Arc<User>, TellerError> {
    let user = teller.find_user_by_email(&email.to_lowercase()).await?;
    teller.change_user(Authority::Host, teller.host_origin()?, user.id, role, frozen).await
}

async fn reset_factor(teller: &Teller, email: &str) -> Result<Arc<User>, TellerError> {
    let user = teller.find_user_by_email(&email.to_lowercase()).await?;
    teller.reset_factor(Authority::Host, teller.host_origin()?, user.id).await
}

async fn make_reset_link(teller: &Teller, email: &str) -> Result<SecretText, TellerError> {
    let user = teller.find_user_by_email(&email.to_lowercase()).await?;
    let token = teller.make_reset_link(Authority::Host, teller.host_origin()?, user.id).await?;
    Ok(SecretText(token.reveal().to_owned()))
}

fn told(result: Result<Arc<User>, TellerError>) -> ControlResponse {
    match result {
        Ok(user) => ControlResponse::User {
            id: user.id.to_string(),
            email: user.email.to_string(),
            role: user.role.to_string(),
        },
        Err(error) => refused(&error),
    }
}

fn refused(error: &TellerError) -> ControlResponse {
    match error {
        TellerError::Refused { refusal: Refusal::UserNotFound, .. } => {
            ControlResponse::Refused { message: "nobody has this email".to_owned() }
        }
        error => ControlResponse::Failed { message: error.to_string() },
    }
}

/// Has the request carried out by whoever holds the data folder.
fn send(loaded: &Loaded, request: ControlRequest) -> Result<ControlResponse, Failure> {
    let folder = &loaded.settings.server.data;
    let give_up = Instant::now().checked_add(SERVER_START);
    loop {
        let held = match open::lock(&loaded.settings) {
            Ok(lock) => {
                let ledger = open::ledger(loaded, lock)?;
                if ledger.is_new() {
                    let place = loaded.settings.database.url.as_ref();
                    let place = place.map_or_else(|| folder.display().to_string(), DatabaseUrl::masked);
                    tell(&format!("made a new ledger in {place}, in {} mode", ledger.mode().name()));
                }
                let response = ledger.run(carry_out(ledger.teller(), request));
                ledger.close();
                return Ok(response);
            }
            Err(held @ LockError::Held { .. }) => held,
            Err(error) => return Err(error.into()),
        };
        match control::ask(folder, &request) {
            Ok(response) => return Ok(response),
            // Nobody took the request, so asking again cannot do it twice: the server is starting, or has just ended.
            Err(ControlError::NobodyListens(_)) if give_up.is_some_and(|end| Instant::now() < end) => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(Failure::Database(format!("{held}, and {error}"))),
        }
    }
}

/// A password of 25 letters and digits in groups of five.
fn make_password(clock: &Clock) -> Result<SecretText, RandomError> {
    let letters = PASSWORD_GROUPS.saturating_mul(PASSWORD_GROUP_LETTERS);
    let mut password = String::new();
    let mut count = 0_usize;
    while count < letters {
        // Bytes from 248 on would make the first letters of the alphabet likelier than the others.
        for byte in
            clock.random::<64>()?.into_iter().filter(|byte| *byte < 248).take(letters.saturating_sub(count))
        {
            if count > 0 && count.is_multiple_of(PASSWORD_GROUP_LETTERS) {
                password.push('-');
            }
            let letter = PASSWORD_ALPHABET.get(usize::from(byte % 31)).ok_or(RandomError)?;
            password.push(char::from(*letter));
            count = count.saturating_add(1);
        }
    }
    Ok(SecretText(password))
}

/// The first line, without its end.
fn read_password(input: impl Read) -> Result<SecretText, Failure> {
    let mut text = String::new();
    input
        .take(LONGEST_PASSWORD_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Usage(format!("cannot read the password from standard input: {error}")))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(SecretText(line.to_owned())),
        _ => Err(Failure::Usage("--password-stdin: standard input holds no password".to_owned())),
    }
}

fn table(users: &[Arc<User>]) -> String {
    let rows: Vec<[String; 5]> = users.iter().map(|user| row(user)).collect();
    let header = ["id", "email", "role", "frozen", "created"].map(str::to_owned);
    let lines: Vec<&[String; 5]> = std::iter::once(&header).chain(&rows).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|column| lines.iter().map(|line| width(&line[column])).max().unwrap_or_default());
    let mut text = String::new();
    for line in lines {
        for (cell, column) in line.iter().zip(widths) {
            let padding = column.saturating_sub(width(cell)).saturating_add(2);
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', padding));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

fn row(user: &User) -> [String; 5] {
    [
        user.id.to_string(),
        user.email.to_string(),
        user.role.to_string(),
        if user.frozen { "yes" } else { "no" }.to_owned(),
        user.created_at.to_string(),
    ]
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

fn json(users: &[Arc<User>]) -> String {
    let users: Vec<serde_json::Value> = users
        .iter()
        .map(|user| {
            serde_json::json!({
                "id": user.id,
                "email": user.email.as_str(),
                "name": user.name,
                "role": user.role,
                "frozen": user.frozen,
                "created_at": user.created_at.to_string(),
            })
        })
        .collect();
    serde_json::Value::Array(users).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{PasswordHash, Timestamp, UserId};

    #[test]
    fn made_up_passwords_are_long_unambiguous_and_new_each_time() {
        let passwords: Vec<String> = (0..100).map(|_| make_password(&Clock::system()).unwrap().0).collect();
        let mut seen = std::collections::BTreeSet::new();
        for password in &passwords {
            assert!(seen.insert(password), "{password} came twice");
            let groups: Vec<&str> = password.split('-').collect();
            assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [5; 5], "{password}");
            assert!(groups.concat().bytes().all(|byte| PASSWORD_ALPHABET.contains(&byte)), "{password}");
        }
        let letters: std::collections::BTreeSet<char> = passwords.concat().chars().collect();
        assert_eq!(letters.len(), 32, "every letter of the alphabet and the dash come up");
    }

    #[test]
    fn a_password_is_the_first_line_of_what_was_piped_in() {
        for (input, password) in [("secret", "secret"), (" a b \r\nnext", " a b "), ("ü\n", "ü")] {
            assert_eq!(read_password(input.as_bytes()).unwrap().0, password);
        }
        for input in ["", "\n", "\nsecret"] {
            assert_eq!(read_password(input.as_bytes()).unwrap_err().code(), 2, "{input:?}");
        }
        assert_eq!(read_password(&b"\xff\xfe"[..]).unwrap_err().code(), 2);
    }

    fn users() -> Vec<Arc<User>> {
        let user = |id, email: &str, role, frozen| {
            Arc::new(User {
                id,
                email: Email::parse(email).unwrap(),
                name: None,
                password: PasswordHash::from_phc("$argon2id$canary".to_owned()),
                role,
                frozen,
                created_at: Timestamp::from_millis(1_700_000_000_123),
                password_changed_at: Timestamp::from_millis(1_700_000_000_123),
                second_factor: None,
                new_address_at: None,
            })
        };
        vec![
            user(UserId::HOUSE, "ann@example.com", Role::Admin, false),
            user(UserId::CASH, "b@é.de", Role::Customer, true),
        ]
    }

    #[test]
    fn users_stand_in_columns() {
        assert_eq!(
            table(&users()),
            "\
id                              email            role      frozen  created
usr_00000000000000000000000001  ann@example.com  admin     no      2023-11-14T22:13:20.123Z
usr_00000000000000000000000003  b@é.de           customer  yes     2023-11-14T22:13:20.123Z
"
        );
    }

    #[test]
    fn users_as_json_carry_no_secret() {
        let text = json(&users());
        assert!(!text.contains("canary"));
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed[1]["email"], "b@é.de");
        assert_eq!(parsed[1]["frozen"], true);
        assert_eq!(parsed[0]["role"], "admin");
    }
}
