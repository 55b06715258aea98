//! What protections count: who stands, where, and who went of late.
//!
//! Made from the seats when the first address is about to leave, and kept in step as addresses leave and come back, so that each one
//! costs a look at the protections of its pool and not at all of their members. Knows no verdict and no override.

use super::seat::Seat;
use super::{Breach, Place};
use crate::clock::Moment;
use crate::ids::{Id, PoolId, SiteId};
use crate::policy::{Graph, Protection};
use crate::prefix::Family;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// All counts of all protections.
#[derive(Debug)]
pub struct Counts<'a> {
    graph: &'a Graph,
    /// By protection, then family.
    counts: Vec<[Count; 2]>,
}

/// What one protection counts of one family.
#[derive(Clone, Debug, Default)]
struct Count {
    /// Addresses that the config does not disable.
    of: u32,
    /// Of those, the ones that stand.
    standing: u32,
    /// How many stand in which site; none with zero.
    sites: BTreeMap<SiteId, u32>,
    /// How many left within the protection's span.
    removed: u32,
}

impl<'a> Counts<'a> {
    /// Counts anew. `seats` by pool, member and family; `removals` by protection and family.
    pub fn of(graph: &'a Graph, seats: &[Vec<[Seat; 2]>], removals: &[[VecDeque<Moment>; 2]], now: Moment) -> Counts<'a> {
        let count = |rule: &Protection, family: Family, removals: &VecDeque<Moment>| {
            let mut count = Count::default();
            for pool in rule.pools.iter().copied().collect::<BTreeSet<PoolId>>() {
                for (settings, both) in graph.pools[pool].members.iter().zip(&seats[pool.index()]) {
                    if settings.disabled || settings.addresses[family.index()].is_none() {
                        continue;
                    }
                    count.of += 1;
                    if both[family.index()].standing {
                        count.join(settings.site);
                    }
                }
            }
            let within = rule.max_removed.map(|(_, within)| within).unwrap_or_default();
            let recent = removals.iter().filter(|removal| now.since(**removal) < within).count();
            count.removed = u32::try_from(recent).unwrap_or(u32::MAX);
            count
        };
        let rules = graph.protections.iter().zip(removals);
        Counts { graph, counts: rules.map(|(rule, both)| Family::BOTH.map(|family| count(rule, family, &both[family.index()]))).collect() }
    }

    /// Somebody leaves.
    pub fn remove(&mut self, place: Place) {
        self.change(place, |count, site| {
            count.leave(site);
            count.removed = count.removed.saturating_add(1);
        });
    }

    /// Somebody who was removed stays after all.
    pub fn put_back(&mut self, place: Place) {
        self.change(place, |count, site| {
            count.join(site);
            count.removed = count.removed.saturating_sub(1);
        });
    }

    /// Somebody comes back.
    pub fn add(&mut self, place: Place) {
        self.change(place, Count::join);
    }

    fn change(&mut self, place: Place, change: impl Fn(&mut Count, Option<SiteId>)) {
        let site = self.graph.pools[place.pool].members[place.member].site;
        for (rule, both) in self.graph.protections.iter().zip(&mut self.counts) {
            if rule.pools.contains(&place.pool) {
                change(&mut both[place.family.index()], site);
            }
        }
    }

    /// The first protection that is broken now, of those that any of `places` falls under, and how.
    pub fn first_breach(&self, places: &BTreeSet<Place>) -> Option<(usize, Breach)> {
        let touched: BTreeSet<(Family, PoolId)> = places.iter().map(|place| (place.family, place.pool)).collect();
        let rules = self.graph.protections.iter().zip(&self.counts).enumerate();
        rules.into_iter().find_map(|(index, (rule, both))| {
            let binds = |family: Family| touched.iter().any(|(of, pool)| *of == family && rule.pools.contains(pool));
            let breach = Family::BOTH.into_iter().filter(|family| binds(*family)).find_map(|family| both[family.index()].breach(rule));
            Some((index, breach?))
        })
    }

    /// Every protection with fewer members or sites than it is to keep, with how many addresses stand; each once.
    pub fn shortfalls(&self) -> Vec<(usize, Breach, u32)> {
        let rules = self.graph.protections.iter().zip(&self.counts).enumerate();
        let short = |(index, (rule, both)): (usize, (&Protection, &[Count; 2]))| {
            let configured = both.iter().filter(|count| count.of > 0);
            configured.into_iter().find_map(|count| Some((index, count.shortfall(rule)?, count.standing)))
        };
        rules.filter_map(short).collect()
    }
}

impl Count {
    fn join(&mut self, site: Option<SiteId>) {
        self.standing += 1;
        if let Some(site) = site {
            *self.sites.entry(site).or_default() += 1;
        }
    }

    fn leave(&mut self, site: Option<SiteId>) {
        self.standing = self.standing.saturating_sub(1);
        let Some(site) = site else { return };
        if let Some(left) = self.sites.get_mut(&site) {
            *left -= 1;
            if *left == 0 {
                self.sites.remove(&site);
            }
        }
    }

    fn breach(&self, rule: &Protection) -> Option<Breach> {
        if let Some(breach) = self.shortfall(rule) {
            return Some(breach);
        }
        let (percent, within) = rule.max_removed?;
        let allowed = (u64::from(self.of) * u64::from(percent) / 100).max(1);
        (u64::from(self.removed) > allowed).then_some(Breach::Pace(percent, within))
    }

    fn shortfall(&self, rule: &Protection) -> Option<Breach> {
        if self.standing < rule.min_members {
            return Some(Breach::Members(rule.min_members));
        }
        ((self.sites.len() as u64) < u64::from(rule.min_sites)).then_some(Breach::Sites(rule.min_sites))
    }
}
