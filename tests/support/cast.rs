//! Who tells stories, how they do it while something breaks, and whether all of them came out right.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::lists::rows;
use super::stories::{Person, Plot, Story};
use super::user::{GRANT_MINOR, major};
use super::{Client, Random, Request, Server, User, until};

/// No request may take longer, whatever breaks.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// After so long nothing is held any more.
const HOLD_SECONDS: i64 = 7 * 86_400 + 1;

/// Two operators.
#[derive(Debug, Clone)]
pub struct Staff {
    pub cashier: Arc<Person>,
    pub admin: Arc<Person>,
}

/// People with wallets, and those who work for the operator. All have keys, which outlive a moved clock.
#[derive(Debug)]
pub struct Cast {
    pub people: Vec<Arc<Person>>,
    pub staff: Staff,
}

impl Cast {
    /// Registers so many people.
    pub fn new(server: &Server, many: usize) -> Self {
        let person = |mut user: User, scopes: &[&str]| {
            let made = user.client.post("/api-keys", &json!({"name": "story", "scopes": scopes})).expect(201);
            Arc::new(Person { id: user.id, token: made.str("key") })
        };
        let people =
            (0..many).map(|number| person(server.user(&format!("teller{number}")), &["own_account"]));
        let people = people.collect();
        let cashier = person(server.operator("cashier"), &["move_cash"]);
        let admin = person(server.operator("admin"), &["move_cash", "administer"]);
        Self { people, staff: Staff { cashier, admin } }
    }

    /// A story of somebody and the next one.
    pub fn story(&self, name: String, plot: Plot, payer: usize) -> Story {
        let sides = [payer, payer + 1].map(|number| &self.people[number % self.people.len()]);
        Story::new(name, plot, sides, &self.staff)
    }

    /// Moves the sandbox's clock, so that whatever is held by now lapses.
    pub fn let_holds_lapse(&self, server: &Server) {
        let moved = Request::post("/sandbox/clock", &json!({"advance": HOLD_SECONDS}));
        server.client().call(&moved.bearer(&self.staff.admin.token)).expect(200);
    }

    /// Each of the people goes on with a story and begins others, on these nodes, until `meanwhile` is done: it gets the
    /// number of steps that were answered. What is not answered is sent again. The last story of each may not be over.
    pub fn tell_while(
        &self,
        nodes: &[SocketAddr],
        plots: &[Plot],
        told: &mut [Vec<Story>],
        random: &mut Random,
        meanwhile: impl FnOnce(&AtomicUsize),
    ) {
        let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for (number, begun) in told.iter_mut().enumerate() {
                let (stop, answered) = (&stop, &answered);
                let mut random = Random::new(random.next());
                scope.spawn(move || {
                    let mut clients: Vec<Client> = nodes.iter().map(|node| Client::new(*node)).collect();
                    while !stop.load(Ordering::Relaxed) {
                        if begun.last().is_none_or(Story::is_over) {
                            let plot = plots[random.below(plots.len())];
                            begun.push(self.story(format!("{number}/{}", begun.len()), plot, number));
                        }
                        let story = begun.last_mut().unwrap();
                        let node = random.below(nodes.len());
                        if tell(story, &mut clients[node]) {
                            answered.fetch_add(1, Ordering::Relaxed);
                            if random.one_in(4) {
                                story.check_again(&mut clients[node]);
                            }
                        } else {
                            std::thread::sleep(Duration::from_millis(20));
                        }
                    }
                });
            }
            let stop = Stop(&stop);
            meanwhile(&answered);
            drop(stop);
        });
    }

    /// Tells every story to its end, and checks that each happened once and nothing else did.
    pub fn finish(&self, server: &Server, told: &mut [Vec<Story>]) {
        let mut client = server.client();
        for story in told.iter_mut().filter_map(|stories| stories.last_mut()) {
            while !story.is_over() {
                let answer = client.call(&story.next());
                assert!(story.take(&answer), "{answer}");
            }
        }
        let all = || told.iter().flatten();
        until("what was scheduled has run", || {
            all().filter(|story| story.plot == Plot::Scheduled).all(|story| story.has_settled(&mut client))
        });
        self.let_holds_lapse(server);
        until("what was held has lapsed", || {
            all().filter(|story| story.plot == Plot::Lapsed).all(|story| story.has_settled(&mut client))
        });
        for story in all() {
            story.audit(&mut client);
        }
        self.audit_balances(server, told);
    }

    /// Every story is over: what people have is what the stories brought them, and nothing is held.
    pub fn audit_balances(&self, server: &Server, told: &[Vec<Story>]) {
        for person in &self.people {
            let brought = told.iter().flatten().map(|story| story.brings(person));
            let balance = major(GRANT_MINOR + brought.sum::<i64>());
            let wallets = server.client().with_token(&person.token).get("/wallets").expect(200).json();
            let wallet = &rows(&wallets)[0];
            let found =
                ["balance", "available", "held"].map(|member| wallet[member].as_str().unwrap().to_owned());
            assert_eq!(found, [balance.clone(), balance, "0.00".into()], "{}", person.id);
        }
    }
}

/// Sends the next step of a story; whether it was answered.
fn tell(story: &mut Story, client: &mut Client) -> bool {
    let began = Instant::now();
    let answer = client.send(&story.next());
    assert!(began.elapsed() < REQUEST_LIMIT, "a request took {:?}", began.elapsed());
    answer.is_ok_and(|answer| story.take(&answer))
}

/// Lets the clients end, also when what went on meanwhile has failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
