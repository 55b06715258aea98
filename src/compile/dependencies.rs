//! Members that depend on other members: their checks become part of what must hold.

use crate::config::pool::{MemberSection, PoolSection};
use crate::config::suggest::did_you_mean;
use crate::diagnostic::{Diagnostic, Diagnostics, Spanned};
use crate::health::Condition;
use crate::ids::{Id, PoolId, Table};
use crate::policy::{Member, Pool};
use crate::prefix::Family;
use std::collections::{HashMap, HashSet};

/// Adds to what must hold for one address of a member to be up.
pub(super) fn require(member: &mut Member, family: Family, needs: Vec<Condition>) {
    let family = family.index();
    let own = match member.conditions[family].take() {
        Some(condition) => vec![condition],
        None => member.checks[family].iter().map(|&target| Condition::Target(target)).collect(),
    };
    let mut parts: Vec<Condition> = Vec::new();
    own.into_iter().chain(needs).for_each(|need| spread(need, &mut parts));
    let mut seen = HashSet::new();
    // In the order in which they are asked for, which people see.
    member.checks[family] = parts.iter().flat_map(Condition::targets).filter(|target| seen.insert(*target)).collect();
    let plain = parts.iter().all(|part| matches!(part, Condition::Target(_)));
    member.conditions[family] = (!plain).then(|| Condition::all(parts));
}

/// Appends what must hold for `need` to hold, each thing once: all of all is all, so that conditions stay as flat as they can.
fn spread(need: Condition, parts: &mut Vec<Condition>) {
    match need {
        Condition::AtLeast { needed, of } if needed == of.len() => of.into_iter().for_each(|part| spread(part, parts)),
        Condition::Target(_) | Condition::AtLeast { .. } | Condition::Not(_) | Condition::Never => {
            if !parts.contains(&need) {
                parts.push(need);
            }
        }
    }
}

/// A member that depends on more than this depends on everything; and what is folded at each verdict has to end somewhere.
const PARTS_MAX: usize = 256;

/// Where a member is: the index of its pool, and its own.
type Place = (usize, usize);

/// Lets every member depend on what it names. Faults are reported, and what they are about depends on nothing.
pub(super) fn resolve(sections: &[PoolSection], pools: &mut Table<PoolId, Pool>, diagnostics: &mut Diagnostics) {
    let wanted = Wanted::read(sections, diagnostics);
    for place in wanted.order(sections, diagnostics) {
        for depended in wanted.of(place) {
            let needed = &pools[PoolId::new(depended.0)].members[depended.1];
            let needs = Family::BOTH.map(|family| demand(needed, family));
            let member = &mut pools[PoolId::new(place.0)].members[place.1];
            for (family, need) in Family::BOTH.into_iter().zip(needs) {
                if member.addresses[family.index()].is_some() && !member.disabled {
                    require(member, family, need.into_iter().collect());
                }
            }
        }
        let member = &pools[PoolId::new(place.0)].members[place.1];
        if member.checks.iter().any(|checks| checks.len() > PARTS_MAX) {
            diagnostics.push(too_wide(section(sections, place)));
            // Whoever depends on this one would be reported as well, for nothing.
            return;
        }
    }
}

fn too_wide(member: &MemberSection) -> Diagnostic {
    let message = format!("the member `{}` depends on more than {PARTS_MAX} checks, by way of others", member.name.value);
    Diagnostic::error("too-wide", &member.name.span, message).help("let members depend on the one thing that they share")
}

/// What must hold for a member to be up in a family, or in the one that it has; none when it always is.
fn demand(needed: &Member, family: Family) -> Option<Condition> {
    if needed.disabled {
        return Some(Condition::Never);
    }
    let index = if needed.addresses[family.index()].is_some() { family.index() } else { 1 - family.index() };
    match &needed.conditions[index] {
        Some(condition) => Some(condition.clone()),
        None if needed.checks[index].is_empty() => None,
        None => Some(Condition::all(needed.checks[index].iter().map(|&target| Condition::Target(target)).collect())),
    }
}

/// Who depends on whom.
struct Wanted {
    edges: HashMap<Place, Vec<Place>>,
    /// Everybody with a dependency, in the order of the config.
    dependents: Vec<Place>,
}

impl Wanted {
    fn read(sections: &[PoolSection], diagnostics: &mut Diagnostics) -> Wanted {
        let mut wanted = Wanted { edges: HashMap::new(), dependents: Vec::new() };
        let by_pool: HashMap<&str, usize> = sections.iter().enumerate().map(|(index, pool)| (pool.name.value.as_str(), index)).collect();
        for (pool_index, pool) in sections.iter().enumerate() {
            // A fault in what the whole pool depends on is one fault.
            let common: Vec<Place> =
                pool.depends_on.iter().filter_map(|name| find(name, pool_index, sections, &by_pool, diagnostics)).collect();
            for (index, member) in pool.members.iter().enumerate() {
                let own = member.depends_on.iter().filter_map(|name| find(name, pool_index, sections, &by_pool, diagnostics));
                let mut all: Vec<Place> = common.iter().copied().chain(own).collect();
                // What all members of a pool depend on may be one of them.
                all.retain(|&place| place != (pool_index, index) || !common.contains(&place));
                if !all.is_empty() {
                    wanted.dependents.push((pool_index, index));
                    wanted.edges.insert((pool_index, index), all);
                }
            }
        }
        wanted
    }

    fn of(&self, place: Place) -> &[Place] {
        self.edges.get(&place).map_or(&[], Vec::as_slice)
    }

    /// All dependents, those that others depend on first; who leads back to itself is reported and left out.
    fn order(&self, sections: &[PoolSection], diagnostics: &mut Diagnostics) -> Vec<Place> {
        let mut done: Vec<Place> = Vec::new();
        let mut seen: HashSet<Place> = HashSet::new();
        for &start in &self.dependents {
            // Depth first with a stack of our own: a chain may be longer than that of a thread.
            let mut path: Vec<(Place, usize)> = vec![(start, 0)];
            while let Some((place, next)) = path.last_mut() {
                let place = *place;
                if *next == 0 && !seen.insert(place) {
                    path.pop();
                    continue;
                }
                let child = self.of(place).get(*next).copied();
                *next += 1;
                match child {
                    Some(child) if path.iter().any(|(above, _)| *above == child) => {
                        diagnostics.push(cycle(section(sections, child)));
                        return Vec::new();
                    }
                    Some(child) => path.push((child, 0)),
                    None => {
                        path.pop();
                        done.push(place);
                    }
                }
            }
        }
        done
    }
}

fn section(sections: &[PoolSection], (pool, member): Place) -> &MemberSection {
    &sections[pool].members[member]
}

fn cycle(member: &MemberSection) -> Diagnostic {
    let message = format!("the member `{}` depends on itself, directly or by others", member.name.value);
    Diagnostic::error("cycle", &member.name.span, message).help("remove one `depends_on` of the circle")
}

/// The member that `POOL/MEMBER`, or `MEMBER` of the same pool, names.
fn find(
    name: &Spanned<String>,
    own_pool: usize,
    sections: &[PoolSection],
    by_pool: &HashMap<&str, usize>,
    diagnostics: &mut Diagnostics,
) -> Option<Place> {
    let (pool, member) = match name.value.split_once('/') {
        Some((pool, member)) => (by_pool.get(pool).copied(), member),
        None => (Some(own_pool), name.value.as_str()),
    };
    let position = |pool: usize| sections[pool].members.iter().position(|section| section.name.value == member);
    if let Some((pool, index)) = pool.and_then(|pool| Some((pool, position(pool)?))) {
        return Some((pool, index));
    }
    let known: Vec<String> = match pool {
        Some(pool) => sections[pool].members.iter().map(|member| member.name.value.clone()).collect(),
        None => sections.iter().map(|pool| pool.name.value.clone()).collect(),
    };
    let (what, wrong) = match pool {
        Some(_) => ("member", member),
        None => ("pool", name.value.split('/').next().unwrap_or_default()),
    };
    let fault = Diagnostic::error("unknown-name", &name.span, format!("no {what} is named `{wrong}`"));
    diagnostics.push(fault.help(did_you_mean(wrong, what, known.iter().map(String::as_str))));
    None
}
