//! Where targets stand: the failure domains by which a node judges its own sight.
//!
//! A graph goes in, a number for each target comes out; equal numbers, equal place. A place is a site where one is written,
//! otherwise the network of the address: members side by side in a rack are no independent witnesses.

use super::{Graph, Member};
use crate::ids::{Id, SiteId};
use crate::prefix::Prefix;
use std::collections::HashMap;
use std::net::IpAddr;

/// The place of each of `targets` targets, numbered from 0 without gaps. A target that no member of the
/// graph has is in no place; one that checks members of several sites stands with the one that fewest targets check, or the first of
/// them: who depends on a member has all of its checks, and mostly more.
pub fn places(graph: &Graph, targets: usize) -> Vec<Option<u32>> {
    let mut places = vec![None; targets];
    let mut numbers: HashMap<Place, u32> = HashMap::new();
    let mut members: Vec<&Member> = graph.pools.rows().iter().flat_map(|pool| &pool.members).collect();
    members.sort_by_key(|member| member.checks.iter().map(Vec::len).max());
    for member in members {
        for (addr, checks) in member.addresses.iter().zip(&member.checks) {
            let Some(addr) = addr else { continue };
            let place = member.site.map_or_else(|| Place::Network(network(*addr)), Place::Site);
            for target in checks {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                let number = *numbers.entry(place).or_insert(next);
                places[target.index()].get_or_insert(number);
            }
        }
    }
    renumbered(&places)
}

/// A failure domain.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    Site(SiteId),
    Network(Prefix),
}

/// What is usually announced as one: /24 of IPv4, /48 of IPv6.
fn network(addr: IpAddr) -> Prefix {
    Prefix::new(addr, if addr.is_ipv4() { 24 } else { 48 })
}

/// A place all of whose targets stand elsewhere as well may be left without any: numbers close up over it.
fn renumbered(places: &[Option<u32>]) -> Vec<Option<u32>> {
    let mut used: Vec<u32> = places.iter().flatten().copied().collect();
    used.sort_unstable();
    used.dedup();
    let number = |place: u32| used.binary_search(&place).ok().and_then(|at| u32::try_from(at).ok());
    places.iter().map(|place| place.and_then(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;
    use crate::ids::TargetId;

    /// A pool of members, each with a site or none and the targets of its IPv4 and IPv6 address.
    fn placed(members: &[(Option<usize>, &[usize], &[usize])], targets: usize) -> Vec<Option<u32>> {
        let mut world = World::default();
        let text = vec!["up"; members.len()].join(" ");
        world.pool_of(&text, |pool| {
            for (member, (site, v4, v6)) in pool.members.iter_mut().zip(members) {
                member.site = site.map(SiteId::new);
                member.checks = [v4, v6].map(|checks| checks.iter().map(|&index| TargetId::new(index)).collect());
            }
        });
        places(&world.graph, targets)
    }

    #[test]
    fn members_of_one_site_stand_in_one_place_whatever_their_family() {
        assert_eq!(placed(&[(Some(4), &[0], &[1]), (Some(2), &[2], &[]), (Some(4), &[3], &[])], 4), [Some(0), Some(0), Some(1), Some(0)]);
    }

    #[test]
    fn without_a_site_the_network_of_the_address_is_the_place() {
        assert_eq!(placed(&[(None, &[0], &[]), (None, &[1], &[2]), (Some(0), &[3], &[])], 4), [Some(0), Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn what_others_depend_on_stands_where_it_is_and_not_with_them() {
        assert_eq!(placed(&[(Some(0), &[0, 2], &[]), (Some(0), &[1, 2], &[]), (Some(1), &[2], &[])], 3), [Some(1), Some(1), Some(0)]);
    }

    #[test]
    fn a_shared_target_stands_in_one_place_and_numbers_have_no_gaps() {
        assert_eq!(placed(&[(Some(0), &[0], &[]), (Some(1), &[0], &[]), (Some(2), &[1], &[])], 3), [Some(0), Some(1), None]);
    }
}
