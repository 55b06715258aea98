//! From a steered name to members, or to what is said when there are none.

use super::scratch::Draw;
use super::{Client, Outcome};
use crate::dns::Query;
use crate::ids::{NodeId, SteerId};
use crate::live::Live;
use crate::policy::{Grade, Health, LastResort, Question, Selection, Steer, Step, Trace, evaluate};
use crate::prefix::Family;

/// Why there is nothing to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shortage {
    /// There is something.
    None,
    /// All is down, and that is what the operator wants to be said.
    NoData,
    /// All is down, and resolvers shall try elsewhere or serve stale data.
    ServFail,
    /// What was chosen has no address of the family.
    NoFamily,
}

/// What was decided; the members are in the draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision {
    pub ttl_s: u32,
    pub scope: u8,
    pub last_resort: Shortage,
    pub outcome: Outcome,
}

/// Decides for one query.
pub(super) fn decide<T: Trace>(
    live: &Live,
    client: &Client,
    query: &Query,
    steer: SteerId,
    family: Family,
    draw: &mut Draw,
    trace: &mut T,
) -> Decision {
    let steer = &live.snapshot.graph.steers[steer];
    let question = Question { family, resolver: client.source, subnet: query.subnet(), dice: draw.rng.dice() };
    let mut choice = Choice { live, question, draw, trace };
    // Health has no say in it, nor where the client is: a denial for everybody, whatever is down.
    if !steer.families[family.index()] {
        return choice.denied(u32::MAX, 0);
    }
    let selection = choice.among(steer.root, Health::Live);
    if selection.grade == Grade::Empty {
        return choice.all_down(steer, selection);
    }
    choice.answered(steer, selection)
}

struct Choice<'a, T> {
    live: &'a Live,
    question: Question,
    draw: &'a mut Draw,
    trace: &'a mut T,
}

impl<T: Trace> Choice<'_, T> {
    fn among(&mut self, root: NodeId, health: Health) -> Selection {
        let graph = &self.live.snapshot.graph;
        evaluate(graph, &self.live.pools, root, &self.question, health, &mut self.draw.picks, self.trace)
    }

    fn answered(&mut self, steer: &Steer, selection: Selection) -> Decision {
        let scope = selection.scope;
        if self.draw.picks.is_empty() {
            // Another pool may have the family, so a health flip could end this.
            return self.denied(steer.on_all_down_ttl_s, scope);
        }
        let ttl_s = steer.ttl.clamp(selection.ttl_s);
        self.trace.step(Step::Answered { allowed: steer.ttl, ttl_s });
        Decision { ttl_s, scope, last_resort: Shortage::None, outcome: Outcome::Steered }
    }

    /// What was chosen has no address of the family: NODATA, for `ttl_s` seconds at most and as long as the zone says.
    fn denied(&mut self, ttl_s: u32, scope: u8) -> Decision {
        self.trace.step(Step::Denied { is_configured: ttl_s < u32::MAX });
        Decision { ttl_s, scope, last_resort: Shortage::NoFamily, outcome: Outcome::NoData }
    }

    fn all_down(&mut self, steer: &Steer, selection: Selection) -> Decision {
        self.trace.step(Step::AllDown { instead: steer.on_all_down, ttl_s: steer.on_all_down_ttl_s });
        let rescue = match steer.on_all_down {
            LastResort::NoData => return last_resort(steer, selection.scope, Shortage::NoData),
            LastResort::ServFail => return last_resort(steer, selection.scope, Shortage::ServFail),
            LastResort::ServeAll => self.among(steer.root, Health::Ignored),
            LastResort::LastKnown => self.among(steer.root, Health::LastKnown),
            LastResort::Fallback(pool) => self.among(pool, Health::Live),
        };
        let scope = selection.scope.max(rescue.scope);
        let shortage = if self.draw.picks.is_empty() { Shortage::NoData } else { Shortage::None };
        last_resort(steer, scope, shortage)
    }
}

fn last_resort(steer: &Steer, scope: u8, last_resort: Shortage) -> Decision {
    Decision { ttl_s: steer.on_all_down_ttl_s, scope, last_resort, outcome: Outcome::AllDown }
}
