//! Operators: what they order, and what of it is in force, kept in a book of their own.

use super::chance::Chance;
use super::plan::{Plan, Seat};
use std::time::Duration;
use steersman::clock::Moment;
use steersman::judge::{Order, Override, Wish};

/// What operators ordered and nobody ended.
#[derive(Clone, Default)]
pub struct Book {
    entries: Vec<Entry>,
}

/// One order.
#[derive(Clone, Debug)]
pub struct Entry {
    pub whom: Whom,
    pub wish: Wish,
    /// By the wall clock of the node.
    pub expires_unix_s: Option<u64>,
    /// Whether it may break what is protected.
    pub break_glass: bool,
    /// When it was given, in the time of the world.
    pub given: Moment,
}

/// Whom an order is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    Member(String),
    /// All members whose names begin so.
    Members(String),
    Pool(String),
    Site(usize),
    Both(String, String),
}

impl Whom {
    /// Somebody of the plan; now and then a bit of everybody.
    pub fn drawn(plan: &Plan, chance: &mut Chance) -> Whom {
        let pool = chance.one_of(&plan.pools);
        let member = chance.one_of(&pool.members);
        match chance.index(6) {
            0 => Whom::Pool(pool.name.clone()),
            1 if plan.sites > 0 => Whom::Site(chance.index(plan.sites)),
            2 => Whom::Members(member.name[..2].to_owned()),
            3 => Whom::Both(pool.name.clone(), member.name.clone()),
            _ => Whom::Member(member.name.clone()),
        }
    }

    /// As it is typed.
    pub fn text(&self) -> String {
        match self {
            Whom::Member(name) => format!("member:{name}"),
            Whom::Members(start) => format!("member:{start}*"),
            Whom::Pool(name) => format!("pool:{name}"),
            Whom::Site(site) => format!("site:s{site}"),
            Whom::Both(pool, member) => format!("{pool}/{member}"),
        }
    }

    /// Whether somebody is meant.
    pub fn means(&self, plan: &Plan, seat: Seat) -> bool {
        let pool = &plan.pools[seat.pool];
        let member = &pool.members[seat.member];
        match self {
            Whom::Member(name) => member.name == *name,
            Whom::Members(start) => member.name.starts_with(start.as_str()),
            Whom::Pool(name) => pool.name == *name,
            Whom::Site(site) => member.site == Some(*site),
            Whom::Both(name, one) => pool.name == *name && member.name == *one,
        }
    }
}

impl Book {
    /// An order for somebody of the plan.
    pub fn order(plan: &Plan, tempo: Duration, chance: &mut Chance) -> (Whom, Order) {
        let whom = Whom::drawn(plan, chance);
        let wish = *chance.one_of(&[Wish::Up, Wish::Down, Wish::Down, Wish::Drain, Wish::Drain]);
        let order = Order {
            selector: whom.text().parse().expect("a selector"),
            wish,
            owner: "alice".to_owned(),
            reason: "because".to_owned(),
            lasts: chance.percent(80).then(|| Duration::from_secs(1 + chance.around(tempo * 60).as_secs())),
            break_glass: chance.percent(20),
        };
        (whom, order)
    }

    /// An order was obeyed.
    pub fn enter(&mut self, whom: Whom, order: &Order, obeyed: &Override, given: Moment) {
        self.clear(&whom);
        let (wish, expires_unix_s, break_glass) = (order.wish, obeyed.expires_unix_s, order.break_glass);
        self.entries.push(Entry { whom, wish, expires_unix_s, break_glass, given });
    }

    /// An order was ended.
    pub fn clear(&mut self, whom: &Whom) {
        self.entries.retain(|entry| entry.whom != *whom);
    }

    /// The node said that an order has ended by itself. Says whether it had.
    pub fn end(&mut self, ended: &Override, unix_s: u64) -> bool {
        let is_it = |entry: &Entry| entry.whom.text() == ended.selector.to_string();
        let had = self.entries.iter().any(|entry| is_it(entry) && entry.is_over(unix_s));
        self.entries.retain(|entry| !is_it(entry));
        had
    }

    /// All that nobody ended, and of which nobody said that they ended by themselves.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the last order about somebody says at this second, if it has not ended by itself.
    pub fn of(&self, plan: &Plan, seat: Seat, unix_s: u64) -> Option<&Entry> {
        self.entries.iter().rev().filter(|entry| !entry.is_over(unix_s)).find(|entry| entry.whom.means(plan, seat))
    }

    /// Whether any order was ever about the pool and not ended.
    pub fn touches(&self, plan: &Plan, pool: usize) -> bool {
        let seat = |member| Seat { pool, member, family: steersman::prefix::Family::V4 };
        (0..plan.pools[pool].members.len()).any(|member| self.entries.iter().any(|entry| entry.whom.means(plan, seat(member))))
    }
}

impl Entry {
    /// Whether it has ended by itself at this second.
    pub fn is_over(&self, unix_s: u64) -> bool {
        self.expires_unix_s.is_some_and(|expires| expires <= unix_s)
    }
}
