//! What the node writes down of what happens, read back at once: what the journal tells of this moment is what is answered at it.
//!
//! The fields are those of the shipped program, and travel as JSON. The past is brought back as `explain --at` does. What time alone changes is seen
//! to once a second at work and at once there, so that moments are looked at before which nothing happened for as long.

use super::disk::ms;
use super::promises::Broken;
use super::world::World;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
use steersman::beliefs::{Beliefs, Change};
use steersman::clock::Moment;
use steersman::ids::{Id, PoolId};
use steersman::io::chronicle::Teller;
use steersman::io::journal::{ConfigNote, Entry, Event};
use steersman::io::replay::Retelling;
use steersman::io::saved_form::SavedForm;
use steersman::live::Live;
use steersman::policy::Usable;
use steersman::prefix::Family;
use steersman::snapshot::Snapshot;

/// The journal of one life.
pub struct Diary {
    teller: Teller,
    retelling: Retelling,
    /// The config in force; none before the first life.
    config: Option<Arc<Snapshot>>,
    generation: u64,
    /// When the last entry was written, by the wall clock.
    written: Duration,
    /// When all that is believed was last written down, by the clock of the process.
    checkpoint: Moment,
    /// Whether the wall clock and that of the process were of one mind since.
    is_sharp: bool,
    /// From one look to the next.
    look_every: Duration,
    looked: Moment,
    /// So often the past was held against what was answered.
    pub looks: u64,
}

/// Between what time alone changes and the second at which it is seen to.
const TICK: Duration = Duration::from_millis(1_050);

impl Diary {
    pub fn new(tempo: Duration) -> Diary {
        Diary {
            teller: Teller::default(),
            retelling: Retelling::new(),
            config: None,
            generation: 0,
            written: Duration::ZERO,
            checkpoint: Moment::START,
            is_sharp: true,
            look_every: tempo * 40,
            looked: Moment::START,
            looks: 0,
        }
    }

    /// A process begins, at this moment of its clock.
    pub fn begin(&mut self, beliefs: &Beliefs, at: Moment, wall: Duration) {
        (self.generation, self.config) = (1, Some(Arc::clone(beliefs.snapshot())));
        let config = self.config_note();
        self.write(Event::Started { version: "0".to_owned(), config }, wall);
        self.looked = at;
        self.write_checkpoint(beliefs, at, wall);
    }

    /// Another config is in force.
    pub fn handle_config(&mut self, beliefs: &Beliefs, wall: Duration) {
        (self.generation, self.config) = (self.generation + 1, Some(Arc::clone(beliefs.snapshot())));
        let event = self.teller.config(self.config_note(), beliefs);
        self.write(event, wall);
    }

    /// Something changed.
    pub fn note(&mut self, change: &Change, beliefs: &Beliefs, wall: Duration) {
        let event = self.teller.change(change, beliefs);
        self.write(event, wall);
    }

    /// The wall clock was set, or ran on while the process did not: how long something has been so is not known until all is written down anew.
    pub fn blur(&mut self) {
        self.is_sharp = false;
    }

    fn write_checkpoint(&mut self, beliefs: &Beliefs, at: Moment, wall: Duration) {
        let state = Box::new(SavedForm::of(&self.teller.checkpoint(beliefs), at));
        let config = Some(Box::new(self.config_note()));
        (self.checkpoint, self.is_sharp) = (at, true);
        self.write(Event::Checkpoint { state, config }, wall);
    }

    fn config_note(&self) -> ConfigNote {
        ConfigNote { generation: self.generation, ..ConfigNote::default() }
    }

    fn write(&mut self, event: Event, wall: Duration) {
        self.written = wall;
        let entry = Entry { at_unix_ms: ms(wall), text: String::new(), event };
        let line = serde_json::to_string(&entry).expect("JSON");
        let config = || Arc::clone(self.config.as_ref().expect("a life has begun"));
        self.retelling.handle(serde_json::from_str(&line).expect("the same"), |_| config());
    }

    /// The pasts that this moment may have been, as the journal tells them; none when it is not the time to look.
    fn look(&mut self, beliefs: &Beliefs, at: Moment, wall: Duration) -> Option<[Live; 2]> {
        if at.since(self.checkpoint) > self.look_every * 12 {
            self.write_checkpoint(beliefs, at, wall);
        }
        let is_time = self.is_sharp && at.since(self.looked) >= self.look_every && wall.saturating_sub(self.written) > TICK;
        if !is_time || beliefs.is_stale() {
            return None;
        }
        (self.looked, self.looks) = (at, self.looks + 1);
        let past = |wall: Duration| self.retelling.clone().live(ms(wall)).expect("each life begins with a checkpoint");
        Some([past(wall), past(wall.saturating_sub(TICK))])
    }
}

impl World {
    /// What the journal tells of this moment is what is answered at it.
    pub fn remembers_what_it_answered(&mut self) -> Result<(), Broken> {
        let (at, wall) = (self.node.moment(self.now), self.wall());
        let Some(pasts) = self.diary.look(&self.node.beliefs, at, wall) else { return Ok(()) };
        let present = self.node.beliefs.live();
        for pool in 0..present.pools.len() {
            let answered = of_pool(&present, pool);
            let told = pasts.each_ref().map(|past| of_pool(past, pool));
            if !told.contains(&answered) {
                let [told, _] = told;
                return self.broken(
                    "the past is explained as it was",
                    format!("{}\n    is answered\n{answered}    and the journal tells\n{told}", self.plan.pools[pool].name),
                );
            }
        }
        let suspicion = |live: &Live| live.remarks.suspicion.is_some();
        if suspicion(&present) != suspicion(&pasts[0]) {
            return self.broken("doubts are explained as they were", format!("{:?}", present.remarks.suspicion));
        }
        Ok(())
    }
}

/// What is answered of a pool, and what is held for or against its members; without spans and shares, which time alone moves.
fn of_pool(live: &Live, pool: usize) -> String {
    let pool = PoolId::new(pool);
    let view = &live.pools[pool];
    let mut text = format!("    {}\n", view.grade);
    for family in Family::BOTH {
        let view = view.family(family);
        let members = |roster: &[Usable]| roster.iter().map(|usable| usable.addr.to_string()).collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "    {family:?} {}: {}; last {}", view.grade, members(&view.usable), members(&view.last_known));
    }
    // Of what is noted only orders: no answer depends on how often somebody fell, and who comes back or is kept may be noted a little
    // otherwise after reloads (worlds 132 and 166).
    let is_told = |text: &str| text.starts_with("is forced");
    for remark in live.remarks.members.iter().filter(|remark| remark.pool == pool && is_told(&remark.text)) {
        let words = remark.text.split(|letter: char| letter.is_ascii_digit()).next().unwrap_or_default();
        // Nor how far a drain has come: only the node that handed addresses out knows how long caches hold them, and by which clock.
        let words = words.split_once("): ").filter(|(who, _)| who.contains("forced drain")).map_or(words, |(who, _)| who);
        let _ = writeln!(text, "    {} {words}", remark.member);
    }
    text
}
