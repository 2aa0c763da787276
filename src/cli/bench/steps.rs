//! Two requests in turn on each connection: one that makes something, and one that takes it a step further.
//!
//! Both are durable commands, and both count. The second has the id that the first was answered with, so these requests
//! are written anew each time, which costs the generator more than a payment does.

use serde::Deserialize;

use super::BenchError;
use super::request::{Random, check_users, key};

/// What the second request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The payee captures what the payer let be held.
    Capture,
    /// The payee gives back what was paid.
    Refund,
    /// Somebody pays what another asked for.
    Link,
}

/// Such pairs between users.
#[derive(Debug, Clone)]
pub struct Steps {
    step: Step,
    authority: String,
    tokens: Vec<String>,
    user_ids: Vec<String>,
}

/// What a connection was answered last, and who goes on with it.
#[derive(Debug, Default)]
pub struct Turn {
    second: usize,
    made: Option<String>,
}

#[derive(Deserialize)]
struct Made {
    id: String,
}

impl Steps {
    /// Among the users whose tokens and ids these are, in one order.
    ///
    /// # Errors
    /// If there are too few users.
    pub fn between_users(
        step: Step,
        authority: &str,
        tokens: Vec<String>,
        user_ids: Vec<String>,
    ) -> Result<Self, BenchError> {
        check_users(&tokens, &user_ids)?;
        Ok(Self { step, authority: authority.to_owned(), tokens, user_ids })
    }

    /// Writes the next request over the last.
    pub fn write(&self, request: &mut Vec<u8>, turn: &mut Turn, random: &mut Random) {
        let (user, path, body) = match turn.made.take() {
            Some(id) => (turn.second, self.second(&id), "{}".to_owned()),
            None => self.first(turn, random),
        };
        let token = self.tokens.get(user).map(String::as_str).unwrap_or_default();
        let (authority, key, length) = (&self.authority, key(random), body.len());
        request.clear();
        request.extend_from_slice(
            format!(
                "POST {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {token}\r\ncontent-type: \
                 application/json\r\nidempotency-key: {key}\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
    }

    fn first(&self, turn: &mut Turn, random: &mut Random) -> (usize, String, String) {
        let one = random.below(self.tokens.len());
        let other = random.other(one, self.tokens.len());
        turn.second = other;
        let payee = self.user_ids.get(other).map(String::as_str).unwrap_or_default();
        let (path, more) = match self.step {
            Step::Capture => ("/payment", format!(",\"to\":\"{payee}\",\"capture\":\"manual\"")),
            Step::Refund => ("/payment", format!(",\"to\":\"{payee}\"")),
            Step::Link => ("/requests", String::new()),
        };
        (one, path.to_owned(), format!("{{\"amount\":\"0.01\",\"currency\":\"USD\"{more}}}"))
    }

    fn second(&self, id: &str) -> String {
        match self.step {
            Step::Capture => format!("/payment/{id}/capture"),
            Step::Refund => format!("/payment/{id}/refund"),
            Step::Link => format!("/requests/{id}/pay"),
        }
    }

    /// Takes in the answer to the request that was written last, which made something if it was the first of two.
    pub fn answered(&self, turn: &mut Turn, was_first: bool, body: &[u8]) {
        turn.made = serde_json::from_slice::<Made>(body).ok().filter(|_| was_first).map(|made| made.id);
    }
}

impl Turn {
    /// Whether the next request is the first of two.
    pub fn is_first(&self) -> bool {
        self.made.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_follows_what_was_made_by_the_other_side() {
        for (step, first, second) in [
            (Step::Capture, "POST /payment ", "POST /payment/x_1/capture "),
            (Step::Refund, "POST /payment ", "POST /payment/x_1/refund "),
            (Step::Link, "POST /requests ", "POST /requests/x_1/pay "),
        ] {
            let users = |name: &str| (0..2).map(|user| format!("{name}_{user}")).collect::<Vec<_>>();
            let steps = Steps::between_users(step, "localhost:1", users("fat"), users("usr")).unwrap();
            let (mut turn, mut random, mut request) = (Turn::default(), Random::new([7; 32]), Vec::new());
            for _ in 0..10 {
                assert!(turn.is_first());
                steps.write(&mut request, &mut turn, &mut random);
                let text = String::from_utf8(request.clone()).unwrap();
                assert!(text.starts_with(first), "{text}");
                let by_first = text.contains("Bearer fat_0");
                steps.answered(&mut turn, true, b"{\"id\":\"x_1\",\"status\":\"authorized\"}");
                assert!(!turn.is_first());
                steps.write(&mut request, &mut turn, &mut random);
                let text = String::from_utf8(request.clone()).unwrap();
                assert!(text.starts_with(second), "{text}");
                assert_eq!(text.contains("Bearer fat_1"), by_first, "the other of two users");
                steps.answered(&mut turn, false, b"{\"id\":\"x_2\"}");
            }
        }
        assert!(Steps::between_users(Step::Link, "a", vec!["t".into()], vec!["u".into()]).is_err());
    }
}
