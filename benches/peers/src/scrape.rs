//! Our own server's metrics, as anybody can read them.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};

/// All metrics, as the server shows them.
pub fn page(admin: SocketAddrV4) -> io::Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// The whole number behind `name`, which ends in a blank.
pub fn number(page: &str, name: &str) -> Option<u64> {
    let text = page.lines().find_map(|line| line.strip_prefix(name))?.trim();
    text.strip_suffix(".0").unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_behind_its_name() {
        let page = "# HELP x\nsteersman_generation 2.0\nsteersman_verdict_changes_total 7\n";
        assert_eq!((number(page, "steersman_generation "), number(page, "steersman_verdict_changes_total ")), (Some(2), Some(7)));
        assert_eq!(number(page, "steersman_nothing "), None);
    }
}
