//! The real binary in a network of its own, with cables to the networks of its members: packets that vanish, packets that are
//! refused, and the node's own cable cut. Needs root, `ip` and `nft`; `tests/run` leaves this file out where they are not to be had,
//! and says so.
#![allow(clippy::disallowed_methods, reason = "these tests are the world that the shell touches")]

mod support;

use hickory_proto::rr::RecordType;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use support::backend::{Backend, Speech};
use support::network::Network;
use support::pace::{NAME, PATIENT, Pace, SLACK, USUAL};
use support::server::{Config, Server};
use support::watch::{Watch, rest_until};

const PORT: u16 = 8080;

/// The address of the member of a site.
fn address(site: usize) -> IpAddr {
    Ipv4Addr::new(10, 77, u8::try_from(site).expect("few sites"), 2).into()
}

/// The same in the other family.
fn address_v6(site: u16) -> IpAddr {
    Ipv6Addr::new(0xfd77, 0, 0, site, 0, 0, 0, 2).into()
}

fn backend(network: &Network, address: IpAddr) -> Backend {
    network.within(|| Backend::at((address, PORT).into(), Speech::Http).expect("a network of its own"))
}

/// Serves failover among members in `node`, and watches.
fn serve(node: &Network, pace: Pace, members: &[IpAddr]) -> (Config, Server, Watch) {
    node.within(|| {
        let sockets: Vec<SocketAddr> = members.iter().map(|address| (*address, PORT).into()).collect();
        for addr in &sockets {
            let reach = || TcpStream::connect_timeout(addr, Duration::from_millis(100)).ok();
            support::wait_for("neighbours that have found each other", reach, || addr.to_string());
        }
        let config = Config::new(&pace.failover(&sockets, "http, path: /"), "  www: {steer: main}\n");
        let server = config.serve();
        let rtype = if members[0].is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let watch = Watch::start_for(server.port(), NAME, rtype);
        watch.until(Instant::now(), &members[..1], support::PATIENCE);
        (config, server, watch)
    })
}

//--- A member's network

/// The first site, which died at `died`, is not answered any more by the time of detection, but `other`, and stays away.
fn is_left(watch: &Watch, server: &Server, died: Instant, pace: Pace, other: IpAddr) {
    // From when the filter is certainly in place.
    let gone = watch.until(died, &[other], died.elapsed() + pace.detection() + SLACK);
    for seen in &watch.for_a_while(gone, pace.afterwards()) {
        let after = seen.asked - died;
        assert_eq!(seen.addresses, [other], "{after:?} after the fault; the server's log:\n{}", server.lines().join("\n"));
    }
}

/// Two sites; the first is filtered, and let through again.
fn a_filtered_site_is_left_and_returned_to(verdict: &str) {
    let (node, first, second) = (Network::new(), Network::new(), Network::new());
    node.connect(&first, "site1", "10.77.1.1/24", "10.77.1.2/24");
    node.connect(&second, "site2", "10.77.2.1/24", "10.77.2.2/24");
    the_first_is_left_and_returned_to(&node, [&first, &second], USUAL, [address(1), address(2)], verdict);
}

fn the_first_is_left_and_returned_to(node: &Network, sites: [&Network; 2], pace: Pace, members: [IpAddr; 2], verdict: &str) -> Server {
    let _members = [backend(sites[0], members[0]), backend(sites[1], members[1])];
    let (_config, server, watch) = serve(node, pace, &members);
    let died = Instant::now();
    sites[0].filter(verdict);
    is_left(&watch, &server, died, pace, members[1]);
    let open = Instant::now();
    sites[0].unfilter();
    watch.until(open, &members[..1], pace.return_time());
    server
}

#[test]
fn a_member_to_which_packets_are_dropped_is_gone_by_the_detection_time() {
    a_filtered_site_is_left_and_returned_to("drop");
}

#[test]
fn a_member_to_which_connections_are_reset_is_gone_by_the_detection_time() {
    a_filtered_site_is_left_and_returned_to("tcp flags syn reject with tcp reset");
}

#[test]
fn a_member_that_a_router_calls_unreachable_is_gone_by_the_detection_time() {
    a_filtered_site_is_left_and_returned_to("reject with icmpx host-unreachable");
}

#[test]
fn a_member_that_a_firewall_prohibits_is_gone_by_the_detection_time() {
    a_filtered_site_is_left_and_returned_to("reject with icmpx admin-prohibited");
}

#[test]
fn a_member_that_a_firewall_prohibits_over_ipv6_is_gone_by_the_detection_time() {
    let (node, first, second) = (Network::new(), Network::new(), Network::new());
    node.connect(&first, "site1", "fd77:0:0:1::1/64", "fd77:0:0:1::2/64");
    node.connect(&second, "site2", "fd77:0:0:2::1/64", "fd77:0:0:2::2/64");
    // Connections alone: neighbours go on finding each other.
    let verdict = format!("tcp dport {PORT} reject with icmpv6 admin-prohibited");
    let server = the_first_is_left_and_returned_to(&node, [&first, &second], PATIENT, [address_v6(1), address_v6(2)], &verdict);
    // Connecting ends with EACCES, as if this very machine did not let it out.
    server.wait_line(&["member m0 (fd77:0:0:1::2)", "is down: ", "unreachable"]);
}

#[test]
fn a_member_whose_route_is_withdrawn_is_gone_by_the_detection_time() {
    let (node, router, second) = (Network::new(), Network::new(), Network::new());
    node.connect(&router, "uplink", "10.77.0.1/24", "10.77.0.2/24");
    node.run("ip route add 10.77.1.0/24 via 10.77.0.2");
    node.connect(&second, "site2", "10.77.2.1/24", "10.77.2.2/24");
    // The member is behind the router, which answers for it that it knows no way once the address is gone; at once and every time.
    router.run(&format!("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.ip_forward=1 && ip address add {}/32 dev lo", address(1)));
    let _members = [backend(&router, address(1)), backend(&second, address(2))];
    let (_config, server, watch) = serve(&node, USUAL, &[address(1), address(2)]);
    let died = Instant::now();
    router.run(&format!("ip address del {}/32 dev lo", address(1)));
    is_left(&watch, &server, died, USUAL, address(2));
    server.wait_line(&["is down", "unreachable"]);
}

//--- The node's own network

/// Three sites behind one cable. Their networks.
fn behind_one_cable() -> (Network, Network, Vec<Backend>) {
    let (node, world) = (Network::new(), Network::new());
    node.connect(&world, "uplink", "10.77.0.1/24", "10.77.0.2/24");
    node.run("ip route add 10.77.0.0/16 via 10.77.0.2");
    for site in 1..=3 {
        world.run(&format!("ip address add {}/32 dev lo", address(site)));
    }
    let members = (1..=3).map(|site| backend(&world, address(site))).collect();
    (node, world, members)
}

/// Longer than any detection takes: whoever would drain its members has done it by then.
const BLIND_FOR: Duration = Duration::from_secs(8);

/// Whatever was asked during the darkness and after it was answered with the first member, and the members are believed to be up.
fn nothing_changed(watch: &Watch, server: &Server, start: Instant) {
    let seen = watch.between(start, Instant::now());
    assert!(seen.len() > 100, "only {} answers in {BLIND_FOR:?}", seen.len());
    for seen in &seen {
        let after = seen.asked - start;
        assert_eq!(seen.addresses, [address(1)], "{after:?} after the cut; the server's log:\n{}", server.lines().join("\n"));
    }
    assert!(!server.lines().iter().any(|line| line.contains(" is down")), "{}", server.lines().join("\n"));
}

#[test]
fn a_node_whose_interface_goes_down_drains_nobody() {
    let (node, _world, _members) = behind_one_cable();
    let (_config, server, watch) = serve(&node, USUAL, &[address(1), address(2), address(3)]);
    let cut = Instant::now();
    node.run("ip link set uplink down");
    rest_until(cut + BLIND_FOR);
    nothing_changed(&watch, &server, cut);
}

#[test]
fn a_node_whose_packets_all_vanish_drains_nobody_says_so_and_recovers_by_itself() {
    let (node, world, _members) = behind_one_cable();
    let (config, server, watch) = serve(&node, USUAL, &[address(1), address(2), address(3)]);
    let cut = Instant::now();
    world.filter("drop");
    server.wait_line(&["does not trust its own sight"]);
    config.wait_status(&["SUSPECT for"]);
    rest_until(cut + BLIND_FOR);
    nothing_changed(&watch, &server, cut);
    world.unfilter();
    server.wait_line(&["this node sees again"]);
    nothing_changed(&watch, &server, cut);
}
