//! Who holds a port: for the error message that every operator of a name server sees sooner or later.
//!
//! Reads what the kernel tells under /proc. Without the right to look into other users' processes, or elsewhere than on
//! Linux, the answer is "unknown".

use std::fs;
use std::path::Path;

/// The command and process id of somebody who has a UDP socket or a listening TCP socket on this port.
pub fn holder_of(port: u16) -> Option<(String, u32)> {
    let sockets: Vec<String> = ["udp", "udp6", "tcp", "tcp6"]
        .iter()
        .filter_map(|table| Some((fs::read_to_string(format!("/proc/net/{table}")).ok()?, table.starts_with("tcp"))))
        .flat_map(|(text, is_tcp)| inodes(&text, port, is_tcp))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find_map(|pid| {
        let home = Path::new("/proc").join(format!("{pid}"));
        let holds = fs::read_dir(home.join("fd")).ok()?.flatten().any(|fd| is_one_of(&fd.path(), &sockets));
        holds.then(|| (fs::read_to_string(home.join("comm")).unwrap_or_default().trim().to_owned(), pid))
    })
}

fn is_one_of(fd: &Path, sockets: &[String]) -> bool {
    fs::read_link(fd).is_ok_and(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// The inodes of the sockets on a port, from a table of proc(5): number, local address, remote address, state, two
/// columns of queues, retries, user, timeout, inode.
fn inodes(table: &str, port: u16, is_tcp: bool) -> Vec<u64> {
    let suffix = format!(":{port:04X}");
    let on_port = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, state) = (columns.next(), columns.nth(1));
        local.is_some_and(|local| local.ends_with(&suffix)) && (!is_tcp || state == Some(LISTEN))
    };
    table.lines().skip(1).filter(on_port).filter_map(|line| line.split_whitespace().nth(9)?.parse().ok()).collect()
}

/// TCP_LISTEN, as the tables write it.
const LISTEN: &str = "0A";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_in_the_kernels_tables_by_listening_sockets_only() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:0035 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:0036 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
";
        assert_eq!(inodes(table, 53, true), [4711]);
        assert_eq!(inodes(table, 53, false), [4711, 4712]);
        assert!(inodes(table, 55, true).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_of_this_very_process_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = socket.local_addr().expect("a bound socket").port();
        let (_, pid) = holder_of(port).expect("we may look at ourselves");
        assert_eq!(pid, std::process::id());
    }
}
