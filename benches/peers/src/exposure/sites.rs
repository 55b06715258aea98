//! Where the members stand: two sites, each with a network of its own behind a cable to the node's, so that packets can be dropped
//! and refused on the way in. Where that needs a right that we lack, two loopback addresses do, and nothing is filtered.
//!
//! Only networks made here are touched; they are gone when we are.

use crate::system::Network;
use std::io;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// A site.
pub struct Site {
    /// The address of its member.
    pub address: Ipv4Addr,
    /// None on loopback.
    pub network: Option<Arc<Network>>,
}

/// Two sites on loopback.
pub fn on_loopback() -> [Site; 2] {
    [101, 102].map(|third| Site { address: Ipv4Addr::new(127, 0, third, 1), network: None })
}

/// Moves this thread, and with it all that it starts from now on, into a new network with a cable to each of two sites. To be
/// called before any other thread is started. The sites, or why that cannot be done here; then nothing has changed.
pub fn in_networks() -> io::Result<[Site; 2]> {
    run("nft", &["--version"], None)?;
    let node = Network::new()?;
    run("ip", &["link", "set", "lo", "up"], Some(&node))?;
    let sites = [connected(&node, 1)?, connected(&node, 2)?];
    node.enter()?;
    Ok(sites)
}

/// A site of its own number, with a cable: the node has the first address of the site's network, the member the second.
fn connected(node: &Network, number: u8) -> io::Result<Site> {
    let site = Network::new()?;
    let (name, gate) = (format!("site{number}"), format!("10.77.{number}.1/24"));
    let address = Ipv4Addr::new(10, 77, number, 2);
    run("ip", &["link", "add", &name, "type", "veth", "peer", "name", "uplink", "netns", &site.path()], Some(node))?;
    run("ip", &["address", "add", &gate, "dev", &name], Some(node))?;
    run("ip", &["link", "set", &name, "up"], Some(node))?;
    run("ip", &["address", "add", &format!("{address}/24"), "dev", "uplink"], Some(&site))?;
    run("ip", &["link", "set", "uplink", "up"], Some(&site))?;
    run("ip", &["link", "set", "lo", "up"], Some(&site))?;
    Ok(Site { address, network: Some(Arc::new(site)) })
}

/// What a filter does with connections to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Nothing comes back.
    Drop,
    /// A reset comes back.
    Reject,
}

/// Filters TCP to these ports of a site.
pub fn filter(site: &Network, ports: &[u16], filter: Filter) -> io::Result<()> {
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    let verdict = match filter {
        Filter::Drop => "drop",
        Filter::Reject => "reject with tcp reset",
    };
    let rules = format!(
        "table inet fault {{ chain input {{ type filter hook input priority 0; tcp dport {{ {} }} {verdict}; }}; }}",
        ports.join(", ")
    );
    run("nft", &[&rules], Some(site))
}

/// Lets everything through again.
pub fn unfilter(site: &Network) -> io::Result<()> {
    run("nft", &["delete", "table", "inet", "fault"], Some(site))
}

fn run(program: &str, arguments: &[&str], network: Option<&Network>) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if let Some(network) = network {
        network.contain(&mut command);
    }
    let named = |why: String| io::Error::other(format!("{program} {}: {}", arguments.join(" "), why.trim()));
    let output = command.output().map_err(|error| named(error.to_string()))?;
    if output.status.success() { Ok(()) } else { Err(named(String::from_utf8_lossy(&output.stderr).into_owned())) }
}
