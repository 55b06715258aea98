//! A simulated world: the shipped control side and answer path under virtual time, with faults by seed and promises that are checked
//! after every event.
//!
//! A seed makes a config (`plan`), machines that die in every way and a network that fails (`machine`), a disk whose files are torn (`disk`),
//! operators (`operator`) and clients (`clients`); `node` drives the code under test as the control task does at work; `oracle` says the rules of verdicts once
//! more, and `promises` holds everything against the truth, and `journal` what it tells of the past against what was answered then. A world that breaks a promise prints the line that replays it.
//!
//! The same worlds are lived in every time, since a gate must not open and shut by chance. To hunt, begin elsewhere:
//! `STEERSMAN_SIM_SEED=1000000 STEERSMAN_SIM_WORLDS=500 cargo nextest run --test sim`. Of what broke, the last 80 events are told;
//! `STEERSMAN_SIM_TOLD=5000` tells more.
//!
//! It stands among the tests and not in the library, so that the program carries no test code: all it needs is public.

#![allow(clippy::disallowed_methods, reason = "how long a run takes is told by the clock")]

mod chance;
mod clients;
mod disk;
mod journal;
mod machine;
mod node;
mod operator;
mod oracle;
mod plan;
mod promises;
mod trace;
mod world;

use plan::Plan;
use std::time::Duration;
use world::World;

/// What became of some worlds.
#[derive(Default)]
struct Sum {
    worlds: u64,
    virtual_time: Duration,
    probes: u64,
    answers: u64,
    /// So often the past was held against what was answered.
    looks: u64,
}

/// Lets the world of `seed` live. Panics with all that is known when it breaks a promise.
fn live(seed: u64, sum: &mut Sum) -> (u64, u64) {
    let mut world = World::new(seed);
    let lasts = world.tempo * SPAN;
    (sum.worlds, sum.virtual_time) = (sum.worlds + 1, sum.virtual_time + lasts);
    watch(&mut world, lasts, seed);
    (sum.probes, sum.answers) = (sum.probes + world.trace.probes, sum.answers + world.trace.answers);
    sum.looks += world.diary.looks;
    world.trace.hash()
}

fn watch(world: &mut World, lasts: Duration, seed: u64) {
    if let Some(told) = wanted("STEERSMAN_SIM_TOLD") {
        world.trace.told = usize::try_from(told).unwrap_or(usize::MAX);
    }
    if let Err(broken) = world.live(lasts) {
        let (plan, past) = (world.plan.policies_text(), &world.trace);
        panic!("\n{plan}\n{past}\nseed {seed}: {broken}\n\n    STEERSMAN_SIM_SEED={seed} cargo nextest run --test sim\n");
    }
}

/// A world lives for so many of its seconds; see [`World::tempo`].
const SPAN: u32 = 3_600;

fn run(seeds: impl Iterator<Item = u64>) {
    let mut sum = Sum::default();
    let begun = std::time::Instant::now();
    for seed in seeds {
        live(seed, &mut sum);
    }
    let hours = sum.virtual_time.as_secs() / 3600;
    let Sum { worlds, probes, answers, looks, .. } = sum;
    println!("{worlds} worlds, {hours} virtual hours, {probes} probes, {answers} answers, {looks} looks back in {:.1?}", begun.elapsed());
    assert!(looks > worlds * 10, "{looks} looks back at {worlds} worlds");
}

/// A number that somebody wants something to be.
fn wanted(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// Worlds by default: some ten seconds of a build that nobody made fast.
const WORLDS: u64 = 3;

#[test]
fn promises_hold_in_every_world() {
    let (seed, worlds) = (wanted("STEERSMAN_SIM_SEED"), wanted("STEERSMAN_SIM_WORLDS"));
    let first = seed.unwrap_or(0);
    let worlds = worlds.unwrap_or(if seed.is_some() { 1 } else { WORLDS });
    run(first..first.saturating_add(worlds));
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let mut sum = Sum::default();
    for seed in 0..2 {
        assert_eq!(live(seed, &mut sum), live(seed, &mut sum), "seed {seed}");
    }
    assert_ne!(live(0, &mut sum), live(1, &mut sum));
}

#[test]
fn half_of_a_crowd_that_hangs_delays_nobody_and_takes_no_more_than_its_share() {
    let mut world = World::of(Plan::crowd(), 0);
    world.silence(0);
    watch(&mut world, Duration::from_secs(30), 0);
    assert!(world.trace.probes > 8_000, "{} probes", world.trace.probes);
}
