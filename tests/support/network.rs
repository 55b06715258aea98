//! Networks of our own, in which cables can be cut and packets lost: Linux network namespaces, made by `unshare`, joined by `ip`,
//! filtered by `nft`. They end with the processes that hold them, and those end with us, so that nothing is left behind.
//! Needs root. No other network of the machine is touched.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

/// A network.
pub struct Network {
    /// `cat`, which ends when our end of its pipe closes; and that happens however we end.
    keeper: Child,
    handle: File,
}

impl Network {
    /// A network with nothing in it but its loopback.
    pub fn new() -> Network {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().expect("the tests need unshare, from Debian's package util-linux");
        let mut said = [0; 3];
        let heard = std::io::Read::read_exact(keeper.stdout.as_mut().expect("piped"), &mut said);
        assert!(heard.is_ok() && said == *b"up\n", "no network of our own: this test needs root, and ip of Debian's iproute2");
        let handle = File::open(format!("/proc/{}/ns/net", keeper.id())).expect("the keeper lives");
        Network { keeper, handle }
    }

    /// Runs `work` on a thread within the network. What that thread starts is within it too.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network)).expect("we are root");
            work()
        };
        let joined = std::thread::scope(|scope| scope.spawn(enter).join());
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs a command line within it, which must succeed.
    pub fn run(&self, line: &str) {
        let output = self.within(|| Command::new("sh").args(["-c", line]).output().expect("a shell is everywhere"));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Lays a cable to another network: our end has the first address, the other end the second, as `10.77.0.1/24`.
    pub fn connect(&self, other: &Network, name: &str, ours: &str, theirs: &str) {
        self.run(&format!("ip link add {name} type veth peer name {name} netns {}", other.keeper.id()));
        for (network, address) in [(self, ours), (other, theirs)] {
            // Nobody else can have an IPv6 address there: it need not be asked around for.
            let at_once = if address.contains(':') { "nodad" } else { "" };
            network.run(&format!("ip address add {address} dev {name} {at_once} && ip link set {name} up"));
        }
    }

    /// Lets this happen to every packet that comes in over a cable: `drop`, or `reject` and how.
    pub fn filter(&self, verdict: &str) {
        self.run(&format!(
            "nft 'table inet fault {{ chain input {{ type filter hook input priority 0; iifname != \"lo\" {verdict}; }}; }}'"
        ));
    }

    /// Lets everything through again.
    pub fn unfilter(&self) {
        self.run("nft delete table inet fault");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
