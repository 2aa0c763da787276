//! The requests of the load: ready-made bytes in which only the parts that differ are written over.
//!
//! A request costs some copies of a few bytes and no allocation. Each payment has a random payer, a random other user
//! as payee (or the house), and an `Idempotency-Key` of its own, a random `UUIDv4` as clients commonly send. The keys are
//! what makes a ledger slow that looks them up in a random-access index, so they must not be in any order.

use std::ops::Range;

use super::BenchError;
use super::steps::{Steps, Turn};

/// A fast generator of random numbers (xoshiro256++ by Blackman and Vigna), not for secrets.
///
/// It starts from the operating system's randomness, so that two runs never send the same keys.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// From 32 random bytes, not all of them zero.
    pub fn new(seed: [u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
        Self { state }
    }

    /// A generator for another connection: its numbers have nothing to do with this one's.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self { state: [self.number(), self.number(), self.number(), self.number()] }
    }

    /// 64 random bits.
    pub fn number(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A random number below `bound` that is not this one.
    pub fn other(&mut self, than: usize, bound: usize) -> usize {
        let other = self.below(bound.saturating_sub(1));
        if other >= than { other.saturating_add(1) } else { other }
    }

    /// A random number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u128::try_from(bound).unwrap_or_default();
        usize::try_from((u128::from(self.number()) * bound) >> 64).unwrap_or_default()
    }
}

/// Whether these are tokens and ids of users who can pay each other.
pub fn check_users(tokens: &[String], user_ids: &[String]) -> Result<(), BenchError> {
    if user_ids.len() < 2 || user_ids.len() != tokens.len() {
        return Err(BenchError::Usage("payments between users need at least two users".into()));
    }
    Ok(())
}

/// Payments between users.
#[derive(Debug, Clone)]
pub struct Payments {
    /// The request with the first user's token and id in it.
    template: Vec<u8>,
    token_at: Range<usize>,
    key_at: Range<usize>,
    /// Where the payee stands; nothing where the house is paid.
    payee_at: Option<Range<usize>>,
    tokens: Vec<String>,
    user_ids: Vec<String>,
}

impl Payments {
    /// Payments of 0.01 USD among the users whose tokens and ids these are, in one order.
    ///
    /// # Errors
    /// If there are too few users, or tokens or ids of different lengths.
    pub fn between_users(
        authority: &str,
        tokens: Vec<String>,
        user_ids: Vec<String>,
    ) -> Result<Self, BenchError> {
        check_users(&tokens, &user_ids)?;
        Self::new(authority, tokens, user_ids)
    }

    /// Payments of 0.01 USD by the users whose tokens these are, all to the house.
    ///
    /// # Errors
    /// If there are no users, or tokens of different lengths.
    pub fn to_the_house(authority: &str, tokens: Vec<String>) -> Result<Self, BenchError> {
        Self::new(authority, tokens, Vec::new())
    }

    fn new(authority: &str, tokens: Vec<String>, user_ids: Vec<String>) -> Result<Self, BenchError> {
        let token =
            tokens.first().ok_or_else(|| BenchError::Usage("a load needs at least one user".into()))?;
        let same = |texts: &[String]| texts.windows(2).all(|pair| pair[0].len() == pair[1].len());
        if !same(&tokens) || !same(&user_ids) {
            return Err(BenchError::Server("the server's tokens or ids differ in length".into()));
        }
        let payee = user_ids.first();
        let body = payee.map_or_else(
            || r#"{"amount":"0.01","currency":"USD"}"#.to_owned(),
            |payee| format!(r#"{{"amount":"0.01","currency":"USD","to":"{payee}"}}"#),
        );
        let mut template =
            format!("POST /payment HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer ").into_bytes();
        let token_at = append(&mut template, token.as_bytes());
        template.extend_from_slice(b"\r\ncontent-type: application/json\r\nidempotency-key: ");
        let key_at = append(&mut template, &[b'0'; KEY_LENGTH]);
        template.extend_from_slice(format!("\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes());
        let body_at = append(&mut template, body.as_bytes());
        let payee_at = payee.map(|payee| {
            let end = body_at.end.saturating_sub(r#""}"#.len());
            end.saturating_sub(payee.len())..end
        });
        Ok(Self { template, token_at, key_at, payee_at, tokens, user_ids })
    }

    /// Writes the next payment over `request`, which is empty or an earlier one.
    fn write(&self, request: &mut Vec<u8>, random: &mut Random) {
        if request.is_empty() {
            request.extend_from_slice(&self.template);
        }
        let from = random.below(self.tokens.len());
        if let Some(token) = self.tokens.get(from) {
            overwrite(request, &self.token_at, token.as_bytes());
        }
        overwrite(request, &self.key_at, &uuid_v4(random));
        if let Some(payee_at) = &self.payee_at
            && let Some(id) = self.user_ids.get(random.other(from, self.user_ids.len()))
        {
            overwrite(request, payee_at, id.as_bytes());
        }
    }
}

/// Random pages of one user's history.
#[derive(Debug, Clone)]
pub struct Pages {
    requests: Vec<Vec<u8>>,
}

impl Pages {
    /// Pages of 20 that start behind these cursors.
    ///
    /// # Errors
    /// If there is no cursor: a history of one page measures nothing.
    pub fn behind(authority: &str, token: &str, cursors: &[String]) -> Result<Self, BenchError> {
        if cursors.is_empty() {
            return Err(BenchError::Server("the history has too few rows to read random pages of it".into()));
        }
        let request =
            |cursor: &String| get(authority, &format!("/transactions?limit=20&after={cursor}"), token);
        Ok(Self { requests: cursors.iter().map(request).collect() })
    }
}

/// What each connection asks, again and again.
#[derive(Debug, Clone)]
pub enum Traffic {
    /// `POST /payment`.
    Payments(Payments),
    /// Two requests in turn.
    Steps(Steps),
    /// `GET /transactions`.
    Pages(Pages),
}

impl Traffic {
    /// The next request; `buffer` is empty or the last one of the same traffic, and `turn` the connection's own.
    pub fn next<'a>(&'a self, buffer: &'a mut Vec<u8>, turn: &mut Turn, random: &mut Random) -> &'a [u8] {
        match self {
            Self::Steps(steps) => {
                steps.write(buffer, turn, random);
                buffer
            }
            Self::Payments(payments) => {
                payments.write(buffer, random);
                buffer
            }
            Self::Pages(pages) => {
                pages.requests.get(random.below(pages.requests.len())).map(Vec::as_slice).unwrap_or_default()
            }
        }
    }

    /// Takes in what the last request was answered with; it was the first of two if `was_first`.
    pub fn answered(&self, turn: &mut Turn, was_first: bool, body: &[u8]) {
        if let Self::Steps(steps) = self {
            steps.answered(turn, was_first, body);
        }
    }
}

/// A GET by the owner of `token`.
pub fn get(authority: &str, path: &str, token: &str) -> Vec<u8> {
    without_body("GET", authority, path, token)
}

/// A DELETE by the owner of `token`.
pub fn delete(authority: &str, path: &str, token: &str) -> Vec<u8> {
    without_body("DELETE", authority, path, token)
}

fn without_body(method: &str, authority: &str, path: &str, token: &str) -> Vec<u8> {
    format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {token}\r\n\r\n")
        .into_bytes()
}

/// A POST of JSON, by the owner of a token if there is one.
pub fn post(authority: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let by = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\n{by}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn append(template: &mut Vec<u8>, part: &[u8]) -> Range<usize> {
    let start = template.len();
    template.extend_from_slice(part);
    start..template.len()
}

fn overwrite(request: &mut [u8], at: &Range<usize>, part: &[u8]) {
    if let Some(place) = request.get_mut(at.clone()).filter(|place| place.len() == part.len()) {
        place.copy_from_slice(part);
    }
}

const KEY_LENGTH: usize = 36;

/// A random key as text.
pub fn key(random: &mut Random) -> String {
    String::from_utf8_lossy(&uuid_v4(random)).into_owned()
}

/// A random UUID of version 4 (RFC 9562) as text.
fn uuid_v4(random: &mut Random) -> [u8; KEY_LENGTH] {
    let bits = (u128::from(random.number()) << 64) | u128::from(random.number());
    let mut text = [0; KEY_LENGTH];
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).as_uuid().hyphenated().encode_lower(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const USERS: usize = 5;

    fn users() -> (Vec<String>, Vec<String>) {
        (0..USERS).map(|user| (format!("fat_{user}"), format!("usr_{user:026}"))).unzip()
    }

    fn parse(request: &[u8]) -> (HashMap<String, String>, serde_json::Value) {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let headers: HashMap<_, _> = head
            .lines()
            .skip(1)
            .map(|line| {
                line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()
            })
            .collect();
        assert_eq!(headers["content-length"], body.len().to_string());
        (headers, serde_json::from_str(body).unwrap())
    }

    #[test]
    fn each_payment_has_a_key_of_its_own_and_nobody_pays_themself() {
        let (tokens, ids) = users();
        let traffic = Traffic::Payments(Payments::between_users("localhost:1", tokens, ids).unwrap());
        let (mut random, mut buffer) = (Random::new([7; 32]), Vec::new());
        let (mut keys, mut pairs) = (HashSet::new(), HashSet::new());
        for _ in 0..2_000 {
            let (headers, body) = parse(traffic.next(&mut buffer, &mut Turn::default(), &mut random));
            let from =
                headers["authorization"].strip_prefix("Bearer fat_").unwrap().parse::<usize>().unwrap();
            let to = body["to"].as_str().unwrap().strip_prefix("usr_").unwrap().parse::<usize>().unwrap();
            assert_ne!(from, to);
            assert_eq!((body["amount"].as_str(), body["currency"].as_str()), (Some("0.01"), Some("USD")));
            let key = uuid::Uuid::parse_str(&headers["idempotency-key"]).unwrap();
            assert_eq!(key.get_version_num(), 4);
            assert!(keys.insert(key));
            pairs.insert((from, to));
        }
        assert_eq!(pairs.len(), USERS * (USERS - 1), "every pair of users pays");
    }

    #[test]
    fn payments_to_the_house_name_nobody() {
        let traffic = Traffic::Payments(Payments::to_the_house("localhost:1", users().0).unwrap());
        let (_, body) = parse(traffic.next(&mut Vec::new(), &mut Turn::default(), &mut Random::new([7; 32])));
        assert_eq!(body, serde_json::json!({"amount": "0.01", "currency": "USD"}));
    }

    #[test]
    fn forks_and_other_seeds_send_other_keys() {
        let mut random = Random::new([7; 32]);
        let (mut first, mut second) = (random.fork(), random.fork());
        let mut keys: HashSet<_> =
            (0..1_000).flat_map(|_| [uuid_v4(&mut first), uuid_v4(&mut second)]).collect();
        assert_eq!(keys.len(), 2_000);
        let mut other = Random::new([8; 32]).fork();
        assert!(keys.insert(uuid_v4(&mut other)));
    }

    /// The first numbers of the authors' reference implementation from the state 1, 2, 3, 4.
    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = Random { state: [1, 2, 3, 4] };
        let numbers = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        for number in numbers {
            assert_eq!(random.number(), number);
        }
    }

    #[test]
    fn texts_of_different_lengths_are_refused() {
        let (mut tokens, ids) = users();
        tokens[1].push('x');
        assert!(Payments::between_users("localhost:1", tokens, ids).is_err());
        assert!(Payments::between_users("localhost:1", vec!["t".into()], vec!["u".into()]).is_err());
        assert!(Payments::to_the_house("localhost:1", Vec::new()).is_err());
        assert!(Pages::behind("localhost:1", "t", &[]).is_err());
    }
}
