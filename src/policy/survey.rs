//! How fit a node is for a client, before anything is drawn.
//!
//! A [`Survey`] is a function of config, live health and the client's place, never of dice: that is why the scope, which
//! is part of it, cannot depend on dice either. A policy surveys its children into a [`Field`]; which of them may be
//! taken, and with what share, follows from the field alone. Chooses no member and writes nothing down.

use super::{Grade, Graph, Health, Policy, PoolView, Question};
use crate::geo::Cell;
use crate::ids::{GeoTableId, Id, NodeId, PoolId, Table};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a node offers to one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Survey {
    /// How fit it is.
    pub grade: Grade,
    /// The ECS scope of all that was looked at to know this.
    pub scope: u8,
    /// How soon the grade could get better, in seconds; `u32::MAX` when it cannot.
    pub recovers_s: u32,
    /// Latency of the nearest pool that it could take, where known.
    pub latency: Option<Duration>,
}

/// The children of a policy, surveyed in its order.
pub(super) struct Field {
    /// The best grade there is: that of the policy.
    pub(super) grade: Grade,
    /// The narrowest scope of all children looked at, and of the table that named them.
    pub(super) scope: u8,
    /// The best latency known among the children of the best grade.
    pub(super) latency: Option<Duration>,
    /// The position of the first child of the best grade.
    pub(super) first: usize,
    /// How soon that child could get better.
    first_recovers_s: u32,
    /// How soon any other child could.
    others_recover_s: u32,
    /// Whether the children of weight 0 stand in, because all others are empty, or kept and no better.
    pub(super) standing_in: bool,
}

impl Field {
    fn new(scope: u8) -> Field {
        let never = u32::MAX;
        Field { grade: Grade::Empty, scope, latency: None, first: 0, first_recovers_s: never, others_recover_s: never, standing_in: false }
    }

    fn add(&mut self, position: usize, child: Survey) {
        self.scope = self.scope.max(child.scope);
        if child.grade <= self.grade {
            self.others_recover_s = self.others_recover_s.min(child.recovers_s);
            if child.grade == self.grade {
                self.latency = nearer(self.latency, child.latency);
            }
            return;
        }
        self.others_recover_s = self.others_recover_s.min(self.first_recovers_s);
        (self.grade, self.latency) = (child.grade, child.latency);
        (self.first, self.first_recovers_s) = (position, child.recovers_s);
    }

    fn survey(&self) -> Survey {
        let recovers_s = match self.grade {
            Grade::Healthy => u32::MAX,
            Grade::Degraded | Grade::Kept | Grade::Empty => self.any_recovers_s(),
        };
        Survey { grade: self.grade, scope: self.scope, recovers_s, latency: self.latency }
    }

    /// How soon a child that was passed over could displace the one that was taken, in seconds.
    ///
    /// Failover, geo: a better one returns. Latency: a nearer one may be among those that are worse now. Weighted,
    /// round robin: among healthy children a returning one merely takes its share, and the answer stays as good as it
    /// was; but where all are degraded, or a standby stands in, its return ends that.
    pub(super) fn displaced_s(&self, policy: &Policy) -> u32 {
        match policy {
            Policy::Failover | Policy::Geo { .. } => self.others_recover_s,
            Policy::Weighted(_) | Policy::RoundRobin { .. } if self.grade == Grade::Healthy && !self.standing_in => u32::MAX,
            Policy::Weighted(_) | Policy::RoundRobin { .. } | Policy::Latency { .. } => self.any_recovers_s(),
        }
    }

    /// The share of the child at `position` in the draw that `policy` makes; 0 when it is not in it. Where the order decides,
    /// the first of the best grade has it all.
    pub(super) fn share(&self, policy: &Policy, position: usize, child: Survey) -> u64 {
        if child.grade < self.grade || child.grade == Grade::Empty {
            return 0;
        }
        match policy {
            Policy::Failover | Policy::Geo { .. } => u64::from(position == self.first),
            Policy::RoundRobin { .. } => 1,
            Policy::Weighted(weights) if self.standing_in => u64::from(weights[position] == 0),
            Policy::Weighted(weights) => u64::from(weights[position]),
            Policy::Latency { tolerance } => u64::from(self.is_near(position, child, *tolerance)),
        }
    }

    /// Children without a latency count only when none has one; then the first stands for all.
    fn is_near(&self, position: usize, child: Survey, tolerance: Duration) -> bool {
        match (self.latency, child.latency) {
            (Some(best), Some(latency)) => latency <= best.saturating_add(tolerance),
            (Some(_), None) => false,
            (None, _) => position == self.first,
        }
    }

    fn any_recovers_s(&self) -> u32 {
        self.first_recovers_s.min(self.others_recover_s)
    }
}

/// Everything that a survey reads. Cheap to copy.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) graph: &'a Graph,
    pub(super) pools: &'a Table<PoolId, Arc<PoolView>>,
    pub(super) question: &'a Question,
    pub(super) health: Health,
}

impl<'a> View<'a> {
    /// What `node` offers.
    pub(super) fn survey(self, node: NodeId) -> Survey {
        match &self.graph.nodes[node] {
            super::Node::Pool(pool) => self.survey_pool(*pool),
            super::Node::Policy { policy, children, .. } => {
                debug_assert!(children.iter().all(|child| child.index() < node.index()), "children come first");
                self.field(policy, children).survey()
            }
        }
    }

    /// Surveys the children of a policy: in order up to the first healthy one where the order decides, all where chance or
    /// latency does.
    pub(super) fn field(self, policy: &Policy, children: &[NodeId]) -> Field {
        match policy {
            Policy::Failover => self.up_to_the_first_healthy(Field::new(0), children, 0..children.len()),
            Policy::Geo { table, ecs } => {
                let place = self.locate(*table, *ecs);
                let positions = place.cell.children.iter().map(|&position| usize::from(position));
                self.up_to_the_first_healthy(Field::new(place.scope), children, positions)
            }
            Policy::RoundRobin { .. } | Policy::Latency { .. } => self.all(Field::new(0), children, |_| true),
            Policy::Weighted(weights) => {
                let field = self.all(Field::new(0), children, |position| weights[position] > 0);
                if field.grade > Grade::Kept {
                    return field;
                }
                let both = self.all(Field { standing_in: true, ..field }, children, |position| weights[position] == 0);
                Field { standing_in: field.grade == Grade::Empty || both.grade > field.grade, ..both }
            }
        }
    }

    /// Where the client is, as far as a geo policy may know.
    pub(super) fn locate(self, table: GeoTableId, ecs: bool) -> Located<'a> {
        let table = &self.graph.geo[table];
        let Some(subnet) = self.question.subnet.filter(|_| ecs) else {
            // RFC 7871 section 7.2.1: an answer that looked at no subnet is for everybody.
            return Located { addr: self.question.resolver, by_subnet: false, cell: table.look_up(self.question.resolver), scope: 0 };
        };
        let cell = table.look_up(subnet.addr());
        Located { addr: subnet.addr(), by_subnet: true, scope: cell.len, cell }
    }

    pub(super) fn survey_pool(self, pool: PoolId) -> Survey {
        let view = &self.pools[pool];
        let (grade, returns_s) = view.fitness(self.question.family, self.health);
        let recovers_s = if grade == Grade::Healthy { u32::MAX } else { returns_s };
        Survey { grade, scope: 0, recovers_s, latency: view.latency }
    }

    fn up_to_the_first_healthy(self, mut field: Field, children: &[NodeId], positions: impl Iterator<Item = usize>) -> Field {
        for position in positions {
            let child = self.survey(children[position]);
            // Of equal grades the first is taken, so that the latency of a later one is of no use.
            let latency = child.latency.filter(|_| child.grade > field.grade);
            field.add(position, Survey { latency, ..child });
            if field.grade == Grade::Healthy {
                break;
            }
        }
        field
    }

    fn all(self, mut field: Field, children: &[NodeId], counts: impl Fn(usize) -> bool) -> Field {
        for (position, &child) in children.iter().enumerate().filter(|&(position, _)| counts(position)) {
            field.add(position, self.survey(child));
        }
        field
    }
}

/// A client found in a table.
pub(super) struct Located<'a> {
    /// The address that was looked up.
    pub(super) addr: IpAddr,
    /// Whether it is that of the announced subnet, not that of the resolver.
    pub(super) by_subnet: bool,
    /// What the table says.
    pub(super) cell: Cell<'a>,
    /// The scope that follows from it.
    pub(super) scope: u8,
}

fn nearer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}
