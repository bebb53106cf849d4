//! `chat-server health`: whether the server with these settings runs, for images that have no other program to ask.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::cli::ServerArgs;

/// Longest time for each step.
const PATIENCE: Duration = Duration::from_secs(4);

/// Asks the server's `/health`.
///
/// # Errors
/// When it does not answer, or not with 200.
pub fn run(server: &ServerArgs) -> anyhow::Result<()> {
    let address = SocketAddr::new(reachable(server.chat_api_host), server.chat_api_port);
    let answer = ask(address).with_context(|| format!("no answer from {address}"))?;
    let status = answer.lines().next().unwrap_or_default();
    ensure!(status.split(' ').nth(1) == Some("200"), "{address} answers {status:?}");
    Ok(())
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The address by which this machine reaches what listens on `host`.
pub(crate) fn reachable(host: IpAddr) -> IpAddr {
    match host {
        host if !host.is_unspecified() => host,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    }
}
